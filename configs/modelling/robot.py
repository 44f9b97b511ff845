"""A tin toy robot: dials on its chest, its left arm waving, a brass key in its back."""

import numpy as np

from modelling.paints import Paint, Place, Values, colour, disc, inside, over, panel, plain, repeated, shaded, stroke
from modelling.pictures import Piece
from modelling.shapes import Shape, ball, box, curve, lathe, ring, slab, tube, turned_solid

_TEAL, _CREAM, _RED, _BRASS, _STEEL, _DARK = "#2f9a94", "#f1e2c0", "#d5452f", "#d9a13a", "#8d979f", "#2b3440"
_BOLT = ((0.02, 0.26), (-0.2, -0.04), (-0.03, -0.04), (-0.08, -0.28), (0.2, 0.07), (0.03, 0.07), (0.12, 0.26))
_STAR = tuple((r * np.sin(a), r * np.cos(a)) for a, r in ((k * np.pi / 5, (0.25, 0.11)[k % 2]) for k in range(10)))


def robot() -> list[Piece]:
    return [*_body(), *_head(), *_legs(), *_arms(), *_key()]


def _body() -> list[Piece]:
    buttons = [
        Piece(shape=ball(0.075, 0.075, 0.06).moved(x, 0.16, 0.47), paint=plain(code, wear=0.03))
        for x, code in ((-0.34, _RED), (-0.13, "#e8b93c"))
    ]
    collar = turned_solid([(0.3, 0.72), (0.3, 0.86)], 0.03)
    return [
        Piece(shape=box(1.3, 1.3, 0.94, 0.13).moved(y=0.12), paint=_tin),
        Piece(shape=collar, paint=plain(_STEEL)),
        *buttons,
    ]


def _tin(at: Place) -> Values:
    """Teal sheet with seams and rivets; front: a cream panel; left: a bolt; right: a star; back: a hatch."""
    base = plain(_TEAL, wear=0.1, grain=4)(at)
    base = shaded(base, 0.86 + 0.14 * np.clip((at.y + 0.65) * 4, 0, 1))
    base = over(base, colour("#1f6f6c"), np.abs(np.abs(at.y) - 0.5) < 0.012)
    on_side = np.abs(at.x) > 0.55
    across = np.where(on_side, at.z, at.x)
    rivet_x, rivet_y = repeated(across - 0.09, 0.18), np.abs(at.y) - 0.565
    base = over(base, colour("#1f6f6c"), disc(rivet_x + 0.006, rivet_y + 0.008, 0.026))
    base = over(base, colour("#7fd0c8"), disc(rivet_x, rivet_y, 0.02))
    front, back = at.facing[:, 2] > 0.7, at.facing[:, 2] < -0.7
    base = over(base, _chest(at), front & (panel(at.x, at.y, 1.02, 0.86, 0.08) < 0))
    base = over(base, _hatch(at), back & (panel(at.x, at.y, 0.9, 0.8, 0.1) < 0))
    left, right = at.facing[:, 0] > 0.7, at.facing[:, 0] < -0.7
    base = over(base, colour(_CREAM), left & disc(at.z, at.y, 0.34))
    base = over(base, colour("#e8b93c"), left & inside(-at.z, at.y, _BOLT))
    return over(base, colour(_CREAM), right & inside(at.z, at.y, _STAR))


def _chest(at: Place) -> Values:
    base = plain(_CREAM, wear=0.07)(at)
    base = over(base, colour(_DARK), np.abs(panel(at.x, at.y, 1.02, 0.86, 0.08) + 0.03) < 0.012)
    x, y = at.x - 0.24, at.y - 0.12
    turn, reach = np.arctan2(x, y), np.hypot(x, y)
    base = over(base, colour(_DARK), reach < 0.215)
    base = over(base, colour("#fbf6e6"), reach < 0.185)
    swept = np.abs(turn) < 2.2
    base = over(base, colour("#57a05a"), swept & (turn < 0.9) & (reach < 0.175) & (reach > 0.135))
    base = over(base, colour(_RED), swept & (turn >= 0.9) & (reach < 0.175) & (reach > 0.135))
    base = over(
        base, colour(_DARK), swept & (np.abs(repeated(turn, 0.55)) * reach < 0.008) & (reach > 0.12) & (reach < 0.18)
    )
    base = over(base, colour(_RED), stroke(x, y, (0, 0), (0.1, 0.1), 0.024) | (reach < 0.026))
    slots = (np.abs(at.x + 0.235) < 0.2) & (np.abs(repeated(at.y + 0.04, 0.065)) < 0.018) & (np.abs(at.y + 0.2) < 0.16)
    base = over(base, colour(_DARK), slots)
    for k, code in enumerate(("#57a05a", "#e8b93c", _RED)):
        base = over(base, colour(_DARK), disc(at.x - 0.08 - 0.16 * k, at.y + 0.24, 0.062))
        base = over(base, colour(code), disc(at.x - 0.08 - 0.16 * k, at.y + 0.24, 0.046))
    return over(base, colour(_DARK), disc(at.x + 0.34, at.y - 0.04, 0.09) | disc(at.x + 0.13, at.y - 0.04, 0.09))


