"""A potted cactus: a face glazed on its pot, an arm on its left, a flower on top, a small friend in the soil."""

import numpy as np

from modelling.paints import (
    Mask,
    Paint,
    Place,
    Values,
    cloud,
    colour,
    disc,
    noise,
    over,
    plain,
    repeated,
    shaded,
    stroke,
)
from modelling.pictures import Piece
from modelling.shapes import Points, Shape, ball, curve, lathe, rounded, tube, turned_solid

_CLAY, _GLAZE, _WHITE, _INK, _PINK = "#c96f45", "#3f8f93", "#fbf1de", "#3a2a26", "#e7637f"
_RIBS = 13


def cactus() -> list[Piece]:
    return [*_pot(), *_soil(), *_plant(), *_flower((0, 1.36, 0), 0.3, _PINK), *_friend()]


def _pot() -> list[Piece]:
    outline = [
        (0, -1.2),
        (0.52, -1.2),
        (0.66, -0.55),
        (0.66, -0.5),
        (0.78, -0.5),
        (0.8, -0.26),
        (0.7, -0.25),
        (0.69, -0.34),
        (0, -0.34),
    ]
    saucer = turned_solid([(0.56, -1.32), (0.78, -1.24), (0.8, -1.17), (0.7, -1.18), (0.6, -1.22)], 0.04)
    return [Piece(shape=lathe(rounded(outline, 0.05)), paint=_pot_paint), Piece(shape=saucer, paint=_saucer_paint)]


def _pot_paint(at: Place) -> Values:
    base = shaded(colour(_CLAY), 0.85 + 0.3 * cloud(at.x * 5, at.y * 5, at.z * 5))
    base = over(base, colour("#8f4a2f"), 0.4 * np.clip((noise(at.x * 40, at.y * 40, at.z * 40) - 0.75) * 4, 0, 1))
    rim = at.y > -0.51
    base = over(base, _zigzag(at), rim & (np.abs(at.y + 0.385) < 0.105) & (np.hypot(at.x, at.z) > 0.74))
    base = over(base, _leaves(at), ~rim & (np.abs(at.y + 0.87) < 0.27))
    base = over(base, colour(_GLAZE), ~rim & (np.abs(np.abs(at.y + 0.87) - 0.25) < 0.02))
    turn = repeated(at.around, 1)
    return _face(base, turn * 2 * np.pi * 0.62, at.y + 0.86, np.abs(turn) < 0.17)


def _zigzag(at: Place) -> Values:
    wave = np.abs(repeated(at.around * 24, 1)) * 2
    line = np.abs(at.y + 0.385 - 0.09 * (wave - 0.5)) < 0.026
    return over(np.broadcast_to(colour(_GLAZE), (len(at.x), 3)), colour(_WHITE), line)


def _leaves(at: Place) -> Values:
    """On white, all round but for the front, where the face is."""
    up = at.y + 0.86
    across = repeated(at.around - 0.5, 0.125) * 2 * np.pi * 0.62 - 0.5 * up
    leaf = ((across / 0.075) ** 2 + (up / 0.15) ** 2 < 1) & (np.abs(repeated(at.around, 1)) > 0.2)
    base = over(np.broadcast_to(colour(_WHITE), (len(at.x), 3)), colour("#5b9a57"), leaf)
    return over(base, colour("#2f6b3f"), leaf & (np.abs(across) < 0.01))


def _face(base: Values, x: Values, y: Values, where: Mask) -> Values:
    base = over(base, colour(_INK), where & disc(np.abs(x) - 0.2, (y - 0.04) * 0.85, 0.062))
    base = over(base, colour("#ffffff"), where & disc(np.abs(x + 0.02) - 0.2, y - 0.068, 0.02))
    smile = np.abs(np.hypot(x, y - 0.02) - 0.09) < 0.017
    base = over(base, colour(_INK), where & smile & (y < -0.015))
    return over(base, colour("#f2938c"), where & (((np.abs(x) - 0.33) / 0.065) ** 2 + ((y + 0.05) / 0.042) ** 2 < 1))


def _saucer_paint(at: Place) -> Values:
    base = plain(_CLAY, wear=0.16, grain=5)(at)
    return over(base, colour(_GLAZE), (np.hypot(at.x, at.z) > 0.72) & (at.y > -1.235) & (at.y < -1.185))


def _soil() -> list[Piece]:
    places = ((20, 0.52), (55, 0.6), (118, 0.55), (150, 0.6), (190, 0.5), (238, 0.58), (300, 0.6))
    shades = ("#d9d2c5", "#a59c91", "#ece6da", "#8d857c", "#cbbfae", "#b8aea2", "#ded6c9")
    pebbles = [
        Piece(
            shape=ball(0.085, 0.055, 0.07).turned("y", 50.0 * k).moved(r * np.sin(a), -0.29, r * np.cos(a)),
            paint=plain(code),
        )
        for k, ((a, r), code) in enumerate(zip([(np.radians(a), r) for a, r in places], shades, strict=True))
    ]
    return [Piece(shape=ball(0.69, 0.07, 0.69).moved(y=-0.32), paint=_earth), *pebbles]


def _earth(at: Place) -> Values:
    return shaded(colour("#5a4030"), 0.6 + 0.8 * noise(at.x * 22, at.y * 22, at.z * 22))


def _ribbed(turn: Points) -> Points:
    return 1 + 0.075 * np.cos(2 * np.pi * _RIBS * turn)


