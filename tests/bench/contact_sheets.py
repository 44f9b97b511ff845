"""Looks at meshes beside their pictures: python tests/bench/contact_sheets.py OUT [SET_FOLDER ...] [--modes clean framed ...]

For every set and mode one PNG in the folder OUT. Each of twelve directions has three tiles: what was given (for the last four,
which never are: the truth), the mesh with its texture unlit (the light of the pictures is in it), and its bare shape under a
lamp. Set folders hold view images and a ground_truth.glb, or such folders; the project's own objects come beside them unless
--synthetic names fewer. With --mesh a GLB of any origin is shown beside the pictures of the one set that is given.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import engine_modes
from engine_subjects import SYNTHETIC, Pixels, Shot, Source, Subject, of_parts, photograph, sources
from PIL import Image, ImageDraw

from pipeline.domain.views import CAMERAS, Camera, View
from pipeline.geometry.reconstruction import Options, ReconstructionError, reconstruct
from pipeline.geometry.rendering import Part, orbit
from pipeline.ports.meshes import read_glb

TILE_PX = 288
NEVER_GIVEN = {"35/20": orbit(35, 20), "155/30": orbit(155, 30), "245/15": orbit(245, 15), "320/-25": orbit(320, -25)}
_GROUND = (214, 216, 220, 255)
_ACROSS = 3


def square(picture: Pixels) -> Image.Image:
    image = Image.fromarray(picture)
    side = max(image.size)
    page = Image.new("RGBA", (side, side))
    page.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return page.resize((TILE_PX, TILE_PX), Image.Resampling.BOX)


def taken(subject: Subject, camera: Camera) -> Image.Image:
    return Image.fromarray(photograph(subject, Shot(camera=camera), TILE_PX))


def sheet(source: Source, given: dict[View, Pixels], parts: Sequence[Part], title: str) -> Image.Image:
    bare = [replace(part, texture=None, colours=None) for part in parts]
    coloured, shape = of_parts(parts, is_lit=False), of_parts(bare, is_lit=True)
    cells = []
    for view in View:
        shown = square(given[view]) if view in given else Image.new("RGBA", (TILE_PX, TILE_PX))
        cells.append((str(view), [shown, taken(coloured, CAMERAS[view]), taken(shape, CAMERAS[view])]))
    for name, camera in NEVER_GIVEN.items():
        cells.append((f"never given: {name}", [taken(one, camera) for one in (source.subject, coloured, shape)]))
    width, rows = 3 * TILE_PX + 6, -(-len(cells) // _ACROSS)
    page = Image.new("RGBA", (_ACROSS * width, rows * (TILE_PX + 18) + 18), _GROUND)
    write = ImageDraw.Draw(page)
    write.text((6, 3), title, fill="black")
    for at, (name, tiles) in enumerate(cells):
        x, y = at % _ACROSS * width, 18 + at // _ACROSS * (TILE_PX + 18)
        write.text((x + 6, y + 3), name, fill="black")
        for k, tile in enumerate(tiles):
            page.alpha_composite(tile, (x + k * TILE_PX, y + 18))
    return page.convert("RGB")


def make(source: Source, mode: str, asked: argparse.Namespace) -> None:
    given = engine_modes.pictures(source, mode, asked.views)
    title = f"{source.name}, {mode}, {len(given)} views"
    if asked.mesh:
        parts: Sequence[Part] = read_glb(asked.mesh.read_bytes()).parts
    else:
        try:
            made = reconstruct(given, Options(face_count=asked.faces))
        except ReconstructionError as error:
            print(f"{title}: failed: {error}", file=sys.stderr, flush=True)
            return
        parts = [Part(mesh=made.mesh, texture=made.base_color)]
        title += f", {len(made.mesh.faces):,} faces. " + " ".join(made.notes)
    target = asked.out / f"{source.name}-{mode.replace('/', '-')}{asked.suffix}.png"
    sheet(source, given, parts, title).save(target)
    print(target, flush=True)


def main() -> None:
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    for source in sources(asked.sets, asked.synthetic):
        for mode in [*asked.modes, *(f"variants/{path.name}" for path in source.variants if asked.variants)]:
            make(source, mode, asked)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("sets", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument("--synthetic", nargs="*", default=list(SYNTHETIC), choices=list(SYNTHETIC), metavar="NAME")
    parser.add_argument("--modes", nargs="*", default=["clean"], metavar="MODE", help="see engine_modes.py")
    parser.add_argument("--variants", action="store_true", help="the folders' own variants, too")
    parser.add_argument(
        "--views",
        type=lambda text: [View(one) for one in text.split(",")],
        default=list(View),
        metavar="front,left,...",
    )
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--mesh", type=Path, metavar="GLB", help="show this instead of what the engine makes")
    parser.add_argument("--suffix", default="", help="put behind the names of the sheets")
    return parser.parse_args()


if __name__ == "__main__":
    main()
