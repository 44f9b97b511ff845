"""A harbour tug: rope fender at the bow, tyres along the hull, wheelhouse, leaning funnel, a crate on deck."""

import numpy as np

from modelling.paints import Place, Values, colour, disc, noise, over, panel, plain, repeated, shaded, wood
from modelling.pictures import Piece
from modelling.shapes import Points, Shape, ball, box, curve, loft, ring, tube, turned_solid

_NAVY, _RED, _CREAM, _YELLOW, _DARK = "#23466e", "#b93a2c", "#f3ead6", "#eab03c", "#23282e"
_GLASS, _ROPE, _RUBBER = "#5d8fa8", "#c9a468", "#33363b"


def tugboat() -> list[Piece]:
    return [*_hull(), *_house(), *_funnel(), *_gear(), *_aft_deck()]


def _half_beam(z: Points) -> Points:
    """Full amidships, round at the stern, pointed at the bow; z from -1.6 to 1.7."""
    aft = np.sqrt(np.clip(1 - ((-0.5 - z) / 1.12) ** 2, 0, 1))
    fore = np.clip(1 - (np.clip(z - 0.1, 0, None) / 1.62) ** 2.3, 0, 1)
    return 0.72 * np.where(z < -0.5, aft, fore)


def _deck(z: Points) -> Points:
    """Height of the deck's edge: it rises towards the bow."""
    return 0.08 + 0.3 * np.clip((z + 0.2) / 1.9, 0, 1) ** 2 + 0.05 * np.clip((-z - 0.6) / 1.0, 0, 1) ** 2


def _hull() -> list[Piece]:
    stations = 0.05 - 1.67 * np.cos(np.linspace(0, np.pi, 90))
    rail = [_edge(stations, side) for side in (-1, 1)]
    around = np.concatenate([rail[0], rail[1][::-1]])
    return [
        Piece(shape=_hull_shape(), paint=_hull_paint),
        Piece(shape=tube(around - np.array([0, 0.01, 0]), 0.075), paint=plain(_DARK, wear=0.1)),
    ]


def _edge(z: Points, side: int) -> Points:
    return np.stack([side * _half_beam(z), _deck(z), z], axis=1)


def _hull_shape() -> Shape:
    """Sections from stern to bow: round bilges below, planks of the deck above."""
    stations = -0.01 + 1.6 * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 80))
    stations = np.where(stations > 0, stations * 1.71 / 1.59, stations)
    angle = np.linspace(0, np.pi, 48)
    across, down = np.cos(angle), np.sin(angle)
    rings = []
    for z in stations:
        beam, deck = float(_half_beam(np.array(z))), float(_deck(np.array(z)))
        keel = -0.62 + 0.3 * np.clip((z - 0.9) / 0.8, 0, 1) ** 2 + 0.35 * np.clip((-z - 0.9) / 0.7, 0, 1) ** 2
        flare = np.sign(across) * np.abs(across) ** 0.62
        below = np.stack([beam * flare, deck - (deck - keel) * down**0.8, 0 * angle + z], axis=1)
        top = np.linspace(-1, 1, 17)[1:-1]
        above = np.stack([beam * top, deck + 0.03 * (1 - top**2), 0 * top + z], axis=1)
        rings.append(np.concatenate([below, above]))
    ends = [np.broadcast_to(rings[k].mean(axis=0), rings[k].shape) for k in (0, -1)]
    return loft(np.array([ends[0], *rings, ends[1]]))


def _hull_paint(at: Place) -> Values:
    worn = 0.9 + 0.2 * noise(at.x * 5, at.y * 3, at.z * 5)
    base = over(np.broadcast_to(colour(_NAVY), (len(at.x), 3)), colour(_RED), at.y < -0.3)
    base = over(base, colour(_CREAM), np.abs(at.y + 0.28) < 0.035)
    line = _deck(at.z) - at.y
    base = over(base, colour(_YELLOW), np.abs(line - 0.17) < 0.016)
    bow = (at.z > 0.93) & (at.z < 1.45) & (np.abs(line - 0.3) < 0.3)
    base = over(base, colour(_CREAM), bow & (np.hypot(at.z - 1.18, line - 0.32) < 0.085) & (at.y > -0.2))
    base = over(base, colour(_DARK), bow & (np.hypot(at.z - 1.18, line - 0.32) < 0.055))
    base = shaded(base, worn)
    planks = wood(at.x * 3, at.z * 3, np.floor(at.x / 0.11) * 3.7, "#c08a52", "#8a5a30")
    seams = (np.abs(repeated(at.x, 0.11)) < 0.008) | (
        np.abs(repeated(at.z + 0.37 * np.floor(at.x / 0.11 + 0.5), 0.9)) < 0.008
    )
    planks = over(planks, colour("#4b3420"), seams)
    return over(base, planks, at.facing[:, 1] > 0.6)


