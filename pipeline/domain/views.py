"""The eight views: names, camera frames, and how a file name is recognised as a view.

Frame of reference: glTF, right-handed, +Y up, the object's front faces +Z, so the object's own left side is on +X.
Azimuth is measured around +Y from +Z towards +X; elevation from the XZ plane towards +Y.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from math import cos, radians, sin
from pathlib import PurePath

Vector = tuple[float, float, float]


class View(StrEnum):
    """One of the eight named camera directions, in the order the service names them."""

    FRONT = "front"
    LEFT = "left"
    RIGHT = "right"
    BACK = "back"
    TOP = "top"
    BOTTOM = "bottom"
    LEFT_FRONT = "leftFront"
    RIGHT_FRONT = "rightFront"

    @property
    def field(self) -> str:
        """The name of this view's input at the service, such as ``leftFrontImage``."""
        return f"{self.value}Image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Where the camera of a view sits (seen from the origin) and how its picture is turned; unit vectors."""

    azimuth_deg: float
    elevation_deg: float
    right: Vector
    up: Vector
    backward: Vector
    """From the object towards the camera."""


def _side(azimuth_deg: float) -> Camera:
    a = radians(azimuth_deg)
    return Camera(
        azimuth_deg=azimuth_deg,
        elevation_deg=0,
        right=(round(cos(a), 15), 0.0, round(-sin(a), 15)),
        up=(0.0, 1.0, 0.0),
        backward=(round(sin(a), 15), 0.0, round(cos(a), 15)),
    )


CAMERAS: dict[View, Camera] = {
    View.FRONT: _side(0),
    View.LEFT_FRONT: _side(45),
    View.LEFT: _side(90),
    View.BACK: _side(180),
    View.RIGHT: _side(270),
    View.RIGHT_FRONT: _side(315),
    View.TOP: Camera(
        azimuth_deg=0, elevation_deg=90, right=(1.0, 0.0, 0.0), up=(0.0, 0.0, -1.0), backward=(0.0, 1.0, 0.0)
    ),
    View.BOTTOM: Camera(
        azimuth_deg=0, elevation_deg=-90, right=(1.0, 0.0, 0.0), up=(0.0, 0.0, 1.0), backward=(0.0, -1.0, 0.0)
    ),
}

ORTHOGRAPHIC_WIDTH = 1.1
"""World units across the longer side of an orthographic picture; the object fits a sphere of radius 0.5."""

ALIASES: dict[str, View] = {
    "front": View.FRONT,
    "left": View.LEFT,
    "right": View.RIGHT,
    "back": View.BACK,
    "rear": View.BACK,
    "behind": View.BACK,
    "top": View.TOP,
    "above": View.TOP,
    "bottom": View.BOTTOM,
    "below": View.BOTTOM,
    "underside": View.BOTTOM,
    "leftfront": View.LEFT_FRONT,
    "frontleft": View.LEFT_FRONT,
    "rightfront": View.RIGHT_FRONT,
    "frontright": View.RIGHT_FRONT,
}
"""Every word (lower case, separators dropped) that names a view. A new alias is one line here."""

AZIMUTHS: dict[int, View] = {
    int(camera.azimuth_deg): view for view, camera in CAMERAS.items() if camera.elevation_deg == 0
}
"""Views by azimuth in degrees, for pictures named ``000.png``, ``045.png``, ..."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+|[^\W\d_]+")
_AZIMUTH = re.compile(r"[0-9]{3}")
_IMAGE_WORDS = frozenset({"image", "view"})


def _words(stem: str) -> list[str]:
    """``chair_leftFront-2`` -> ``[chair, left, front, 2]``."""
    return [word.lower() for word in _WORD.findall(stem)]


def recognise(file_name: str) -> View | None:
    """The view that a picture's file name speaks of, or None.

    A view's name counts as whole words anywhere in the stem, case and separators ignored, longest first:
    ``front.png``, ``chair_front.jpg``, ``left-front.webp``, ``front view (2).png``, ``frontImage.png``. A stem that is
    one azimuth in degrees (``045.png``, ``chair_090.png``) names a side view. A name that speaks of several views
    (``front_back.png``) names none.
    """
    words = _words(PurePath(file_name).stem)
    found: list[View] = []
    at = 0
    while at < len(words):
        for length in (2, 1):
            if view := ALIASES.get("".join(words[at : at + length])):
                found.append(view)
                at += length
                break
        else:
            at += 1
    if found:
        return found[0] if len(set(found)) == 1 else None
    return _by_azimuth([word for word in words if word not in _IMAGE_WORDS])


def _by_azimuth(words: list[str]) -> View | None:
    numbers = [word for word in words if _AZIMUTH.fullmatch(word)]
    return AZIMUTHS.get(int(numbers[-1])) if len(numbers) == 1 else None
