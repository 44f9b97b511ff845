"""A bare aiohttp loop that fetches files: python tests/bench/bare_downloads.py URLS_FILE AT_ONCE OUT_FOLDER [hash] [sync]

No client that one could use: nothing is retried, checked or recorded. It shows what Python, aiohttp and a thread for the disk
cost by themselves: bytes to files; with SHA-256; synced, named and the folder synced, too, as a visible file has to be.
Prints a JSON line: seconds, CPU seconds and the peak of its memory, from after the imports to the end.
"""

import asyncio
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import aiohttp

READ_BYTES = 256 * 1024
WRITE_BYTES = 512 * 1024


async def fetch(session: aiohttp.ClientSession, url: str, target: Path, extras: set[str]) -> None:
    digest, part = hashlib.sha256(), target.with_suffix(".part")
    with part.open("wb") as file:
        async with session.get(url) as answer:
            gathered = bytearray()
            while piece := await answer.content.read(READ_BYTES):
                gathered += piece
                if len(gathered) >= WRITE_BYTES:
                    await asyncio.to_thread(_write, file, bytes(gathered), digest if "hash" in extras else None)
                    gathered.clear()
            await asyncio.to_thread(_write, file, bytes(gathered), digest if "hash" in extras else None)
        if "sync" in extras:
            await asyncio.to_thread(_publish, file, part, target)


def _write(file: BinaryIO, data: bytes, digest: "hashlib._Hash | None") -> None:
    file.write(data)
    if digest is not None:
        digest.update(data)


def _publish(file: BinaryIO, part: Path, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


async def fetch_all(urls: Iterator[tuple[int, str]], at_once: int, out: Path, extras: set[str]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:

        async def work() -> None:
            for number, url in urls:
                await fetch(session, url, out / f"{number}.glb", extras)

        for _ in range(at_once):
            group.create_task(work())


def main(urls: str, at_once: str, out: str, *extras: str) -> None:
    began, cpu_s = time.time(), time.process_time()
    asyncio.run(fetch_all(enumerate(Path(urls).read_text().split()), int(at_once), Path(out), set(extras)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall_s": time.time() - began, "cpu_s": time.process_time() - cpu_s, "peak_bytes": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
