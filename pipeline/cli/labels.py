"""The names under which the ledger's work items were asked for, and finding an item by one of them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.batch import shelf_name
from pipeline.batch.remains import published_rows
from pipeline.domain.errors import UsageError
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.ports.interfaces import Delivery, Ledger
from pipeline.ports.storage import LocalStorage

Labels = Mapping[str, Sequence[str]]
"""By content key: the names under which a mesh was asked for."""

_SHOWN_DIGITS = 12
"""Of the key of an item whose names are not known."""


@dataclass(frozen=True, slots=True)
class PublishedItem:
    """A row of the results, as far as names and states go."""

    key: str
    """Empty for a set that was refused."""
    label: str
    state: State


async def published_items(manifest: Manifest) -> list[PublishedItem]:
    """What the last run was about: the ledger may hold earlier parameters and other manifests' items, too."""
    async with aclosing(published_rows(manifest.output_folder, storage=LocalStorage())) as rows:
        return [PublishedItem(row.key, row.label, row.state) async for row in rows if row is not None]


async def labels_of(manifest: Manifest, ledger: Ledger) -> Labels:
    """The ledger knows items by key, and by name once they are delivered; the others have theirs in the results."""
    return labels_from(await ledger.deliveries(shelf_name(manifest)), await published_items(manifest))


def labels_from(deliveries: Sequence[Delivery], published: Sequence[PublishedItem]) -> Labels:
    delivered = [(one.key, one.alias.label) for one in deliveries]
    found: dict[str, list[str]] = defaultdict(list)
    for key, label in dict.fromkeys([*delivered, *((one.key, one.label) for one in published if one.key)]):
        found[key].append(label)
    return found


def name_of(key: str, labels: Labels) -> str:
    return ", ".join(labels.get(key, ())) or key[:_SHOWN_DIGITS]


def item_named(name: str, states: Collection[State], records: Sequence[ItemRecord], labels: Labels) -> ItemRecord:
    """The one item of this name in one of these states.

    Args:
        name: a set's name as `mvmesh status` shows it, or the beginning of a key.
        states: those that are meant; the last of them says it in one word.
        records: all items.
        labels: their names.

    Raises:
        UsageError: there is none, or more than one.
    """
    what = list(states)[-1]
    called = [one for one in records if _is_called(name, one.key, labels)]
    found = [one for one in called if one.state in states]
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(one.key[:_SHOWN_DIGITS] for one in found)
        raise UsageError(f"{name!r} may be any of {len(found)} {what} items", mend=f"name it by its key: {keys}")
    if called:
        raise UsageError(f"{name!r} is {called[0].state}, not {what}", mend="mvmesh status tells of it")
    known = [name_of(one.key, labels) for one in records if one.state in states]
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    mend = f"did you mean {near[0]!r}?" if near else "mvmesh status shows them"
    raise UsageError(f"nothing that is {what} is called {name!r}", mend=mend)


def _is_called(name: str, key: str, labels: Labels) -> bool:
    return name in labels.get(key, ()) or (len(name) >= _SHOWN_DIGITS and key.startswith(name))
