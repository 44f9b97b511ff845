"""A toadstool one could live in: plank door, glowing windows, brick chimney, a small toadstool beside it."""

import numpy as np

from modelling.paints import Place, Values, cloud, colour, disc, noise, over, plain, repeated, shaded, wood
from modelling.pictures import Piece
from modelling.shapes import Points, Shape, ball, box, curve, lathe, ring, rounded, slab, tube, turned_solid

_CAP, _SPOT, _STEM, _GLOW, _FRAME = "#c8322b", "#f6ecd8", "#eadfc6", "#ffc95c", "#6b4527"


def mushroom_house() -> list[Piece]:
    return [*_ground(), *_stem(), *_cap(), *_door(), *_windows(), *_chimney(), *_neighbours()]


def _ground() -> list[Piece]:
    mound = lathe(rounded([(0, -1.22), (1.12, -1.22), (1.2, -1.1), (0.8, -0.98), (0, -0.94)], 0.12), _uneven)
    steps = [
        Piece(
            shape=ball(0.24 - 0.02 * k, 0.07, 0.15).moved(0.1 * (-1) ** k - 0.03, -0.99 - 0.045 * k, 0.7 + 0.2 * k),
            paint=_stone,
        )
        for k in range(3)
    ]
    angles = np.radians([52, 84, 121, 160, 205, 244, 285, 318])
    stones = [
        Piece(
            shape=ball(0.14, 0.11, 0.12).turned("y", 40.0 * k).moved(0.66 * np.sin(a), -0.92, 0.66 * np.cos(a)),
            paint=_stone,
        )
        for k, a in enumerate(angles)
    ]
    return [Piece(shape=mound, paint=_grass), *steps, *stones]


def _uneven(turn: Points) -> Points:
    return 1 + 0.035 * np.sin(2 * np.pi * 3 * turn + 0.6) + 0.025 * np.sin(2 * np.pi * 5 * turn + 2)


def _grass(at: Place) -> Values:
    blades = noise(at.x * 26, at.y * 9, at.z * 26)
    base = over(np.broadcast_to(colour("#4d8a3a"), (len(at.x), 3)), colour("#8fbe54"), blades * 0.8)
    base = over(base, colour("#36692f"), 0.8 * np.clip(3 * cloud(at.x * 3, at.y * 3, at.z * 3) - 1.6, 0, 1))
    near = noise(at.x * 6 + 31, at.y * 6, at.z * 6) > 0.66
    flowers = near & disc(repeated(at.x + 0.03, 0.13), repeated(at.z + 0.05, 0.13), 0.022) & (at.facing[:, 1] > 0.4)
    base = over(base, colour("#fff3c4"), flowers)
    soil = at.y < -1.13 + 0.03 * np.sin(19 * at.around * np.pi)
    return over(base, plain("#6d4a30", wear=0.25)(at), soil)


def _stone(at: Place) -> Values:
    return plain("#9d9a94", wear=0.3, grain=11)(at)


def _stem() -> list[Piece]:
    profile = rounded([(0, -1.1), (0.66, -1.08), (0.63, -0.6), (0.5, -0.1), (0.42, 0.35), (0, 0.4)], 0.2)
    return [Piece(shape=lathe(profile), paint=_stem_paint)]


def _stem_paint(at: Place) -> Values:
    fibre = noise(at.x * 16, at.y * 1.6, at.z * 16)
    base = shaded(colour(_STEM), 0.84 + 0.2 * fibre)
    base = over(base, colour("#b89f78"), 0.7 * np.clip((-0.62 - at.y) * 2.4 + 0.3 * (fibre - 0.5), 0, 1))
    return over(base, colour("#a58f78"), 0.75 * np.clip((at.y - 0.02) * 4, 0, 1))


def _cap() -> list[Piece]:
    cap = lathe(_cap_profile()).as_made().bent(_tilted)
    spots = [
        (20, 0.44, 0.2), (75, 0.62, 0.15), (130, 0.38, 0.19), (178, 0.6, 0.16), (232, 0.46, 0.2), (290, 0.6, 0.17),
        (338, 0.7, 0.12), (50, 0.83, 0.13), (160, 0.84, 0.12), (262, 0.8, 0.15), (0, 0.2, 0.12), (48, 0.17, 0.1),
        (100, 0.2, 0.12), (208, 0.2, 0.13), (315, 0.22, 0.13), (260, 0.18, 0.09), (120, 0.94, 0.17),
    ]  # fmt: skip
    return [Piece(shape=cap, paint=_cap_paint), *(_spot(*spot) for spot in spots)]


