"""What of a view image is the object: its coverage of each pixel, from transparency or against a plain background."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.backgrounds import background
from pipeline.geometry.checkers import checkers, evened
from pipeline.geometry.distances import nearest_marked, softened
from pipeline.geometry.matting import matte
from pipeline.geometry.pieces import pieces, run_count
from pipeline.geometry.progress import Progress, unheard
from pipeline.geometry.resampling import resampled
from pipeline.geometry.threads import shared_out
from pipeline.geometry.transparency import opacity, unshadowed

_ALPHA_EDGE_PX = 1
"""How far an edge with straight alpha reaches."""
_FOUND_EDGE_PX = 1.5
"""The same where the edge was found against a background, which is taken out of its colours."""
_HALF = np.float32(0.5)
_RUNS, _SPECKS, _SPECK = 8, 2_000, 1e-3
"""Noise has more runs of pixels a row, and more pieces; specks are smaller than that part of the largest."""
_ALIKE = 0.9
"""Opposite outlines that overlap by so much (intersection over union) show one object in one frame."""
_MARGIN = "leave a margin of plain background around the object, or make the background transparent"
_REDO = "replace the picture, or clean its transparency"
_REAL = "export it with real transparency, or before a plain background"
_FAINT = 0.08
"""An outline so much of which hardly differs from the background is doubtful."""
_OPPOSITES = ((View.FRONT, View.BACK), (View.LEFT, View.RIGHT), (View.TOP, View.BOTTOM))


class ReconstructionError(ValueError):
    """The pictures give no object; the text names the view, what is wrong with it, and the mend."""

    def __init__(self, found: str, mend: str = "") -> None:
        super().__init__(f"{found}; {mend}" if mend else found)
        self.found = found
        self.mend = mend


@dataclass(frozen=True, slots=True, kw_only=True)
class Silhouette:
    """A view image as the engine works with it: a square of S x S pixels around the picture's centre."""

    coverage: NDArray[np.float32]
    """(S, S) how much of each pixel the object covers, 0..1."""
    colours: NDArray[np.uint8]
    """(S, S, 3) sRGB; the object's own only inside it, and further than ``impure_px`` from its outline."""
    impure_px: float
    given: bool
    """Whether the picture was transparent; else the coverage was found against its background."""
    faint: float = 0.0
    """The part of the outline where the object hardly differs from its background."""


def pure_colours(seen: Silhouette, distance_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(S, S, 3) the object's colours, carried on over its outline: each impure pixel takes the nearest pure one's.

    ``distance_px`` is the signed distance from the outline. Parts too thin to have a pure inside keep their colours.
    """
    inside, pure = distance_px < 0, distance_px < -seen.impure_px
    marked = _with_thin(pure, inside, 2 * seen.impure_px + 1) if pure.any() else inside
    rows, columns = nearest_marked(marked)
    carried: NDArray[np.uint8] = _taken(seen.colours, rows, columns)
    return carried


@njit(cache=True, nogil=True)
def _with_thin(pure: NDArray[np.bool_], inside: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """The pure pixels, and those inside that have no pure one within ``reach`` pixels."""
    (height, width), most, marked = pure.shape, int(reach), pure.copy()
    for row in range(height):
        for column in range(width):
            if pure[row, column] or not inside[row, column]:
                continue
            thin = True
            for j in range(max(row - most, 0), min(row + most + 1, height)):
                for i in range(max(column - most, 0), min(column + most + 1, width)):
                    if pure[j, i] and (j - row) ** 2 + (i - column) ** 2 <= reach * reach:
                        thin = False
            marked[row, column] = thin
    return marked


@njit(cache=True, nogil=True)
def _taken(colours: NDArray[np.uint8], rows: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Each pixel's colour from the row and column given for it."""
    taken = np.empty((*rows.shape, 3), np.uint8)
    for row in range(len(rows)):
        for column in range(rows.shape[1]):
            j, i = rows[row, column], columns[row, column]
            for channel in range(3):
                taken[row, column, channel] = colours[j, i, channel]
    return taken


def silhouettes(
    pictures: Mapping[View, NDArray[np.uint8]], size: int, progress: Progress = unheard
) -> dict[View, Silhouette]:
    """Cut the object out of all (H, W, 4) straight-alpha sRGB pictures of a set; in the order of ``View``.

    Raises ReconstructionError as ``silhouette`` does.
    """
    views = [view for view in View if view in pictures]
    seen = shared_out(lambda view: silhouette(view, pictures[view], size), views, progress)
    return dict(zip(views, seen, strict=True))


def silhouette(view: View, picture: NDArray[np.uint8], size: int) -> Silhouette:
    """Cut the object out of a straight-alpha (H, W, 4) picture, on a square of ``size`` pixels.

    Raises ReconstructionError when there is nothing but background, or none of it.
    """
    meant, faint = opacity(picture), 0.0
    if meant is None:
        coverage, colours, faint = _before_background(view, picture)
    else:
        coverage = unshadowed(_unspeckled(view, meant[picture[..., 3]]), picture)
        colours = picture[..., :3]
    if coverage.min() >= _HALF:
        raise ReconstructionError(f"{view} view: the object covers the whole picture", _MARGIN)
    seen = _squared(coverage, colours, size, given=meant is not None, faint=faint)
    if not _anything(seen.coverage):
        if (seen.coverage >= _HALF).any():
            found = f"{view} view: the object is nowhere two pixels wide"
            raise ReconstructionError(found, "give a picture that shows it larger, or in more pixels")
        raise ReconstructionError(f"{view} view: no object found, the picture is blank", "replace the picture")
    return seen


def _before_background(view: View, picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8], float]:
    """What ``matte`` finds in front of a plain background, or a regular checkerboard."""
    pattern = checkers(picture)
    plain = evened(picture, pattern) if pattern else picture
    behind = None if plain is None else background(plain)
    if plain is None or behind is None:
        if pattern:
            raise ReconstructionError(f"{view} view: a checkerboard is painted where it should be transparent", _REAL)
        found = f"{view} view: the object fills the picture or the background isn't plain"
        raise ReconstructionError(found, _MARGIN)
    return matte(plain, behind)


