from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

VIEWS = ("front", "left", "back", "right")


@pytest.fixture
def draw_set(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with the views of one object: a coloured block on transparent ground."""

    def draw(name: str, *, size: int = 160, colour: str = "teal", views: tuple[str, ...] = VIEWS) -> Path:
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for at, view in enumerate(views):
            picture = Image.new("RGBA", (size, size))
            block = (size // 4, size // 4, size - size // 4, size - size // 5)
            ImageDraw.Draw(picture).rectangle(block, fill=colour, outline=(at * 60, 20, 20))
            picture.save(folder / f"{view}.png")
        return folder

    return draw


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., Path]:
    def write(*, backend: str = "local", extra: str = "") -> Path:
        manifest = tmp_path / "batch.yaml"
        manifest.write_text(
            f"version: 1\nname: batch\nbackend: {backend}\noutput: out\ndefaults: {{faceCount: 40000}}\n"
            f"sets: [{{path: pictures/*}}]\n{extra}"
        )
        return manifest

    return write