def _tilted(points: Points) -> Points:
    """The cap sits askew and sags a little to its right."""
    return points + np.stack([0.05 * points[:, 1], 0.07 * points[:, 0] - 0.03 * points[:, 2], 0 * points[:, 0]], axis=1)


def _cap_profile() -> Points:
    corners = [(0, 0.16), (0.45, 0.1), (0.98, -0.02), (1.24, 0.06), (1.16, 0.42), (0.72, 0.98), (0.26, 1.16), (0, 1.17)]
    return rounded(corners, 0.3)


def _spot(azimuth: float, height: float, size: float) -> Piece:
    """A flat button that lies on the cap, ``height`` from 0 at its rim to 1 at its top."""
    profile = _cap_profile()
    upper = profile[profile[:, 0].argmax() :]
    slope = np.gradient(upper, axis=0)
    level = upper[0, 1] + height * (upper[-1, 1] - upper[0, 1])
    radius, lean = (np.interp(level, upper[:, 1], row) for row in (upper[:, 0], np.arctan2(slope[:, 1], -slope[:, 0])))
    button = ball(size, 0.04, size).turned("x", float(np.degrees(lean))).moved(0, level, radius).turned("y", azimuth)
    return Piece(shape=button.bent(_tilted), paint=plain(_SPOT, wear=0.12))


def _cap_paint(at: Place) -> Values:
    base = shaded(colour(_CAP), 0.88 + 0.24 * cloud(at.x * 3, at.y * 3, at.z * 3))
    base = over(base, colour("#8c1f22"), 0.7 * np.clip((0.3 - at.y) * 3, 0, 1))
    under = (at.facing[:, 1] < -0.2) & (np.hypot(at.x, at.z) < 1.17)
    gills = 0.72 + 0.28 * np.abs(repeated(at.around * 72, 1)) * 2
    return over(base, shaded(colour("#e8d3ae"), gills), under)


def _arch(width: float, height: float) -> Points:
    """An outline with a half-round top, its foot at y = 0."""
    turn = np.linspace(0, np.pi, 24)
    top = np.stack([width / 2 * np.cos(turn), height - width / 2 + width / 2 * np.sin(turn)], axis=1)
    return np.concatenate([[(-width / 2, 0), (0, 0), (width / 2, 0)], top])


def _door() -> list[Piece]:
    frame = slab(_arch(0.62, 0.86), 0.26, 0.05).moved(-0.04, -1.02, 0.56)
    leaf = slab(_arch(0.48, 0.76), 0.26, 0.02).moved(-0.04, -1.01, 0.6)
    knob = ball(0.04, 0.04, 0.04).moved(0.11, -0.68, 0.74)
    lamp = [
        Piece(shape=box(0.05, 0.05, 0.24, 0.02).moved(0.38, -0.32, 0.58), paint=plain(_FRAME)),
        Piece(
            shape=turned_solid([(0.06, -0.18), (0.08, -0.04)], 0.02).moved(0.38, -0.34, 0.69),
            paint=plain(_GLOW, wear=0.03),
        ),
        Piece(shape=turned_solid([(0.1, -0.04), (0.03, 0.05)], 0.02).moved(0.38, -0.34, 0.69), paint=plain("#3a3a3c")),
    ]
    return [
        Piece(shape=frame, paint=_frame_stones),
        Piece(shape=leaf, paint=_planks),
        Piece(shape=knob, paint=plain("#e0ad3c")),
        *lamp,
    ]


def _frame_stones(at: Place) -> Values:
    turn = np.where(
        at.y > 0.55, np.arctan2(at.y - 0.55, at.x) * 0.31, np.where(at.x > 0, at.y - 0.55, np.pi * 0.31 + 0.55 - at.y)
    )
    base = plain("#a9a196", wear=0.25, grain=8)(at)
    return over(base, colour("#6d665d"), np.abs(repeated(turn - 0.07, 0.139)) < 0.011)