def _unspeckled(view: View, coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without specks and pinholes, where there are thousands: each would be a body of its own, or a shaft through all.

    Raises ReconstructionError when they are most of what there is.
    """
    solid = coverage >= _HALF
    if run_count(solid) <= _RUNS * len(solid):
        return coverage
    specks, pinholes = np.zeros_like(solid), np.zeros_like(solid)
    found = pieces(solid)
    if len(found.sizes) > _SPECKS:
        if found.sizes.max() < _HALF * found.sizes.sum():
            raise ReconstructionError(f"{view} view: its transparency is noise, {len(found.sizes):,} specks", _REDO)
        found.painted(found.sizes <= _SPECK * found.sizes.max(), specks, value=True)
    found = pieces(~solid | specks)
    if len(found.sizes) > _SPECKS:
        found.painted(found.sizes <= _SPECK * coverage.size, pinholes, value=True)
    cleaned: NDArray[np.float32] = np.where(pinholes, np.float32(1), np.where(specks, np.float32(0), coverage))
    return cleaned


def _anything(coverage: NDArray[np.float32]) -> bool:
    """Whether an outline is left once the coverage is softened; most often one wholly covered place tells."""
    top, left = (int(n) for n in np.unravel_index(int(coverage.argmax()), coverage.shape))
    top, left = (min(max(at, 2), side - 3) for at, side in zip((top, left), coverage.shape, strict=True))
    near = softened(coverage[top - 2 : top + 3, left - 2 : left + 3])[1:-1, 1:-1]
    return bool((near >= _HALF).any() or (softened(coverage) >= _HALF).any())


def _squared(
    coverage: NDArray[np.float32], colours: NDArray[np.uint8], size: int, *, given: bool, faint: float
) -> Silhouette:
    """Centre on a square, then scale it to ``size``; what is not covered lends no colour."""
    height, width = coverage.shape
    longer = max(height, width)
    if height != width:
        top, left = (longer - height) // 2, (longer - width) // 2
        margins = ((top, longer - height - top), (left, longer - width - left))
        coverage = np.pad(coverage, margins)
        colours = np.pad(colours, (*margins, (0, 0)), mode="edge")
    if longer != size:
        weighted = resampled(colours * coverage[..., None], size, size)
        coverage = resampled(coverage, size, size)
        covered = coverage[..., None] > _HALF / 255
        plain = resampled(colours, size, size)
        mean = np.where(covered, weighted / np.maximum(coverage[..., None], _HALF / 255), plain)
        colours = np.rint(mean).astype(np.uint8)
    impure_px = (_ALPHA_EDGE_PX if given else _FOUND_EDGE_PX) * max(1.0, size / longer)
    return Silhouette(coverage=coverage, colours=colours, impure_px=impure_px, given=given, faint=faint)


def doubts(silhouettes: Mapping[View, Silhouette]) -> tuple[str, ...]:
    """What a person should know of views whose object is hardly told from its background; one sentence for all."""
    faint = {view: seen.faint for view, seen in silhouettes.items() if seen.faint >= _FAINT}
    if not faint:
        return ()
    named = ", ".join(f"{view} (along {part:.0%} of its outline)" for view, part in faint.items())
    return (f"Object and background look alike: {named}; it may be cut out badly there: give transparent pictures.",)


def completed(silhouettes: Mapping[View, Silhouette]) -> dict[View, Silhouette]:
    """Opposite views have mirrored outlines: what only one of them took for background is object in both.

    Given silhouettes, and pairs too unlike to be mirrored, stay as they are.
    """
    done = dict(silhouettes)
    for one, other in _OPPOSITES:
        if one in done and other in done and not (done[one].given or done[other].given):
            mirrored = _mirrored(other, done[other].coverage)
            if _overlap(done[one].coverage, mirrored) >= _ALIKE:
                both = np.maximum(done[one].coverage, mirrored)
                done[one] = replace(done[one], coverage=both)
                done[other] = replace(done[other], coverage=_mirrored(other, both))
    return done


def _mirrored(view: View, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """An outline as the opposite view shows it: top and bottom share their right, the others their up."""
    return plane[::-1] if view is View.BOTTOM else plane[:, ::-1]


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())
