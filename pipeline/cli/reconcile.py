"""``mvmesh reconcile``: what became of submissions whose answer was lost; a lost ledger made anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from pipeline.batch.decisions import Finding, Reconciled
from pipeline.batch.rebuilding import Rebuilt
from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.labels import Labels, name_of
from pipeline.cli.mending import rebuild_ledger, reconcile_items
from pipeline.cli.progress import progress
from pipeline.cli.terminal import as_argument, printable, say, say_json, shortest
from pipeline.domain.errors import UsageError
from pipeline.domain.events import Observer
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.domain.views import View

_SHOWN = 20
_COLOURS: Mapping[Finding, str] = {Finding.FOUND: "green", Finding.ABSENT: "green", Finding.UNCERTAIN: "yellow"}


@click.command(
    cls=Command,
    examples=(
        ("look again in the service's job list", "mvmesh reconcile mvmesh.yaml"),
        ("I looked: the service has no job of it", "mvmesh reconcile mvmesh.yaml --absent props/chair"),
        ("I looked: this is its job", "mvmesh reconcile mvmesh.yaml --job props/chair=job_123"),
        ("the ledger is lost or damaged", "mvmesh reconcile mvmesh.yaml --rebuild"),
    ),
)
@manifest_argument
@click.option("--absent", multiple=True, metavar="NAME", help="No job was made of it: submit it again.")
@click.option("--job", "jobs", multiple=True, metavar="NAME=JOB_ID", help="This is its job, if the inputs fit.")
@click.option("--rebuild", is_flag=True, help="Make a lost or damaged ledger anew.")
@json_option
def command(
    manifest: Path, *, absent: tuple[str, ...], jobs: tuple[str, ...], rebuild: bool, as_json: bool
) -> ExitCode:
    """Find out what became of uncertain submissions: those whose answer was lost.

    The service's job list is searched for all of them. Nothing is submitted: the next run goes on with what was found,
    and submits what is certainly absent. Exit code 10 while one remains uncertain.

    With --rebuild the ledger is filled from results.jsonl, the delivered files and the service's job list; a damaged
    one is kept beside it.
    """
    loaded = read_manifest(manifest)
    if rebuild:
        if absent or jobs:
            raise UsageError("--rebuild goes alone", mend="rebuild first; --absent and --job come after")
        return _rebuild(loaded, manifest, as_json=as_json)
    return _reconcile(loaded, manifest, _said_jobs(jobs), absent, as_json=as_json)


def _said_jobs(words: Sequence[str]) -> dict[str, str]:
    """A set's name may hold an equals sign, a job's id does not."""
    said: dict[str, str] = {}
    for word in words:
        name, _, job_id = word.rpartition("=")
        if not name or not job_id:
            raise UsageError(f"--job {word!r} is not NAME=JOB_ID", mend="such as --job props/chair=job_123")
        if said.setdefault(name, job_id) != job_id:
            raise UsageError(f"--job names two jobs of {name!r}", mend="an item goes on with one job")
    if len(set(said.values())) < len(said):
        raise UsageError("--job names one job for two items", mend="every item has a job of its own")
    return said


def _reconcile(
    loaded: Manifest, path: Path, jobs: Mapping[str, str], absent: Sequence[str], *, as_json: bool
) -> ExitCode:
    if both := sorted(jobs.keys() & set(absent)):
        raise UsageError(f"{both[0]!r} cannot have a job and none", mend="say one of --job and --absent")

    async def reconciled(observe: Observer) -> tuple[list[Reconciled], Labels]:
        return await reconcile_items(loaded, jobs=jobs, absent=absent, observe=observe)

    with progress(loaded.name) as observe:
        found, labels = anyio.run(reconciled, observe)
    left = sum(one.finding is Finding.UNCERTAIN for one in found)
    if as_json:
        say_json({"uncertain": left, "items": [_item(one, labels) for one in found]})
    else:
        _show(found, labels, path)
    return ExitCode.UNCERTAIN if left else ExitCode.OK


def _item(one: Reconciled, labels: Labels) -> dict[str, Any]:
    return {
        "key": one.record.key,
        "names": list(labels.get(one.record.key, ())),
        "finding": one.finding.value,
        "job_id": one.record.job_id,
        "why": one.why,
    }


def _show(found: Sequence[Reconciled], labels: Labels, manifest: Path) -> None:
    if not found:
        say("nothing is uncertain")
        return
    for one in found:
        word = click.style(f"{one.finding:<9}", fg=_COLOURS[one.finding])
        say(f"{word}  {printable(name_of(one.record.key, labels))}: {printable(one.why)}")
        if one.finding is Finding.UNCERTAIN:
            say(f"           {printable(_what_to_look_for(one.record))}")
    if any(one.finding is not Finding.UNCERTAIN for one in found):
        say(f"next: mvmesh run {as_argument(manifest)}")
    if any(one.finding is Finding.UNCERTAIN for one in found):
        say("what is uncertain: look again later, or say what you know with --job or --absent")


def _what_to_look_for(record: ItemRecord) -> str:
    at = f"{record.submitting_at:%Y-%m-%d %H:%M:%S} UTC" if record.submitting_at else "an unknown time"
    return f"look for a job of {at} or the minutes after, made of {record.inputs.get(View.FRONT.field)}"


def _rebuild(loaded: Manifest, path: Path, *, as_json: bool) -> ExitCode:
    async def rebuilt(observe: Observer) -> tuple[Rebuilt, list[Path]]:
        return await rebuild_ledger(loaded, observe=observe)

    with progress(loaded.name) as observe:
        found, kept = anyio.run(rebuilt, observe)
    if as_json:
        say_json(_rebuilt_document(found, kept))
    else:
        _show_rebuilt(found, kept, path)
    return ExitCode.UNCERTAIN if found.having(State.UNCERTAIN) else ExitCode.OK


def _rebuilt_document(found: Rebuilt, kept: Sequence[Path]) -> dict[str, Any]:
    return {
        "kept": [str(one) for one in kept],
        "restored": [
            {
                "key": one.key,
                "names": list(found.labels.get(one.key, ())),
                "state": one.state.value,
                "job_id": one.job_id,
            }
            for one in found.records
        ],
        "to_make": found.to_make,
        "spare_jobs": [
            {"names": list(found.labels.get(one.key, ())), "job_id": one.job_id, "taken": one.taken}
            for one in found.spare
        ],
        "unmatched_jobs": [
            {
                "job_id": one.job_id,
                "created_at": one.created_at.isoformat() if one.created_at else None,
                "why": one.why,
            }
            for one in found.strangers
        ],
        "other_jobs": found.others,
        "unread_rows": found.unread_rows,
        "jobs": found.jobs,
        "list_is_whole": found.is_whole,
        "last_change": found.last_change.isoformat() if found.last_change else None,
    }


def _show_rebuilt(found: Rebuilt, kept: Sequence[Path], manifest: Path) -> None:
    for one in kept:
        say(f"kept  {printable(shortest(one))}")
    counts = {state: len(found.having(state)) for state in State}
    said = [f"{count:,} {state.value}" for state, count in counts.items() if count]
    say(f"restored: {', '.join(said) or 'nothing that was not there'}; {found.to_make:,} to be made")
    for line in _remarks(found)[:_SHOWN]:
        say(printable(line))
    if (more := len(_remarks(found)) - _SHOWN) > 0:
        say(f"... and {more:,} more: see --json")
    if found.to_make:
        say(_what_remains(found))
    say(f"next: mvmesh plan {as_argument(manifest)}")


def _remarks(found: Rebuilt) -> list[str]:
    spare = [
        f"{name_of(one.key, found.labels)}: {one.job_id} was made of it as well, beside {one.taken or 'what is here'}"
        for one in found.spare
    ]
    strangers = [f"{one.job_id} fits no set: {one.why}" for one in found.strangers]
    rows = [f"{found.unread_rows} lines of results.jsonl could not be read"] if found.unread_rows else []
    cut = [] if found.is_whole else [f"the service lists more than {found.jobs:,} jobs: older ones were not seen"]
    return [*cut, *rows, *_others(found), *spare, *strangers]


def _others(found: Rebuilt) -> list[str]:
    """A service that gives pictures other names than we gave them makes all jobs look like somebody else's."""
    if not (found.others and found.to_make):
        return []
    jobs = "1 job is" if found.others == 1 else f"{found.others:,} jobs are"
    return [f"{jobs} somebody else's, by the names of the pictures; if they are yours, all that is made is paid again"]


def _what_remains(found: Rebuilt) -> str:
    if found.last_change is None:
        return "what remains possible: a job that the service does not list would be made again"
    at = f"{found.last_change:%Y-%m-%d %H:%M:%S} UTC"
    return f"what remains possible: a job submitted right before {at} that the service still does not list"
