"""Runs the local service as a process of its own: prints its base URL, serves until its input ends.

Its one argument is JSON: ``data``, ``credentials``, ``port`` (absent: any free one), ``engine`` (``module:function``; absent: the
real one), ``log`` (a file that gets a line for every answer; absent: none), ``faults`` (``plan``,
``clock``, ``log`` of faulty_service.inject; absent: none), and fields of ServiceOptions.
"""

import json
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import anyio
from aiohttp import web
from anyio import to_thread

from pipeline.service import serve
from pipeline.service.pricing import PriceList


async def main(setup: dict[str, Any]) -> None:
    data, credentials, port = Path(setup.pop("data")), tuple(setup.pop("credentials")), setup.pop("port", 0)
    if log := setup.pop("log", None):
        log_answers(Path(log))
    if faults := setup.pop("faults", None):
        inject_faults(faults)
    if engine := setup.pop("engine", None):
        setup["engine"] = resolve_name(engine)
    setup["prices"] = PriceList.from_document(setup.pop("prices", {}))
    options = serve.ServiceOptions(**setup)
    async with serve.local_service(data, credentials=credentials, port=port, options=options) as url:
        print(url, flush=True)
        await to_thread.run_sync(sys.stdin.read)


def inject_faults(said: dict[str, Any]) -> None:
    from fault_plan import FaultPlan  # noqa: PLC0415 - found by PYTHONPATH, where a test wants it
    from faulty_service import inject  # noqa: PLC0415
    from hurried_clock import HurriedClock  # noqa: PLC0415

    inject(FaultPlan.of_document(said["plan"]), HurriedClock(**said["clock"]), Path(said["log"]))


def log_answers(log: Path) -> None:
    """The service keeps no access log; a benchmark wants one."""
    make = serve.application

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        with log.open("a") as file:
            file.write(f"{response.status} {request.method} {request.path_qs}\n")

    def logged(**parts: Any) -> web.Application:
        app = make(**parts)
        app.on_response_prepare.append(note)
        return app

    serve.application = logged


anyio.run(main, json.loads(sys.argv[1]))
