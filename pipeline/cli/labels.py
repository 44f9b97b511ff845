"""The names under which the ledger's work items were asked for, and finding an item by one of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pipeline.batch import shelf_name
from pipeline.batch.remains import read_results
from pipeline.domain.errors import UsageError
from pipeline.domain.items import ItemRecord
from pipeline.domain.manifest import Manifest
from pipeline.domain.results import ResultRow
from pipeline.ports.interfaces import Ledger
from pipeline.ports.storage import LocalStorage

Labels = Mapping[str, Sequence[str]]
"""By content key: the names under which a mesh was asked for."""

_SHOWN_DIGITS = 12
"""Of the key of an item whose names are not known."""


async def published_rows(manifest: Manifest) -> list[ResultRow]:
    """What the last run was about: the ledger may hold earlier parameters and other manifests' items, too."""
    results = await read_results(manifest.output_folder, storage=LocalStorage())
    return [row for row in results.rows if row.key]


async def labels_of(manifest: Manifest, ledger: Ledger) -> Labels:
    """The ledger knows items by key, and by name once they are delivered; the others have theirs in the results."""
    delivered = [(one.key, one.alias.label) for one in await ledger.deliveries(shelf_name(manifest))]
    published = [(row.key, row.label) for row in await published_rows(manifest)]
    found: dict[str, list[str]] = defaultdict(list)
    for key, label in dict.fromkeys([*delivered, *published]):
        found[key].append(label)
    return found


def name_of(key: str, labels: Labels) -> str:
    return ", ".join(labels.get(key, ())) or key[:_SHOWN_DIGITS]


def item_named(name: str, candidates: Sequence[ItemRecord], labels: Labels, *, what: str) -> ItemRecord:
    """The one item of this name.

    Args:
        name: a set's name as `mvmesh status` shows it, or the beginning of a key.
        candidates: the items that may be meant.
        labels: the names of all items.
        what: the candidates in one word, such as ``failed``.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = [one for one in candidates if _is_called(name, one.key, labels)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{name!r} may be any of {len(found)} {what} items", mend=f"name it by its key: {_keys(found)}"
        )
    known = [label for one in candidates for label in labels.get(one.key, (one.key[:_SHOWN_DIGITS],))]
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    mend = f"did you mean {near[0]!r}?" if near else "mvmesh status shows them"
    raise UsageError(f"nothing that is {what} is called {name!r}", mend=mend)


def _is_called(name: str, key: str, labels: Labels) -> bool:
    return name in labels.get(key, ()) or (len(name) >= _SHOWN_DIGITS and key.startswith(name))


def _keys(records: Sequence[ItemRecord]) -> str:
    return ", ".join(one.key[:_SHOWN_DIGITS] for one in records)