def _hatch(at: Place) -> Values:
    base = plain("#27837e", wear=0.08)(at)
    base = over(base, colour("#175e5b"), np.abs(panel(at.x, at.y, 0.9, 0.8, 0.1) + 0.02) < 0.014)
    vents = (np.abs(at.x) < 0.28) & (np.abs(repeated(at.y, 0.08)) < 0.02) & (np.abs(at.y + 0.24) < 0.1)
    base = over(base, colour(_DARK), vents)
    screws = disc(np.abs(at.x) - 0.36, np.abs(at.y) - 0.31, 0.03)
    return over(base, colour("#c5ccd0"), screws)


def _head() -> list[Piece]:
    eyes = [
        piece
        for x in (-0.21, 0.21)
        for piece in (
            Piece(shape=_stud(0.145, 0.1).moved(x, 1.24, 0.37), paint=plain(_STEEL)),
            Piece(shape=ball(0.1, 0.1, 0.05).moved(x, 1.24, 0.46), paint=_eye),
        )
    ]
    ears = [
        Piece(shape=_stud(r, 0.09).turned("y", 90 * side).moved(side * x, 1.17), paint=plain(code))
        for side in (-1, 1)
        for r, x, code in ((0.17, 0.51, _RED), (0.1, 0.58, _CREAM))
    ]
    antenna = [
        Piece(shape=turned_solid([(0.11, 1.44), (0.07, 1.55)], 0.02).moved(x=0.2), paint=plain(_STEEL)),
        Piece(shape=tube(curve((0.2, 1.5, 0), (0.2, 1.74, 0)), 0.042), paint=plain(_STEEL)),
        Piece(shape=ball(0.11, 0.11, 0.11).moved(0.2, 1.82), paint=plain(_RED, wear=0.02)),
    ]
    return [Piece(shape=box(0.98, 0.68, 0.8, 0.12).moved(y=1.15), paint=_face), *eyes, *ears, *antenna]


def _face(at: Place) -> Values:
    base = plain(_CREAM, wear=0.08, grain=4)(at)
    base = over(base, colour(_TEAL), (at.y > 0.24) | (at.y < -0.29))
    base = over(base, colour("#1f6f6c"), np.abs(at.y - 0.24) < 0.01)
    front, back = at.facing[:, 2] > 0.7, at.facing[:, 2] < -0.7
    mouth = front & (panel(at.x, at.y + 0.175, 0.5, 0.13, 0.06) < 0)
    base = over(base, colour(_DARK), mouth)
    teeth = mouth & (panel(at.x, at.y + 0.175, 0.46, 0.09, 0.04) < 0) & (np.abs(repeated(at.x, 0.075)) < 0.026)
    base = over(base, colour("#f7c948"), teeth)
    base = over(base, colour("#eb9a7c"), front & disc(np.abs(at.x) - 0.36, at.y + 0.1, 0.055))
    return over(base, colour(_RED), back & (np.abs(np.abs(at.y + 0.02) - 0.1) < 0.035))


def _eye(at: Place) -> Values:
    reach = np.hypot(at.x, at.y)
    base = over(np.broadcast_to(colour("#ffd94d"), (len(at.x), 3)), colour("#f29a2e"), np.clip(reach * 14 - 0.5, 0, 1))
    base = over(base, colour(_DARK), reach < 0.045)
    return over(base, colour("#fffbe8"), disc(at.x + 0.03, at.y - 0.035, 0.02))