def _ribbed_arm(turn: Points) -> Points:
    return 1 + 0.07 * np.cos(2 * np.pi * 9 * turn)


def _plant() -> list[Piece]:
    angle = np.linspace(0, np.pi / 2, 24)
    dome = np.stack([0.47 * np.cos(angle), 0.82 + 0.55 * np.sin(angle)], axis=1)
    dome[-1, 0] = 0
    height = np.linspace(-0.36, 0.8, 40)
    flank = np.stack([0.47 - 0.09 * ((0.8 - height) / 1.16) ** 2, height], axis=1)
    body = lathe(np.concatenate([[(0, -0.36)], flank, dome]), _ribbed)
    left = tube(curve((0.3, 0.22, 0), (0.68, 0.2, 0.03), (0.88, 0.42, 0.04), (0.88, 0.82, 0.02)), 0.2, _ribbed_arm)
    right = tube(curve((-0.34, 0.62, -0.02), (-0.58, 0.66, -0.04), (-0.66, 0.84, -0.05), count=30), 0.145, _ribbed_arm)
    return [
        Piece(shape=body, paint=_body_paint),
        Piece(shape=left, paint=_arm_paint),
        Piece(shape=right, paint=_arm_paint),
        *_flower((0.88, 1.0, 0.02), 0.15, "#f3a33c"),
    ]


def _green(at: Place, rib: Values) -> Values:
    """``rib``: 0 in the valleys between the ribs, 1 on their crests."""
    base = over(np.broadcast_to(colour("#2f6d43"), (len(at.x), 3)), colour("#6bb05c"), rib)
    return shaded(base, 0.88 + 0.24 * cloud(at.x * 5, at.y * 5, at.z * 5))


def _body_paint(at: Place) -> Values:
    crest = 0.5 + 0.5 * np.cos(2 * np.pi * _RIBS * at.around)
    base = _green(at, crest)
    rib = np.rint(at.around * _RIBS)
    across = repeated(at.around * _RIBS, 1) * 2 * np.pi * np.hypot(at.x, at.z) / _RIBS
    up = repeated(at.y + 0.065 * (rib % 2), 0.13)
    return _spines(base, across, up, at.y < 1.26)


def _arm_paint(at: Place) -> Values:
    base = _green(at, 0.5 + 0.5 * np.cos(2 * np.pi * 9 * at.around))
    rib = np.rint(at.around * 9)
    across = repeated(at.around * 9, 1) * 2 * np.pi * 0.2 / 9
    up = repeated(at.along * 14 + 0.5 * (rib % 2), 1) * 0.12
    return _spines(base, across, up, np.abs(at.along - 0.5) < 0.44)


def _spines(base: Values, across: Values, up: Values, where: Mask) -> Values:
    """Cushions with three pale prickles each."""
    base = over(base, colour("#e9dfb0"), where & disc(across, up, 0.017))
    for tip in ((-0.034, 0.02), (0.034, 0.02), (0.0, -0.036)):
        base = over(base, colour("#fbf6dc"), where & stroke(across, up, (0, 0), tip, 0.011))
    return base


def _flower(centre: tuple[float, float, float], size: float, code: str) -> list[Piece]:
    petals = []
    for circle, (count, lift, reach) in enumerate(((8, 22, 0.62), (6, 52, 0.38))):
        for k in range(count):
            petal = _petal(size).turned("x", -lift).moved(0, 0.1 * size * circle, reach * size)
            petal = petal.turned("y", 360 / count * (k + 0.5 * circle)).moved(*centre)
            petals.append(Piece(shape=petal, paint=_petal_paint(code, size)))
    heart = ball(0.28 * size, 0.3 * size, 0.28 * size).moved(centre[0], centre[1] + 0.16 * size, centre[2])
    return [*petals, Piece(shape=heart, paint=plain("#f5c542", wear=0.3, grain=30))]


def _petal(size: float) -> Shape:
    return ball(0.32 * size, 0.1 * size, 0.62 * size)


def _petal_paint(code: str, size: float) -> Paint:
    def paint(at: Place) -> Values:
        towards_tip = np.clip(0.5 + at.z / (1.24 * size), 0, 1)
        base = over(np.broadcast_to(colour(code), (len(at.x), 3)), colour("#ffe3dc"), 0.65 * towards_tip**2)
        return shaded(base, 0.9 + 0.1 * np.cos(at.x / size * 30))

    return paint


def _friend() -> list[Piece]:
    """A round little cactus at the front, on the object's right."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 40)
    profile = np.stack([0.19 * np.cos(angle), 0.17 * np.sin(angle)], axis=1)
    profile[[0, -1], 0] = 0
    globe = lathe(profile, lambda turn: 1 + 0.06 * np.cos(2 * np.pi * 10 * turn))
    place = (-0.36, -0.17, 0.42)
    return [
        Piece(shape=globe.moved(*place), paint=_friend_paint),
        *_flower((place[0], place[1] + 0.17, place[2]), 0.11, "#fff0d2"),
    ]


def _friend_paint(at: Place) -> Values:
    crest = 0.5 + 0.5 * np.cos(2 * np.pi * 10 * at.around)
    base = over(_green(at, crest), colour("#9cc26a"), 0.35 * crest)
    across = repeated(at.around * 10, 1) * 2 * np.pi * np.hypot(at.x, at.z) / 10
    return _spines(base, across, repeated(at.y + 0.03, 0.08), np.abs(at.y) < 0.13)
