"""``mvmesh status``: where a batch stands, from the ledger alone."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import click

from pipeline.batch import shelf_name
from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.labels import Labels, labels_from, name_of, published_items
from pipeline.cli.ledgers import opened_ledger, told_to_be_paid
from pipeline.cli.tables import cell, elastic, fixed, new_table, show
from pipeline.cli.terminal import as_argument, folded, printable, say, say_json, shortest
from pipeline.domain.errors import PicturesMakeNoMesh
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.ports.ledger import LEDGER_FILE
from pipeline.report.standing import Standing, StandingCount, standing

MEANINGS: Mapping[State, str] = {
    State.PLANNED: "waiting",
    State.UPLOADING: "pictures on their way",
    State.READY: "pictures at the service",
    State.SUBMITTING: "on its way; or a run died within it, and the next one looks",
    State.SUBMITTED: "the service is at work",
    State.FINISHED: "made, to be downloaded",
    State.DOWNLOADED: "here, to be judged",
    State.DELIVERED: "in meshes/",
    State.HELD: "in held/: a person should look",
    State.REFUSED: "the pictures cannot be used: mvmesh check tells why",
    State.FAILED: "see below",
    State.UNCERTAIN: "a submission whose answer was lost",
    State.DEFERRED: "over the budget or the time window",
    State.DROPPED: "given up by a person",
}
_SHOWN = 20
_AT_ONCE = 500


@click.command(
    cls=Command,
    examples=(
        ("counts, creative units, what is left", "mvmesh status mvmesh.yaml"),
        ("while a run is going", "watch mvmesh status mvmesh.yaml"),
        ("how many meshes are left, for a script", "mvmesh status mvmesh.yaml --json | jq .left"),
    ),
)
@manifest_argument
@json_option
def command(manifest: Path, *, as_json: bool) -> ExitCode:
    """Tell where the batch of MANIFEST stands, from its ledger. Works while a run is going, and changes nothing."""
    loaded = read_manifest(manifest)
    found, labels, is_whole = anyio.run(_read, loaded)
    ledger = loaded.state_folder / LEDGER_FILE
    if as_json:
        say_json({**_document(found, labels, ledger), "complete": is_whole})
    else:
        _show(found, labels, ledger, manifest)
        if not is_whole:
            say("not all sets have been looked at yet: these are those found so far")
    return ExitCode.OK


class _Status(NamedTuple):
    found: Standing
    labels: Labels
    is_whole: bool
    """Whether the last run, or the one that is going, had looked at all sets when it last said how they stand."""


async def _read(manifest: Manifest) -> "_Status":
    await told_to_be_paid(manifest)
    if not (manifest.state_folder / LEDGER_FILE).exists():
        return _Status(standing([]), {}, is_whole=True)
    async with opened_ledger(manifest) as ledger:
        published, count = await published_items(manifest), StandingCount()
        keys, known = list(dict.fromkeys(row.key for row in published if row.key)) or await ledger.keys(), set[str]()
        for at in range(0, len(keys), _AT_ONCE):
            records = await ledger.items(keys[at : at + _AT_ONCE])
            known.update(one.key for one in records)
            count.add(records)
        count.add_others(Counter(row.state for row in published if row.key not in known))
        publication = await ledger.publication(shelf_name(manifest))
        labels = labels_from(await ledger.deliveries(shelf_name(manifest)), published)
        return _Status(count.standing(), labels, is_whole=publication is None or publication.plan != "")


def _document(found: Standing, labels: Labels, ledger: Path) -> dict[str, Any]:
    return {
        "ledger": str(ledger),
        "total": found.total,
        "left": found.left,
        "wanting": found.wanting,
        "states": {state.value: count for state, count in found.counts.items()},
        "cu": {"charged": found.charged_cu, "open": found.open_cu},
        "updated_at": found.updated_at.isoformat() if found.updated_at else None,
        "uncertain": [
            {**_item(one, labels), "submitting_at": one.submitting_at.isoformat() if one.submitting_at else None}
            for one in found.uncertain
        ],
        "failed": [
            {**_item(one, labels), "kind": one.error_class, "message": one.error, "mend": one.mend}
            for one in found.failed
        ],
        "held": [
            {**_item(one, labels), "reasons": list(one.verdict.reasons) if one.verdict else []} for one in found.held
        ],
    }


def _item(record: ItemRecord, labels: Labels) -> dict[str, Any]:
    return {"key": record.key, "names": list(labels.get(record.key, ())), "job_id": record.job_id}


def _show(found: Standing, labels: Labels, ledger: Path, manifest: Path) -> None:
    if not found.total:
        say(f"nothing has been done yet: {printable(shortest(ledger))} holds no work item")
        say(f"next: mvmesh plan {as_argument(manifest)}")
        return
    _show_counts(found)
    _show_items("uncertain", [(name_of(one.key, labels), _since(one), "") for one in found.uncertain])
    _show_items("failed", [(name_of(one.key, labels), one.error, one.mend) for one in found.failed])
    _show_items("held", [(name_of(one.key, labels), _reasons(one), "") for one in found.held])
    say(f"\n{_progress(found)}; {_price(found)}")
    if found.updated_at:
        say(f"last change {found.updated_at:%Y-%m-%d %H:%M:%S} UTC")
    if command := _next_command(found):
        say(f"next: mvmesh {command} {as_argument(manifest)}")


def _progress(found: Standing) -> str:
    """``9 of 17 done, 0 left, 8 want a person``"""
    done = found.total - found.left - found.wanting
    person = f", {found.wanting} {'wants' if found.wanting == 1 else 'want'} a person" if found.wanting else ""
    return f"{done} of {found.total} done, {found.left} left{person}"


def _next_command(found: Standing) -> str:
    """What gets furthest: a run does nothing about pictures at fault, nor about what failed too often."""
    if found.uncertain:
        return "reconcile"
    if found.left:
        return "run"
    if found.counts.get(State.REFUSED) or any(one.error_class == PicturesMakeNoMesh.__name__ for one in found.failed):
        return "check"
    return "retry" if found.wanting else ""


def _show_counts(found: Standing) -> None:
    table = new_table()
    fixed(table, "STATE")
    fixed(table, "ITEMS", justify="right")
    elastic(table, "")
    for state, count in found.counts.items():
        table.add_row(state.value, f"{count:,}", cell(MEANINGS[state]))
    show(table)


def _show_items(title: str, items: Sequence[tuple[str, str, str]]) -> None:
    if not items:
        return
    say(f"\n{click.style(title, bold=True)}")
    for name, what, mend in sorted(items)[:_SHOWN]:
        say(f"  {printable(name)}\n    {folded(printable(what), indent=4, stream=sys.stdout)}")
        if mend:
            say(f"    mend: {folded(printable(mend), indent=10, stream=sys.stdout)}")
    if len(items) > _SHOWN:
        say(f"  ... and {len(items) - _SHOWN} more")


def _since(record: ItemRecord) -> str:
    at = f"{record.submitting_at:%Y-%m-%d %H:%M:%S} UTC" if record.submitting_at else "an unknown time"
    return f"submitted at {at}, the answer was lost; `mvmesh reconcile` and every run look for its job"


def _reasons(record: ItemRecord) -> str:
    return "; ".join(record.verdict.reasons) if record.verdict else ""


def _price(found: Standing) -> str:
    return f"{found.charged_cu:g} CU charged" + (f", {found.open_cu:g} CU open" if found.open_cu else "")