def _house() -> list[Piece]:
    lights = [
        Piece(shape=ball(0.06, 0.06, 0.06).moved(side * 0.44, 0.98, 0.44), paint=plain(code, wear=0.02))
        for side, code in ((1, "#c9352c"), (-1, "#3c9a52"))
    ]
    return [
        Piece(shape=box(0.86, 0.52, 1.3, 0.06).moved(0, 0.36, 0.1), paint=_cabin),
        Piece(shape=box(0.94, 0.06, 1.4, 0.03).moved(0, 0.63, 0.1), paint=_varnish),
        Piece(shape=box(0.76, 0.5, 0.68, 0.07).bent(_raked).moved(0, 0.88, 0.36), paint=_wheelhouse),
        Piece(shape=box(0.92, 0.09, 0.9, 0.045).moved(0, 1.15, 0.37), paint=plain(_RED, wear=0.08)),
        Piece(
            shape=turned_solid([(0.09, 1.18), (0.09, 1.3), (0.13, 1.33), (0.13, 1.42)], 0.04).moved(z=0.55), paint=_lamp
        ),
        *lights,
    ]


def _raked(points: Points) -> Points:
    """The windows of the wheelhouse lean forward."""
    return points + np.stack(
        [0 * points[:, 1], 0 * points[:, 1], 0.18 * (points[:, 1] + 0.25) * (points[:, 2] > 0)], axis=1
    )


def _cabin(at: Place) -> Values:
    base = plain(_CREAM, wear=0.07, grain=5)(at)
    boards = wood(at.y * 3, (at.x + at.z) * 2, 0 * at.x, "#a5673a", "#6e3f20")
    base = over(base, boards, at.y < -0.12)
    base = over(base, colour("#6e3f20"), np.abs(at.y + 0.12) < 0.012)
    on_side = np.abs(at.facing[:, 0]) > 0.7
    ports = on_side & disc(np.abs(at.z + 0.1) - 0.3, at.y - 0.05, 0.115) & ~((at.facing[:, 0] > 0) & (at.z > 0))
    base = over(base, colour(_YELLOW), ports)
    base = over(base, _glass(at.z, at.y), ports & disc(np.abs(at.z + 0.1) - 0.3, at.y - 0.05, 0.083))
    door = panel(at.z - 0.25, at.y + 0.01, 0.34, 0.44, 0.07)
    on_left = at.facing[:, 0] > 0.7
    base = over(base, colour(_DARK), on_left & (door < 0.015))
    base = over(base, wood(at.z * 4, at.y * 4, 0 * at.x, "#c27b43", "#85502a"), on_left & (door < 0))
    base = over(base, _glass(at.z, at.y), on_left & (panel(at.z - 0.25, at.y - 0.08, 0.2, 0.17, 0.04) < 0))
    base = over(base, colour(_YELLOW), on_left & disc(at.z - 0.13, at.y + 0.07, 0.024))
    front = at.facing[:, 2] > 0.7
    base = over(base, colour(_YELLOW), front & (disc(np.abs(at.x) - 0.22, at.y - 0.03, 0.105)))
    return over(base, _glass(at.x, at.y), front & disc(np.abs(at.x) - 0.22, at.y - 0.03, 0.075))


def _glass(across: Values, up: Values) -> Values:
    """Panes with a slanting glint."""
    base = over(np.broadcast_to(colour("#2f5570"), (len(up), 3)), colour(_GLASS), np.clip(0.5 + 2 * up, 0, 1))
    return over(base, colour("#b9d8e2"), np.abs(repeated(across + 0.6 * up - 0.05, 0.5)) < 0.035)


def _wheelhouse(at: Place) -> Values:
    base = plain(_CREAM, wear=0.06, grain=5)(at)
    along_x = np.abs(at.facing[:, 2]) > 0.6
    across, width = np.where(along_x, at.x, at.z), np.where(along_x, 0.235, 0.29)
    pane = panel(across - np.rint(across / width - 0.0) * width, at.y - 0.05, 0.195, 0.24, 0.03)
    wall = (np.abs(at.facing[:, 1]) < 0.6) & (np.abs(across) < np.where(along_x, 0.34, 0.27))
    wall &= ~((at.facing[:, 2] < -0.6) & (np.abs(at.x) > 0.12))
    base = over(base, colour("#7b4a26"), wall & (pane < 0.018))
    base = over(base, _glass(across, at.y), wall & (pane < 0))
    return over(base, colour(_NAVY), np.abs(at.y + 0.17) < 0.022)


def _lamp(at: Place) -> Values:
    return over(plain(_DARK)(at), colour("#ffe9a8"), (at.y > 1.335) & (at.facing[:, 2] > 0.2))


def _varnish(at: Place) -> Values:
    return wood(at.x * 3, at.z * 2, at.y * 3, "#a5673a", "#6e3f20")


