"""Looks at meshes beside their pictures: python tests/bench/contact_sheets.py OUT SET_FOLDER MESH [SET_FOLDER MESH ...]

For every pair one PNG in the folder OUT: input and render of each given view, then four views that were never given.
Prints silhouette IoU and, within both silhouettes, PSNR. Silhouettes of inputs come from alpha alone.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.domain.views import CAMERAS, View, recognise
from pipeline.geometry.rendering import orbit, render
from pipeline.ports.meshes import read_glb

TILE_PX = 384
NEVER_GIVEN = {"35/20": orbit(35, 20), "155/30": orbit(155, 30), "245/15": orbit(245, 15), "320/-25": orbit(320, -25)}


def inputs(folder: Path) -> dict[View, np.ndarray]:
    found = {view: path for path in sorted(folder.iterdir()) if path.is_file() and (view := recognise(path.name))}
    return {view: square(Image.open(found[view]).convert("RGBA")) for view in View if view in found}


def square(picture: Image.Image) -> np.ndarray:
    side = max(picture.size)
    tile = Image.new("RGBA", (side, side))
    tile.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.asarray(tile.resize((TILE_PX, TILE_PX), Image.Resampling.BOX))


def agreement(given: np.ndarray, made: np.ndarray) -> tuple[float, float]:
    """Silhouette IoU; PSNR in dB of the colours where both are opaque."""
    a, b = given[..., 3] > 127, made[..., 3] > 127
    opaque = (given[..., 3] == 255) & (made[..., 3] == 255)
    error = (given[opaque][:, :3].astype(float) - made[opaque][:, :3]) ** 2
    iou = (a & b).sum() / max((a | b).sum(), 1)
    return iou, 10 * np.log10(255**2 / max(error.mean(), 1e-9)) if opaque.any() else float("nan")


def sheet(set_folder: Path, mesh: Path, target: Path) -> None:
    parts = read_glb(mesh.read_bytes()).parts
    tiles = []
    for view, given in inputs(set_folder).items():
        made = render(parts, CAMERAS[view], width=TILE_PX, height=TILE_PX)
        print("{:24} {:10} IoU {:.4f}  PSNR {:5.1f} dB".format(set_folder.name, view, *agreement(given, made)))
        tiles.append(np.hstack([given, made]))
    renders = [render(parts, camera, width=TILE_PX, height=TILE_PX) for camera in NEVER_GIVEN.values()]
    tiles += [np.hstack(renders[:2]), np.hstack(renders[2:])]
    tiles += [np.zeros_like(tiles[0])] * (len(tiles) % 2)
    picture = Image.fromarray(np.vstack([np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)]), "RGBA")
    page = Image.new("RGBA", picture.size, (214, 216, 220, 255))
    page.alpha_composite(picture)
    page.convert("RGB").save(target)
    print(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("pairs", type=Path, nargs="+", metavar="SET_FOLDER MESH")
    arguments = parser.parse_args()
    if len(arguments.pairs) % 2:
        parser.error("every set folder needs its mesh: SET_FOLDER MESH [SET_FOLDER MESH ...]")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for set_folder, mesh in zip(arguments.pairs[::2], arguments.pairs[1::2], strict=True):
        sheet(set_folder, mesh, arguments.out / f"{set_folder.name}.png")


if __name__ == "__main__":
    main()
