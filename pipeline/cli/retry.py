"""``mvmesh retry``: failed items get another chance."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.labels import Labels, name_of
from pipeline.cli.mending import Retried, retry_items
from pipeline.cli.terminal import as_argument, printable, say, say_json

_SHOWN = 20


@click.command(
    cls=Command,
    examples=(
        ("everything that failed", "mvmesh retry mvmesh.yaml && mvmesh run mvmesh.yaml"),
        ("a mesh that the service has lost: at its price", "mvmesh retry mvmesh.yaml --anew props/chair"),
        ("two sets whose pictures are as they should be", "mvmesh retry mvmesh.yaml props/chair props/lamp"),
    ),
)
@manifest_argument
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--anew", is_flag=True, help="Have what is paid, but gone, made and paid once more.")
@json_option
def command(manifest: Path, *, names: tuple[str, ...], anew: bool, as_json: bool) -> ExitCode:
    """Let the next run try failed items of MANIFEST again: those of the given names, or all.

    Runs try failed jobs again by themselves a few times, as long as they are refunded and the service does not blame
    the pictures; then it takes your word. Changed pictures need none. Nothing is submitted here.
    """
    retried, labels = anyio.run(partial(retry_items, read_manifest(manifest), names, anew=anew))
    if as_json:
        say_json({"cu": _total(retried), "items": [_item(one, labels) for one in retried]})
    else:
        _show(retried, labels, manifest)
    return ExitCode.OK


def _total(retried: Sequence[Retried]) -> float | None:
    prices = [one.cu for one in retried if one.cu is not None]
    return sum(prices, 0.0) if len(prices) == len(retried) else None


def _item(one: Retried, labels: Labels) -> dict[str, Any]:
    return {"key": one.record.key, "names": list(labels.get(one.record.key, ())), "cu": one.cu}


def _show(retried: Sequence[Retried], labels: Labels, manifest: Path) -> None:
    if not retried:
        say("nothing has failed")
        return
    for one in retried[:_SHOWN]:
        say(f"{printable(name_of(one.record.key, labels))}: {_cost(one)}")
    if len(retried) > _SHOWN:
        say(f"... and {len(retried) - _SHOWN} more")
    total = _total(retried)
    price = "a price that is not known" if total is None else f"{total:g} CU"
    say(f"the next run tries {len(retried):,} again, for {price} at most")
    say(f"next: mvmesh run {as_argument(manifest)}")


def _cost(one: Retried) -> str:
    if one.record.asset_ids:
        return "made and paid, fetched again"
    return "price not known" if one.cu is None else f"{one.cu:g} CU"