def _funnel() -> list[Piece]:
    stack = turned_solid([(0.25, 0), (0.235, 0.72), (0.27, 0.73), (0.27, 0.79), (0.2, 0.8), (0.19, 0.76)], 0.02)
    return [
        Piece(shape=turned_solid([(0.31, 0), (0.28, 0.08)], 0.03).moved(0, 0.64, -0.28), paint=plain(_DARK)),
        Piece(shape=stack.turned("x", -9).moved(0, 0.65, -0.28), paint=_bands),
    ]


def _bands(at: Place) -> Values:
    base = plain(_RED, wear=0.1)(at)
    base = over(base, colour(_CREAM), np.abs(at.y - 0.44) < 0.11)
    base = over(base, colour(_DARK), at.y > 0.62)
    turn = repeated(at.around + 0.25, 0.5) * 2 * np.pi * 0.24
    anchor = disc(turn, at.y - 0.44, 0.085) & ~disc(turn, at.y - 0.46, 0.058) & (at.y < 0.455)
    anchor |= (np.abs(turn) < 0.014) & (np.abs(at.y - 0.44) < 0.085)
    anchor |= (np.abs(at.y - 0.49) < 0.013) & (np.abs(turn) < 0.04)
    return over(base, colour(_NAVY), anchor)


def _gear() -> list[Piece]:
    pieces = []
    for side in (-1, 1):
        for z in (-1.02, -0.38, 0.3, 0.86):
            beam, deck = float(_half_beam(np.array(z))), float(_deck(np.array(z)))
            lean = np.degrees(
                np.arctan2(float(_half_beam(np.array(z - 0.1))) - float(_half_beam(np.array(z + 0.1))), 0.2)
            )
            tyre = ring(0.14, 0.062).turned("y", side * (90 - lean)).moved(side * (beam + 0.03), deck - 0.17, z)
            pieces.append(Piece(shape=tyre, paint=_tyre))
    path = np.concatenate([_edge(np.linspace(1.3, 1.71, 24), -1), _edge(np.linspace(1.71, 1.3, 24), 1)])
    bow = tube(path + np.array([0, -0.12, 0.03]), 0.115)
    buoy = ring(0.15, 0.055).turned("y", 90).moved(-0.46, 0.42, 0.42)
    return [*pieces, Piece(shape=bow, paint=_rope), Piece(shape=buoy, paint=_buoy)]


def _tyre(at: Place) -> Values:
    base = plain(_RUBBER, wear=0.15)(at)
    return shaded(base, 1 - 0.35 * (np.abs(repeated(at.along, 1 / 28)) < 0.005) * (np.hypot(at.x, at.y) > 0.15))


def _rope(at: Place) -> Values:
    strand = np.abs(repeated(at.along * 26 + at.around, 1)) * 2
    return shaded(plain(_ROPE, wear=0.1)(at), 0.6 + 0.5 * strand)


def _buoy(at: Place) -> Values:
    return over(plain("#f6f1e4")(at), colour(_RED), np.abs(repeated(at.along + 0.125, 0.25)) < 0.06)


def _aft_deck() -> list[Piece]:
    posts = [
        Piece(
            shape=turned_solid([(0.06, 0), (0.06, 0.2), (0.085, 0.21), (0.085, 0.27)], 0.02).moved(x, 0.1, -1.2),
            paint=plain(_DARK),
        )
        for x in (-0.1, 0.1)
    ]
    coil = [
        Piece(shape=ring(0.16, 0.05).turned("x", 90).moved(-0.36, 0.17 + 0.075 * k, -0.86), paint=_rope)
        for k in range(2)
    ]
    bar = tube(curve((-0.2, 0.28, -1.2), (0.2, 0.28, -1.2), count=12), 0.045)
    crate = box(0.36, 0.34, 0.36, 0.025).turned("y", 14).moved(0.3, 0.28, -0.82)
    return [*posts, *coil, Piece(shape=bar, paint=plain(_DARK)), Piece(shape=crate, paint=_crate)]


def _crate(at: Place) -> Values:
    flat = [np.where(np.abs(at.x) > 0.165, at.z, at.x), np.where(np.abs(at.y) > 0.155, at.z, at.y)]
    base = wood(flat[0] * 4, flat[1] * 4, np.floor(flat[1] / 0.085) * 3, "#d0a062", "#9a6a38")
    base = over(base, colour("#5d3f20"), np.abs(repeated(flat[1], 0.085)) < 0.007)
    frame = np.maximum(np.abs(flat[0]) / 0.18, np.abs(flat[1]) / 0.17) > 0.74
    base = over(base, wood(flat[1] * 4, flat[0] * 4, 0 * at.x, "#b07f45", "#7b5228"), frame)
    nails = disc(np.abs(flat[0]) - 0.152, np.abs(flat[1]) - 0.142, 0.013)
    return over(base, colour("#3b2a18"), nails)