def _stud(radius: float, height: float) -> Shape:
    """A flat button that looks along +Z."""
    return turned_solid([(radius, 0), (radius, height)], 0.03).as_made().turned("x", 90)


def _legs() -> list[Piece]:
    pieces = [Piece(shape=box(0.9, 0.16, 0.62, 0.06).moved(y=-0.58), paint=plain(_DARK))]
    for side in (-1, 1):
        bellows = lathe(_bellows(-1.0, -0.6, 0.17)).moved(x=side * 0.3)
        foot = box(0.46, 0.26, 0.78, 0.1).bent(_toe).moved(side * 0.31, -1.12, 0.08)
        pieces += [Piece(shape=bellows, paint=plain(_STEEL)), Piece(shape=foot, paint=_boot)]
    return pieces


def _bellows(low: float, high: float, radius: float) -> Values:
    height = np.linspace(low, high, 60)
    ripple = radius * (1 + 0.13 * np.cos((height - low) / (high - low) * 2 * np.pi * 4))
    return np.concatenate([[(0, low)], np.stack([ripple, height], axis=1), [(0, high)]])


def _toe(points: Values) -> Values:
    """The front of a foot slopes down."""
    lower = np.clip((points[:, 2] - 0.05) * 0.35, 0, None) * (points[:, 1] > 0)
    return points - np.stack([0 * lower, lower, 0 * lower], axis=1)


def _boot(at: Place) -> Values:
    base = plain(_RED, wear=0.08)(at)
    base = over(base, colour(_CREAM), np.abs(at.z - 0.14) < 0.045)
    return over(base, colour(_DARK), at.y < -0.075)


def _arms() -> list[Piece]:
    down = curve((-0.68, 0.5, 0), (-0.92, 0.4, 0.02), (-0.98, 0.08, 0.1), (-0.96, -0.16, 0.2))
    up = curve((0.68, 0.5, 0), (0.94, 0.52, 0.03), (1.06, 0.78, 0.08), (1.02, 1.08, 0.12))
    pieces = []
    for side, path, tilt in ((-1, down, 172), (1, up, 8)):
        hand = path[-1]
        pieces += [
            Piece(shape=ball(0.19, 0.19, 0.19).moved(side * 0.68, 0.5), paint=plain(_RED)),
            Piece(shape=tube(path, _hose(len(path))), paint=_hose_paint),
            Piece(
                shape=turned_solid([(0.14, -0.08), (0.15, 0.08)], 0.03).turned("z", tilt).moved(*hand),
                paint=plain(_RED),
            ),
            Piece(shape=_claw(tilt).moved(*hand), paint=plain(_STEEL)),
        ]
    return pieces


def _hose(count: int) -> Values:
    return 0.11 * (1 + 0.1 * np.cos(np.linspace(0, 2 * np.pi * 8, count)))


def _hose_paint(at: Place) -> Values:
    return shaded(plain(_STEEL)(at), 0.82 + 0.18 * np.cos(at.along * 2 * np.pi * 8))


def _claw(tilt: float) -> Shape:
    """An open hook, its gap above."""
    turn = np.linspace(0.75, 2 * np.pi - 0.75, 50)
    path = np.stack([0.16 * np.sin(turn), 0.22 + 0.16 * np.cos(turn), 0 * turn], axis=1)
    return tube(path, 0.062).turned("y", 25).turned("z", tilt)


def _key() -> list[Piece]:
    shaft = _stud(0.07, 0.36).turned("y", 180).moved(0, 0.22, -0.44)
    loops = [
        Piece(shape=ring(0.15, 0.06).stretched(z=0.9).moved(side * 0.19, 0.22, -0.82), paint=_brass) for side in (-1, 1)
    ]
    hub = slab(
        np.array([(0.1 * np.sin(a), 0.1 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 32, endpoint=False)]),
        0.13,
        0.03,
    )
    plate = _stud(0.14, 0.05).turned("y", 180).moved(0, 0.22, -0.45)
    return [
        Piece(shape=plate, paint=plain(_CREAM)),
        Piece(shape=shaft, paint=_brass),
        Piece(shape=hub.moved(0, 0.22, -0.82), paint=_brass),
        *loops,
    ]


_brass: Paint = plain(_BRASS, wear=0.12, grain=6)
