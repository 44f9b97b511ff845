"""The eight views: names, camera frames, and how a file name is recognised as a view.

Frame of reference: glTF, right-handed, +Y up, the object's front faces +Z, so the object's own left side is on +X.
Azimuth is measured around +Y from +Z towards +X; elevation from the XZ plane towards +Y.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import cos, radians, sin
from os.path import commonprefix

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

_BEHIND = frozenset(
    {"leftback", "backleft", "rightback", "backright", "leftrear", "rearleft", "rightrear", "rearright"}
)
"""Diagonal views that artists render and the model does not take: recognised, so that none passes for a side view."""

_NAMES = ALIASES.keys() | _BEHIND

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+|[^\W\d_]+")
_AZIMUTH = re.compile(r"[0-9]{3}")
_IMAGE_WORDS = frozenset({"image", "view"})
_VIEW_WORDS = frozenset(
    {"front", "left", "right", "back", "rear", "behind", "top", "above", "bottom", "below", "underside"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One way to read a file name: the view it may speak of, and the words that are left for the object's name."""

    view: View | None
    """None: a diagonal view that the model does not take."""
    rest: tuple[str, ...]
    length: int
    """Words that make the view's name."""


def recognise(file_name: str) -> View | None:
    """The view that a picture's file name speaks of, or None.

    A view's name counts as whole words anywhere in the stem, case and separators ignored, longest first:
    ``front.png``, ``chair_front.jpg``, ``left-front.webp``, ``front view (2).png``, ``frontImage.png``. A stem with
    one azimuth in degrees (``045.png``, ``chair_090.png``) names a side view. A name that speaks of several views
    (``front_back.png``) names none.
    """
    return recognise_all([file_name])[file_name]


def recognise_all(file_names: Iterable[str], folder: str = "") -> dict[str, View | None]:
    """The view of each picture of one set.

    Names that speak of several views are read by what the pictures share: where most names leave the same words over
    (``left_shoe_front``, ``left_shoe_back``: *left shoe*), or where a name leaves words of the folder's name over,
    those are the object's and the remaining ones tell the view. Numbers are azimuths only if all of them are.

    Args:
        file_names: names of picture files, each once.
        folder: the name of the folder they lie in.
    """
    names = tuple(file_names)
    if alike := recognise_alike(names):
        return dict(alike)
    stems = _stems(names)
    readings = {name: _readings(stem) for name, stem in stems.items()}
    open_names = [found for found in readings.values() if len(found) > 1 and found[0].rest]
    subject = _subject(readings.values(), frozenset(_words(folder))) if open_names else None
    views = {name: _choose(stem, subject) for name, stem in stems.items()}
    wordless = {name: stems[name] for name, found in readings.items() if not found}
    return views | (_by_azimuth(wordless) if wordless else {})


def _stems(file_names: Sequence[str]) -> dict[str, str]:
    return {name: name.rpartition(".")[0] or name for name in file_names}


@lru_cache(maxsize=1024)  # thousands of folders may hold files of the very same names
def recognise_alike(file_names: tuple[str, ...]) -> Mapping[str, View]:
    """The views of names that differ in nothing else (``chair_front``, ``chair_left``): the usual case, read quickly.

    Empty when they are not like that, or when the shared words end with a view's (``shoe_left_front``).
    """
    by_name = _stems(file_names)
    stems = list(by_name.values())
    shared = commonprefix(stems) if len(stems) > 1 else ""  # noqa: RUF071 - by character is meant
    shared = shared[: max((shared.rfind(sign) + 1 for sign in "_- ."), default=0)]
    words = _words(shared)
    if words and (words[-1] in _VIEW_WORDS or (words[-1].isdigit() and _VIEW_WORDS.intersection(words))):
        return {}
    views = {name: view for name, stem in by_name.items() if (view := is_view_name(stem[len(shared) :]))}
    return views if len(views) == len(by_name) else {}