def _planks(at: Place) -> Values:
    base = wood(at.x * 3, at.y * 3, np.floor(at.x / 0.12 + 0.5) * 3.1, "#4f8f86", "#2f625d")
    base = over(base, colour("#23413f"), np.abs(repeated(at.x + 0.06, 0.12)) < 0.008)
    hinges = (np.abs(np.abs(at.y - 0.3) - 0.17) < 0.024) & (at.x < 0.1)
    base = over(base, colour("#2f2f33"), hinges)
    base = over(base, colour("#2f2f33"), disc(at.x, at.y - 0.6, 0.08))
    return over(base, colour(_GLOW), disc(at.x, at.y - 0.6, 0.058))


def _windows() -> list[Piece]:
    pieces = []
    for azimuth, height, size in ((80, -0.36, 0.19), (200, -0.5, 0.17), (292, -0.28, 0.16)):
        reach = float(np.interp(height, (-0.6, -0.1), (0.615, 0.5)))
        pane = turned_solid([(size, 0), (size, 0.05)], 0.02).as_made().turned("x", 90)
        bars = [box(2 * size, 0.045, 0.05, 0.015).moved(z=0.06), box(0.045, 2 * size, 0.05, 0.015).moved(z=0.06)]
        rim = ring(size, 0.05).moved(z=0.03)
        for shape, paint in ((pane, _pane), (rim, _timber), *((bar, _timber) for bar in bars)):
            pieces.append(Piece(shape=shape.turned("x", -12).moved(0, height, reach).turned("y", azimuth), paint=paint))
    return pieces


def _pane(at: Place) -> Values:
    return over(np.broadcast_to(colour(_GLOW), (len(at.x), 3)), colour("#f08f35"), np.clip(at.z * 4 + 0.4, 0, 1))


def _timber(at: Place) -> Values:
    return plain(_FRAME, wear=0.2, grain=14)(at)


def _chimney() -> list[Piece]:
    stack = turned_solid([(0.17, 0.4), (0.16, 1.36)], 0.02)
    rim = turned_solid([(0.2, 1.34), (0.21, 1.46), (0.13, 1.47), (0.12, 1.43)], 0.03)
    return [
        Piece(shape=stack.turned("z", 5).moved(-0.52, 0, -0.3), paint=_bricks),
        Piece(shape=rim.turned("z", 5).moved(-0.52, 0, -0.3), paint=_stone),
    ]


def _bricks(at: Place) -> Values:
    row = np.floor(at.y / 0.085)
    turn = at.around * 8 + 0.5 * (row % 2)
    base = shaded(colour("#a8563c"), 0.75 + 0.5 * noise(np.floor(turn) % 8 * 1.7, row * 2.3, 0 * row))
    mortar = (np.abs(repeated(at.y, 0.085)) < 0.009) | (np.abs(repeated(turn, 1)) < 0.07)
    return over(base, colour("#d3c6b0"), mortar)


def _neighbours() -> list[Piece]:
    small = lathe(rounded([(0, 0.3), (0.12, 0.26), (0.27, 0.28), (0.2, 0.46), (0.08, 0.52), (0, 0.52)], 0.09)).as_made()
    stalk = tube(curve((0, -0.1, 0), (0.02, 0.15, 0), (0, 0.34, 0)), 0.085)
    place = {"x": 0.86, "y": -0.98, "z": 0.46}
    dots = [
        Piece(shape=_dot(azimuth, up).moved(**place), paint=plain(_SPOT, wear=0.05))
        for azimuth, up in ((10, 0.42), (85, 0.4), (160, 0.43), (235, 0.41), (305, 0.4))
    ]
    log = tube(curve((-0.98, -0.9, 0.1), (-0.86, -0.9, 0.5)), 0.12)
    return [
        Piece(shape=stalk.moved(**place), paint=_stem_paint),
        Piece(shape=small.moved(**place), paint=plain("#d8772e", wear=0.15)),
        *dots,
        Piece(shape=log, paint=_bark),
    ]


def _dot(azimuth: float, up: float) -> Shape:
    return ball(0.05, 0.02, 0.05).turned("x", 50).moved(0, up, 0.2).turned("y", azimuth)


def _bark(at: Place) -> Values:
    end = (at.along < 0.13) | (at.along > 0.87)
    base = shaded(colour("#7a5636"), 0.6 + 0.7 * noise(at.around * 22, at.along * 7, 0 * at.x))
    rings = np.abs(repeated(np.minimum(at.along, 1 - at.along) * 60, 1)) * 2
    cut = over(np.broadcast_to(colour("#d8b27c"), (len(at.x), 3)), colour("#a77a48"), 0.7 * rings)
    return over(base, cut, end)
