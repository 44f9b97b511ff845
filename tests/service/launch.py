"""Runs the local service as a process of its own: prints its base URL, serves until its input ends.

Its one argument is JSON: ``data``, ``credentials``, ``engine`` (a name in engines.py; absent: the real one), and fields of
ServiceOptions.
"""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import engines
from anyio import to_thread

from pipeline.service.pricing import PriceList
from pipeline.service.serve import ServiceOptions, local_service


async def main(setup: dict[str, Any]) -> None:
    data, credentials = Path(setup.pop("data")), tuple(setup.pop("credentials"))
    if engine := setup.pop("engine", None):
        setup["engine"] = getattr(engines, engine)
    setup["prices"] = PriceList.from_document(setup.pop("prices", {}))
    async with local_service(data, credentials=credentials, options=ServiceOptions(**setup)) as url:
        print(url, flush=True)
        await to_thread.run_sync(sys.stdin.read)


anyio.run(main, json.loads(sys.argv[1]))
