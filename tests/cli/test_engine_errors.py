"""What the engine cannot make, as a person at a terminal of 80 columns reads it; and what it noted of what it made."""

import os
import pty
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")

COLUMNS = 80
MOVES = re.compile(r"\x1b\[[0-9;]*[A-HJK]")
"""What follows a move of the cursor, or a wiped line, stands on a line of its own."""
SIGNS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def draw(path: Path, box: tuple[int, int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(picture).rectangle(box, fill=(200, 90, 30, 255), outline=(20, 20, 120, 255))
    picture.save(path)


def cover(path: Path) -> None:
    """An object that reaches beyond the picture on all sides."""
    picture = Image.linear_gradient("L").resize((160, 160)).convert("RGBA")
    picture.paste((200, 90, 30, 200), (0, 0, 40, 40))
    picture.save(path)


def run_on_a_terminal(*arguments: str) -> list[str]:
    """The lines that a terminal of 80 columns gets to see on stdout."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    mvmesh = Path(sys.executable).with_name("mvmesh")
    process = subprocess.Popen([mvmesh, *arguments], stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # Linux tells the end so
        pass
    os.close(ours)
    process.wait(60)
    return SIGNS.sub("", MOVES.sub("\n", said.decode())).splitlines()


def test_a_failure_names_the_view_and_what_to_do_and_a_guess_is_told(tmp_path: Path) -> None:
    draw(tmp_path / "pictures/cut/front.png", (50, 40, 110, 120))
    cover(tmp_path / "pictures/cut/left.png")
    draw(tmp_path / "pictures/flat/front.png", (50, 40, 110, 120))
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "version: 1\nname: m\nbackend: local\noutput: out\ndefaults: {faceCount: 40000}\n"
        "sets: [{path: pictures/*}]\npreviews: false\n"
    )
    lines = run_on_a_terminal("run", str(manifest), "--yes")
    assert max(map(len, (line for line in lines if tmp_path.name not in line))) <= COLUMNS
    text = " ".join(" ".join(lines).split())
    failed, _, rest = text.partition("note flat")
    assert "failed cut" in failed
    assert "left view: the object covers the whole picture mend: leave a margin" in failed
    assert "mend:" in failed
    assert "guessed" in rest