@lru_cache(maxsize=4096)
def is_view_name(text: str) -> View | None:
    """The view, if the text says nothing else: ``front``, ``Left-Front``, ``front view 2``, ``045``."""
    words = _words(text)
    found = next((one for one in _readings(text) if not one.rest), None)
    if found is None:
        return _azimuth_of(text) if len(words) == 1 else None
    return None if words[0].isdigit() or words[0] in _IMAGE_WORDS else found.view


def _words(stem: str) -> list[str]:
    """``chair_leftFront-2`` -> ``[chair, left, front, 2]``; ``frontview`` -> ``[front]``."""
    words = (word.lower() for word in _WORD.findall(stem))
    return [_without_image_word(word) for word in words]


def _without_image_word(word: str) -> str:
    short = word.removesuffix("view").removesuffix("image")
    return short if short in ALIASES else word


@lru_cache(maxsize=65_536)
def _readings(stem: str) -> tuple[_Reading, ...]:
    """All ways to read a stem, the longest names of views first; a view named as a whole leaves no words over."""
    words = _words(stem)
    found = []
    for length in (2, 1):
        for at in range(len(words) - length + 1):
            name = "".join(words[at : at + length])
            if name in _NAMES:
                rest = _object_words((*words[:at], *words[at + length :]))
                found.append(_Reading(view=ALIASES.get(name), rest=rest, length=length))
    return tuple(sorted(found, key=lambda one: (bool(one.rest), -one.length)))


def _object_words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _IMAGE_WORDS and not word.isdigit())


def _subject(names: Iterable[tuple[_Reading, ...]], folder_words: frozenset[str]) -> tuple[str, ...] | None:
    """The object's name: the words that most names leave over, two at least or one of them the folder's own."""
    votes: Counter[tuple[str, ...]] = Counter()
    for readings in names:
        votes.update({one.rest for one in readings if one.rest})
    scores = {
        rest: count + rest_is_folders
        for rest, count in votes.items()
        if (rest_is_folders := folder_words.issuperset(rest)) or not _VIEW_WORDS.issuperset(rest)
    }
    best = max(scores, key=lambda rest: (scores[rest], -len(rest), rest), default=None)
    return best if best is not None and scores[best] > 1 else None


def _choose(stem: str, subject: tuple[str, ...] | None) -> View | None:
    readings = _readings(stem)
    if readings and not readings[0].rest:
        return readings[0].view
    fitting = [one for one in readings if one.rest == subject]
    return fitting[0].view if fitting else _alone(_words(stem))


def _alone(words: Sequence[str]) -> View | None:
    """The one view that the words of a name speak of, longest names first; None when they speak of several."""
    found: set[View | None] = set()
    at = 0
    while at < len(words):
        length = next((length for length in (2, 1) if "".join(words[at : at + length]) in _NAMES), 0)
        if length:
            found.add(ALIASES.get("".join(words[at : at + length])))
        at += length or 1
    return found.pop() if len(found) == 1 else None


def _by_azimuth(stems: Mapping[str, str]) -> dict[str, View | None]:
    """Views by number, for names without any word for a view; no name at all when a number is no multiple of 45."""
    turns = {f"{degrees:03}" for degrees in range(0, 360, 45)}
    numbers = [_numbers(stem) for stem in stems.values()]
    is_turntable = all(turns.intersection(found) for found in numbers if found)
    return {name: _azimuth_of(stem) if is_turntable else None for name, stem in stems.items()}


def _azimuth_of(stem: str) -> View | None:
    """The view at the stem's last number, when it is the only one, or the only azimuth, of three digits."""
    found = [AZIMUTHS[int(number)] for number in _numbers(stem) if int(number) in AZIMUTHS]
    return found[-1] if len(set(found)) == 1 else None


def _numbers(stem: str) -> list[str]:
    return [word for word in _words(stem) if _AZIMUTH.fullmatch(word)]
