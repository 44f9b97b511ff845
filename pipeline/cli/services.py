"""Reaching a manifest's service, embedded in this process or remote (see ``composition``)."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.batch import EMBEDDED
from pipeline.domain.errors import CredentialsError, NeverSent, ServiceUnreachable
from pipeline.domain.events import Noted, Observer
from pipeline.domain.manifest import Manifest
from pipeline.ports.addresses import is_loopback
from pipeline.ports.credentials import Credentials, from_environment
from pipeline.ports.interfaces import Downloads, Scenario

if TYPE_CHECKING:
    from pipeline.ports.scenario import ScenarioClient

SCENARIO_URL = "https://api.cloud.scenario.com/v1"
BASE_URL_VARIABLE = "SCENARIO_BASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A service, ready to be asked."""

    scenario: Scenario
    downloads: Downloads


@asynccontextmanager
async def connected(manifest: Manifest, observe: Observer) -> AsyncIterator[Connection]:
    """The manifest's service: embedded in this process, or remote.

    Raises:
        CredentialsError: none in the environment, or not to be sent to that address.
        UsageError: the embedded service needs the engine extra.
    """
    # aiohttp takes a third of a second to import: only a run that has something to ask waits for it.
    from pipeline.ports.downloads import Downloader  # noqa: PLC0415
    from pipeline.ports.retrying import Tries  # noqa: PLC0415
    from pipeline.ports.scenario import ScenarioClient  # noqa: PLC0415

    def tell(error: Exception) -> None:
        observe(Noted(message=f"trying again: {error}", level="warning"))

    async with AsyncExitStack() as stack:
        if manifest.backend == EMBEDDED:
            base_url, credentials = await stack.enter_async_context(_embedded(embedded_data(manifest)))
        else:
            base_url, credentials = _remote(manifest)
        client = await stack.enter_async_context(
            ScenarioClient.connect(base_url, credentials, project=manifest.project, tries=Tries(tell=tell))
        )
        await _look_for(client, base_url)
        yield Connection(scenario=client, downloads=await stack.enter_async_context(Downloader.connect(base_url)))


async def _look_for(client: "ScenarioClient", base_url: str) -> None:
    """Whether there is a service at all: nobody waits a quarter of an hour, as one does for one that has been there."""
    try:
        await client.look_for(attempts=2 if is_loopback(urlsplit(base_url).hostname or "") else 8)
    except ServiceUnreachable as error:
        if isinstance(error.__cause__, NeverSent):
            raise ServiceUnreachable(
                f"no service answers at {base_url}: {error}", mend=error.mend or "is `mvmesh serve` running there?"
            ) from error


def embedded_data(manifest: Manifest) -> Path:
    """Where the embedded service keeps its jobs and assets."""
    return manifest.state_folder / "service"


@asynccontextmanager
async def _embedded(data: Path) -> AsyncIterator[tuple[str, Credentials]]:
    from pipeline.service.serve import local_service  # noqa: PLC0415 - the base install has no engine

    credentials = Credentials(key=secrets.token_urlsafe(18), secret=secrets.token_urlsafe(32))
    async with local_service(data, credentials=(credentials.key, credentials.secret)) as base_url:
        yield base_url, credentials


def service_identity(manifest: Manifest) -> str:
    """What tells one service from another in content keys: ``local``, ``scenario``, or the base URL of any other."""
    url = base_url_of(manifest)
    return "scenario" if url == SCENARIO_URL else url


def base_url_of(manifest: Manifest) -> str:
    """Where the manifest's service is; ``local`` for the embedded one, which is nowhere until it is started."""
    url = os.environ.get(BASE_URL_VARIABLE) or SCENARIO_URL if manifest.backend == "scenario" else manifest.backend
    return url.rstrip("/")


def _remote(manifest: Manifest) -> tuple[str, Credentials]:
    base_url = base_url_of(manifest)
    credentials = from_environment(os.environ)
    if credentials is None:
        raise CredentialsError(
            f"no credentials for {base_url}",
            mend="set SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET (or ..._FILE), or use `backend: local`",
        )
    return base_url, credentials
