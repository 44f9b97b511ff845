"""``mvmesh serve``: the local generation service on its own."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import anyio
import click

from pipeline.cli.command import Command, json_option
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.interruption import interruption
from pipeline.cli.terminal import printable, say, say_json, tell
from pipeline.domain.errors import UsageError
from pipeline.domain.manifest_text import UNREADABLE, read_document
from pipeline.ports.addresses import is_loopback
from pipeline.ports.credentials import KEY_VARIABLE, SECRET_VARIABLE, Credentials, from_environment
from pipeline.service.options import ServiceOptions
from pipeline.service.pricing import PriceList
from pipeline.service.serve import local_service

LOOPBACK = "127.0.0.1"


@click.command(
    cls=Command,
    examples=(
        ("on a free port, with random credentials that are shown once", "mvmesh serve --port 0"),
        ("data that stays in a place of its own", "mvmesh serve --port 8080 --data /srv/mvmesh"),
        ("rehearse a budget: jobs cost what the list says", "mvmesh serve --prices prices.yaml --ceiling 4"),
    ),
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Another address lets other machines in.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default="mvmesh-service",
    show_default=True,
    help="Folder for jobs, pictures and meshes; they outlive the service.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Jobs in work at one time. Default: one a processor.")
@click.option("--ceiling", type=click.IntRange(1, 100_000), help="Unfinished jobs at one time. Default: two a worker.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML price list; without one all jobs are free.")
@json_option
def command(
    *, port: int, host: str, data: Path, workers: int | None, ceiling: int | None, prices: Path | None, as_json: bool
) -> ExitCode:
    """Run the local generation service until Ctrl-C: the Scenario API, the meshes made on this machine.

    Key and secret come from SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET (or from the files that the same names
    with _FILE point at). Without them random ones are made and shown once.

    A price list in YAML; what is left out costs nothing:

    \b
      base: 20               # creative units a job
      geometryDiscount: 5    # taken off for generateType: Geometry
      enablePbr: 10          # added for PBR materials
      faceCount: {"500000": 0, "1500000": 12}   # added for up to so many faces
    """  # noqa: D301 - click wants the character itself
    options = ServiceOptions(workers=workers, ceiling=ceiling, prices=_read_prices(prices) if prices else PriceList())
    anyio.run(_serve, data, host, port, options, _say_as_json if as_json else _show)
    return ExitCode.OK


Announce = Callable[[str, Path, Credentials | None], None]
"""Tells the base URL, the data folder, and credentials if they were made here."""


async def _serve(data: Path, host: str, port: int, options: ServiceOptions, announce: Announce) -> None:
    given = from_environment(os.environ)
    used = given or Credentials(key=f"key_{secrets.token_urlsafe(9)}", secret=secrets.token_urlsafe(24))
    async with (
        interruption() as signals,
        local_service(data, credentials=(used.key, used.secret), host=host, port=port, options=options) as url,
    ):
        signals.let_finish()
        announce(url, data, None if given else used)
        if not is_loopback(host):
            tell("warning: other machines can reach this service, and it speaks plain http: put TLS in front of it")
        await signals.stop.wait()
        tell("stopping; jobs in work are taken up again at the next start")


def _say_as_json(url: str, data: Path, shown: Credentials | None) -> None:
    made = {"key": shown.key, "secret": shown.secret} if shown else {}
    say_json({"baseUrl": url, "data": str(data), **made})


def _show(url: str, data: Path, shown: Credentials | None) -> None:
    say(f"serving {url}")
    say(f"data in {printable(data)}; Ctrl-C stops")
    if shown is not None:
        say("\nin the shell that uses it (shown this once):\n")
        say(f"  export {KEY_VARIABLE}={shown.key}")
        say(f"  export {SECRET_VARIABLE}={shown.secret}")
    say(f"\nin a manifest:\n\n  backend: {url}")


def _read_prices(path: Path) -> PriceList:
    try:
        document = read_document(path.read_text(encoding="utf-8"), environ=os.environ)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the price list {path} cannot be read: {error}", mend="name a YAML file") from error
    if document.problems or document.data is UNREADABLE:
        problems = [f"{path}:{one}" for one in document.problems]
        raise UsageError(f"{path} is no price list", mend="see mvmesh serve --help", problems=problems)
    return PriceList.from_document(document.data)
