"""Starts and stops the local service: embedded in a run, or standing alone as ``mvmesh serve``."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from anyio import create_task_group

from pipeline.domain.errors import UsageError
from pipeline.ports import engine_extra
from pipeline.ports.clock import utc_now
from pipeline.ports.compute import WorkerProcesses
from pipeline.ports.job_store import JobStore
from pipeline.service.app import application
from pipeline.service.engine import make_mesh
from pipeline.service.jobs import JobRunner
from pipeline.service.options import ServiceOptions
from pipeline.service.signing import UrlSigner

__all__ = ["ServiceOptions", "forget_assets", "local_service"]

_SHUTDOWN_S = 1.0
"""How long requests in progress may go on when the service stops."""

_LINGERING_S = 10.0
"""How long a body that is refused is still taken in, so that its sender gets to read why."""


@asynccontextmanager
async def local_service(
    data: Path,
    *,
    credentials: tuple[str, str],
    host: str = "127.0.0.1",
    port: int = 0,
    options: ServiceOptions = ServiceOptions(),  # noqa: B008 - a frozen value
) -> AsyncIterator[str]:
    """Serve from the data folder while the scope is open; the base URL, with the port that was found for ``port=0``.

    Jobs and assets outlive it: what was in work is queued again at the next start. Runs in the caller's event loop
    (asyncio, which aiohttp demands).

    Raises:
        UsageError: the engine extra is not installed, or the port cannot be had.
        LocalIoError: the data folder cannot be used.
        LockHeld: another service works on it.
    """
    _require_engine(options)
    async with JobStore.open(data, now=utc_now) as store, WorkerProcesses(options.worker_count) as compute:
        await store.requeue_interrupted(utc_now)
        runner = JobRunner(
            store=store,
            compute=compute,
            now=utc_now,
            engine=options.engine,
            timeout_s=options.job_timeout_s,
            threads=options.threads_per_worker,
        )
        signer = UrlSigner(key=await store.key("url-signing"), ttl=timedelta(seconds=options.url_ttl_s), now=utc_now)
        app = application(
            store=store, runner=runner, signer=signer, credentials=credentials, options=options, now=utc_now
        )
        async with _working(runner, options.worker_count), _listening(app, host, port, options.silence_s) as address:
            yield f"http://{address}/v1"


async def forget_assets(data: Path, asset_ids: Sequence[str]) -> None:
    """Delete assets from the data folder of a service that is not running (``DELETE /assets`` is for one that is)."""
    async with JobStore.open(data, now=utc_now) as store:
        await store.remove_assets(asset_ids)


@asynccontextmanager
async def _working(runner: JobRunner, workers: int) -> AsyncIterator[None]:
    """Jobs are done while the scope is open. Its errors, and the workers', come out as themselves, in no group."""
    raised: list[Exception] = []
    try:
        async with create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(runner.work)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below
                raised.append(error)
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        raised.append(_first(group))
    if raised:
        raise raised[0]


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def _listening(app: web.Application, host: str, port: int, silence_s: float) -> AsyncIterator[str]:
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
        keepalive_timeout=silence_s,
        lingering_time=min(_LINGERING_S, silence_s),
        logger=_frames(),
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                mend="name another port, or 0 for any that is free",
            ) from error
        bound = runner.addresses[0][1]
        yield f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
    finally:
        await runner.cleanup()


def _frames() -> logging.Logger:
    """What aiohttp itself has to say. That a client speaks no HTTP is told to the client; as a traceback for every such
    request it would fill the log.
    """
    logger = logging.getLogger(f"{__name__}.frames")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _require_engine(options: ServiceOptions) -> None:
    if options.engine is make_mesh and (missing := engine_extra.missing()):
        raise UsageError(
            f"the local service needs its engine, which is not installed ({', '.join(missing)} missing)",
            mend=engine_extra.MEND,
        )
