"""The README's Python does what it says."""

import re
import subprocess
import sys
from pathlib import Path

from engine_jobs import MODES, pictures
from glb_checks import check
from PIL import Image

README = Path(__file__).parents[1] / "README.md"


def test_the_engines_example_makes_a_mesh(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    folder = tmp_path / "assets" / "props" / "chair"
    folder.mkdir(parents=True)
    for view, pixels in pictures(MODES["textured"]).items():
        Image.fromarray(pixels).save(folder / f"{view}.png")
    done = subprocess.run(
        [sys.executable, "-c", example], check=True, capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert "100% " in done.stdout
    assert "(100000, 3)" in done.stdout
    glb = check((tmp_path / "chair.glb").read_bytes())
    assert len(glb.faces) == 100_000
    assert "TEXCOORD_0" in glb.attributes
