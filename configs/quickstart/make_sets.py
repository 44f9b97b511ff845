"""Makes the sample image sets again, byte for byte: python configs/quickstart/make_sets.py [--out DIR] [SET ...]

Needs the engine extra (``pip install mvmesh[engine]``). The objects are modelled in ``configs/modelling/``.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from modelling.cactus import cactus  # noqa: E402  # the samples' own package lies beside this folder
from modelling.mushroom_house import mushroom_house  # noqa: E402
from modelling.pictures import Piece, picture  # noqa: E402
from modelling.robot import robot  # noqa: E402
from modelling.tugboat import tugboat  # noqa: E402

from pipeline.domain.views import CAMERAS, View  # noqa: E402

SIZE_PX = 512
ALL_VIEWS = {f"{view}.png": view for view in View}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    model: Callable[[], Sequence[Piece]]
    files: dict[str, View]


SAMPLES = {
    "toy_robot": Sample(model=robot, files=ALL_VIEWS),
    "mushroom_house": Sample(model=mushroom_house, files=ALL_VIEWS),
    "potted_cactus": Sample(model=cactus, files=ALL_VIEWS),
    # Fewer views, and names as they come from people: the way a set may well look.
    "tugboat": Sample(
        model=tugboat,
        files={
            "boat_front.png": View.FRONT,
            "boat-left.png": View.LEFT,
            "Right view.png": View.RIGHT,
            "rear.png": View.BACK,
            "boat_from_above.png": View.TOP,
        },
    ),
}


def make(sample: Sample, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = sample.model()
    for name, view in sample.files.items():
        pixels = picture(pieces, CAMERAS[view], SIZE_PX)
        Image.fromarray(pixels, "RGBA").save(folder / name, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample image sets again.")
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"which (default: all): {', '.join(SAMPLES)}")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the sets (default: beside this script)")
    arguments = parser.parse_args()
    if unknown := set(arguments.sets) - set(SAMPLES):
        parser.error(f"no such set: {', '.join(sorted(unknown))}; there are {', '.join(SAMPLES)}")
    for name in arguments.sets or SAMPLES:
        make(SAMPLES[name], arguments.out / name)
        print(arguments.out / name)


if __name__ == "__main__":
    main()
