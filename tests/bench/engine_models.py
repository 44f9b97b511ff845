"""Further objects of the benchmarks, each hard in its own way: a hollow, thin legs, soft forms, a rough surface."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "configs"))
from modelling.paints import Place, Values, cloud, colour, disc, noise, over, plain, repeated, shaded, wood
from modelling.pictures import Piece
from modelling.shapes import Points, Shape, ball, box, curve, lathe, rounded, tube


def mug() -> list[Piece]:
    """Open above, hollow down to the bottom, with a handle one can reach through."""
    wall = [(0, -0.62), (0.5, -0.62), (0.54, -0.5), (0.54, 0.56), (0.5, 0.6), (0.45, 0.56), (0.45, -0.48), (0, -0.5)]
    body = lathe(rounded(wall, 0.05))
    path = curve((0.5, 0.34, 0), (0.78, 0.32, 0), (0.9, 0.02, 0), (0.76, -0.28, 0), (0.5, -0.36, 0))
    return [Piece(shape=body, paint=_glaze), Piece(shape=tube(path, 0.075), paint=plain("#c8643c", wear=0.15))]


def _glaze(at: Place) -> Values:
    radius = np.hypot(at.x, at.z)
    base = shaded(colour("#3d7c99"), 0.85 + 0.3 * cloud(at.x * 5, at.y * 5, at.z * 5))
    base = over(base, colour("#f2e4c4"), np.abs(at.y - 0.12 * np.sin(12 * np.pi * at.around)) < 0.06)
    base = over(base, colour("#c8643c"), at.y < -0.5)
    inside = radius < 0.47
    base = over(base, shaded(colour("#f5efe2"), 0.9 + 0.1 * noise(at.x * 9, at.y * 9, at.z * 9)), inside)
    rings = disc(repeated(at.around * 12, 1) * 0.22, repeated(at.y + 0.05, 0.22), 0.045)
    return over(base, colour("#8a3d2f"), inside & rings)


def stool() -> list[Piece]:
    """Four legs and a ring of spokes, each a hundredth of the object's size or two."""
    legs = [
        tube(curve((0.34 * x, 0.0, 0.3 * z), (0.38 * x, -0.5, 0.35 * z), (0.46 * x, -1.0, 0.42 * z)), 0.022)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    rungs = [tube(curve((-0.38, -0.5, 0.35 * z), (0.38, -0.5, 0.35 * z), count=12), 0.014) for z in (-1, 1)]
    spokes = [
        tube(curve((x, 0.0, -0.34), (1.15 * x, 0.85, -0.46), count=20), 0.014) for x in np.linspace(-0.34, 0.34, 6)
    ]
    rail = tube(curve((-0.46, 0.86, -0.44), (0, 0.92, -0.48), (0.46, 0.86, -0.44)), 0.05)
    seat = box(0.86, 0.09, 0.8, 0.04).moved(y=0.02)
    frame = [Piece(shape=one, paint=_beech) for one in (*legs, *rungs, *spokes, rail)]
    return [Piece(shape=seat, paint=_plaid), *frame]


def _beech(at: Place) -> Values:
    return wood(at.x * 3, at.y * 2, at.z * 3, "#c99a5b", "#8a5a2c")


def _plaid(at: Place) -> Values:
    base = over(plain("#b5402f", wear=0.1)(at), colour("#e9d9a8"), np.abs(repeated(at.x, 0.2)) < 0.025)
    return over(base, colour("#27425c"), np.abs(repeated(at.z + 0.03, 0.16)) < 0.03)


def creature() -> list[Piece]:
    """Balls grown into one another: round all over, no flat side anywhere."""
    body = ball(0.5, 0.42, 0.7)
    parts = [
        (ball(0.36, 0.34, 0.34), (0, 0.42, 0.62)),
        (ball(0.2, 0.42, 0.22), (0.3, -0.5, 0.36)),
        (ball(0.2, 0.42, 0.22), (-0.3, -0.5, 0.36)),
        (ball(0.22, 0.42, 0.24), (0.32, -0.5, -0.38)),
        (ball(0.22, 0.42, 0.24), (-0.32, -0.5, -0.38)),
        (ball(0.09, 0.24, 0.06).turned("z", -24), (0.22, 0.78, 0.56)),
        (ball(0.09, 0.24, 0.06).turned("z", 24), (-0.22, 0.78, 0.56)),
        (ball(0.12, 0.12, 0.4).turned("x", 35), (0.02, 0.3, -0.84)),
        (ball(0.17, 0.13, 0.16), (0, 0.34, 0.92)),
    ]
    return [Piece(shape=body, paint=_spots), *(Piece(shape=one.moved(*at), paint=_spots) for one, at in parts)]


def _spots(at: Place) -> Values:
    base = shaded(colour("#d8b27a"), 0.8 + 0.4 * cloud(at.x * 4, at.y * 4, at.z * 4))
    return over(base, colour("#5d3d2a"), np.clip(8 * noise(at.x * 5 + 3, at.y * 5, at.z * 5) - 5, 0, 1))


def bumpy_ball() -> list[Piece]:
    return [Piece(shape=_round().bent(_bumpy), paint=_marble)]


def _round() -> Shape:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 160)
    profile = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    profile[[0, -1], 0] = 0
    return lathe(profile).as_made()


def _bumpy(points: Points) -> Points:
    x, y, z = points.T
    wave = np.sin(7 * x + 1) * np.sin(6 * y + 2) * np.sin(7 * z) + 0.4 * np.sin(15 * x) * np.sin(14 * y) * np.sin(
        15 * z + 1
    )
    return points * (1 + 0.1 * wave)[:, None]


def _marble(at: Place) -> Values:
    vein = np.abs(np.sin(5 * at.x + 3 * at.y + 6 * cloud(at.x * 2, at.y * 2, at.z * 2)))
    base = over(np.broadcast_to(colour("#d9d4cc"), (len(at.x), 3)), colour("#4a5a63"), (1 - vein) ** 4)
    return over(base, colour("#a24b3c"), 0.6 * np.clip(4 * noise(at.x * 6, at.y * 6, at.z * 6) - 2.6, 0, 1))


MODELS = {"mug": mug, "stool": stool, "creature": creature, "bumpy_ball": bumpy_ball}
