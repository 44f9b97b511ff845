"""New files come to their places together: a round of the file system's journal costs as much for many as for one."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.ports.durable import Folders, local_errors, rename, sync_file, sync_folder
from pipeline.ports.gathering import Asked


class Move(NamedTuple):
    source: Path
    target: Path
    unless: Path | None = None
    """Where nothing may stand either."""


class NewFiles:
    """Brings files to their places, in several threads at one time."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def publish_all(self, asked: Sequence[Asked[Move, bool]]) -> None:
        """Bring each file to its place, if nothing stands there (or where nothing may stand) and it is there itself;
        answered with whether that was so.

        All files are synced before the first is named, all are named before the first folder is synced, and a folder
        that several came to is synced once: the first sync of each kind writes what the others then find written.
        Nobody is answered before everything that makes his file last is done, whoever made its folder; what fails,
        fails for those alone whom it concerns.
        """
        _each(asked, _answer_what_is_not_new)
        _each(asked, lambda one: sync_file(one.what.source))
        _each(asked, self._name)
        _sync(asked, lambda folder: folder)
        _sync(asked, lambda folder: None if self._folders.is_known(folder) else folder.parent)
        self._folders.became_known([one.what.target.parent for one in asked if not one.done])
        _each(asked, lambda one: one.answer(True))

    def _name(self, one: Asked[Move, bool]) -> None:
        source, target, _ = one.what
        if _is_taken(one):
            return
        self._folders.make(target.parent)
        rename(source, target)


def _each(asked: Sequence[Asked[Move, bool]], step: Callable[[Asked[Move, bool]], None]) -> None:
    for one in asked:
        if not one.done:
            try:
                with local_errors("written", one.what.target):
                    step(one)
            except Exception as error:  # noqa: BLE001 - for the one who asked
                one.fail(error)


def _answer_what_is_not_new(one: Asked[Move, bool]) -> None:
    if not one.what.source.exists():
        one.answer(False)
    else:
        _is_taken(one)


def _is_taken(one: Asked[Move, bool]) -> bool:
    """Something stands at the place, perhaps since a moment ago: another of those that were asked for together."""
    _, target, unless = one.what
    is_taken = os.path.lexists(target) or (unless is not None and os.path.lexists(unless))
    if is_taken:
        one.answer(False)
    return is_taken


def _sync(asked: Sequence[Asked[Move, bool]], needed: Callable[[Path], Path | None]) -> None:
    """What each needs that came to a folder, once: a sync that failed would, asked again, call well what is lost."""
    waiting: defaultdict[Path, list[Asked[Move, bool]]] = defaultdict(list)
    for one in asked:
        if not one.done and (folder := needed(one.what.target.parent)):
            waiting[folder].append(one)
    for folder, those in waiting.items():
        try:
            sync_folder(folder)
        except OSError as error:
            _each(those, partial(_raise, error))


def _raise(error: OSError, _: object) -> None:
    raise error
