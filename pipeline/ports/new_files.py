"""New files come to their places together: a round of the file system's journal costs as much for many as for one."""

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from pipeline.ports.durable import local_errors, new_folder, rename, sync_file, sync_folder
from pipeline.ports.gathering import Asked

Move = tuple[Path, Path]
"""From where, to where."""


def publish_all_new(asked: Sequence[Asked[Move, bool]]) -> None:
    """Bring each file to its place, if nothing stands there and it is there itself (answered with whether that was so).

    All files are synced before the first is named, all are named before the first folder is synced, and a folder that
    several came to is synced once: the first sync of each kind writes what the others then find written. Nobody is
    answered before everything that makes his file last is done; what fails, fails for those alone whom it concerns.
    """
    new_folders = set[Path]()

    def name(source: Path, target: Path) -> None:
        if new_folder(target.parent):
            new_folders.add(target.parent)
        rename(source, target)

    _each(asked, _answer_what_is_not_new)
    _each(asked, lambda one: sync_file(one.what[0]))
    _each(asked, lambda one: None if _is_taken(one) else name(*one.what))
    _sync(asked, {one.what[1].parent for one in asked if not one.done})
    _sync(asked, {folder.parent for folder in new_folders})
    _each(asked, lambda one: one.answer(True))


def _each(asked: Sequence[Asked[Move, bool]], step: Callable[[Asked[Move, bool]], None]) -> None:
    for one in asked:
        if not one.done:
            try:
                with local_errors("written", one.what[1]):
                    step(one)
            except Exception as error:  # noqa: BLE001 - for the one who asked
                one.fail(error)


def _answer_what_is_not_new(one: Asked[Move, bool]) -> None:
    source, _ = one.what
    if not source.exists():
        one.answer(False)
    else:
        _is_taken(one)


def _is_taken(one: Asked[Move, bool]) -> bool:
    """Something stands at the place, perhaps since a moment ago: another of those that were asked for together."""
    is_taken = os.path.lexists(one.what[1])
    if is_taken:
        one.answer(False)
    return is_taken


def _sync(asked: Sequence[Asked[Move, bool]], folders: Collection[Path]) -> None:
    """Once each: a sync that failed would, asked again, call well what is lost."""
    for folder in folders:
        try:
            sync_folder(folder)
        except OSError as error:
            _each([one for one in asked if folder in one.what[1].parents], partial(_raise, error))


def _raise(error: OSError, _: object) -> None:
    raise error
