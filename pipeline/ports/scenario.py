"""The generation service's API: the adapter of ``pipeline.ports.interfaces.Scenario`` for the real one and its kin."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from pipeline.domain.errors import (
    MvmeshError,
    NeverSent,
    RequestRefused,
    ServiceFault,
    ServiceUnreachable,
    TryAgain,
)
from pipeline.domain.jobs import Asset, Job, JobPage, Quote, TeamLimits
from pipeline.domain.model import ModelSchema
from pipeline.domain.views import View
from pipeline.ports.credentials import Credentials, check_transport
from pipeline.ports.gathering import Asked, Gathering
from pipeline.ports.http import API_TIMEOUTS, ApiSession, Timeouts, TransferSession
from pipeline.ports.interfaces import Gallery
from pipeline.ports.retrying import PATIENT, Tries
from pipeline.ports.scenario_answers import final_on, quote_problem, request_id, submission_problem, uncertain
from pipeline.ports.scenario_calls import Call, Calls, segment
from pipeline.ports.scenario_uploads import (
    IMPORT_WAIT,
    MULTIPART_FROM_BYTES,
    ImportWait,
    upload_in_parts,
    upload_whole,
)
from pipeline.ports.scenario_wire import (
    AssetsAnswer,
    JobAnswer,
    JobsAnswer,
    ModelAnswer,
    QuoteAnswer,
    TeamLimitsAnswer,
    TeamsAnswer,
    parse,
)

BULK_MAX = 200
PAGE_SIZE = 100

LOOK_UPS = 2
"""Requests for assets at one time: while both are on their way, what is asked for is gathered."""

SHARED_TRIES = 3
"""How often a request for several callers' assets is tried before each asks for his own."""

_LookUp = Asked[tuple[str, ...], Mapping[str, Asset]]


class ScenarioClient:
    """Speaks to one service in the name of one key and project."""

    def __init__(self, calls: Calls, transfers: TransferSession, *, import_wait: ImportWait) -> None:
        self._calls = calls
        self._transfers = transfers
        self._import_wait = import_wait
        self._limits: TeamLimits | None = None
        self._look_ups: Gathering[tuple[str, ...], Mapping[str, Asset]] = Gathering(self._look_up, rounds=LOOK_UPS)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        base_url: str,
        credentials: Credentials,
        *,
        project: str = "",
        timeouts: Timeouts = API_TIMEOUTS,
        tries: Tries = PATIENT,
        import_wait: ImportWait = IMPORT_WAIT,
    ) -> AsyncIterator["ScenarioClient"]:
        """A client for the scope. ``base_url`` has the API's path, such as ``https://api.cloud.scenario.com/v1``.

        Raises:
            CredentialsError: the base URL is none, or would carry the credentials in clear text.
        """
        backend = check_transport(base_url)
        authorization = credentials.authorization
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(
                ApiSession.connect(base_url, authorization=authorization, timeouts=timeouts)
            )
            transfers = await stack.enter_async_context(TransferSession.connect(backend, timeouts=timeouts))
            calls = Calls(session, credentials, project=project, tries=tries)
            yield cls(calls, transfers, import_wait=import_wait)

    def turn(self) -> AbstractAsyncContextManager[None]:
        return self._calls.gate.turn()

    async def create_asset(self, *, name: str, data: bytes, media_type: str, gallery: Gallery) -> str:
        if len(data) < MULTIPART_FROM_BYTES:
            return await upload_whole(self._calls, name=name, data=data, gallery=gallery)
        return await upload_in_parts(
            self._calls,
            self._transfers,
            name=name,
            data=data,
            media_type=media_type,
            gallery=gallery,
            wait=self._import_wait,
        )

    async def quote(self, *, model: str, inputs: Mapping[str, Any]) -> Quote:
        """The larger of the price in the service's own interface and at the API tier; the former alone where the
        service knows no API tier.
        """
        usual = await self._dry_run(model, inputs, tier="true")
        try:
            api = await self._dry_run(model, inputs, tier="api")
        except RequestRefused as error:
            if error.answer is None or error.answer.status != 400:  # noqa: PLR2004
                raise
            return usual
        return max(usual, api, key=lambda quote: quote.cu)

    async def _dry_run(self, model: str, inputs: Mapping[str, Any], *, tier: str) -> Quote:
        call = Call(method="POST", path=_generate(model), query={"dryRun": tier}, body=inputs)
        judge = partial(quote_problem, asset_ids=_asset_ids(inputs))
        return (await self._calls.ask(call, QuoteAnswer, judge)).to_domain()

    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        """One POST over a connection of its own. Never add a retry to this function or below it: it is paid."""
        call = Call(method="POST", path=_generate(model), body=inputs)
        try:
            answer = await self._calls.once(call, fresh_connection=True)
        except NeverSent:
            raise
        except TryAgain as error:
            raise uncertain(str(error)) from error
        if problem := submission_problem(str(call), answer, _asset_ids(inputs)):
            raise problem
        try:
            return parse(JobAnswer, answer.body, str(call), partial(request_id, answer)).to_domain()
        except ServiceFault as error:
            raise uncertain(str(error)) from error

    async def job(self, job_id: str) -> Job:
        call = Call(method="GET", path=f"/jobs/{segment(job_id)}")
        return (await self._calls.ask(call, JobAnswer)).to_domain()

    async def jobs(
        self, *, updated_after: datetime | None = None, created_after: datetime | None = None, page: str | None = None
    ) -> JobPage:
        if updated_after and created_after:
            raise ValueError("the service filters by one of updated_after and created_after, not by both")
        query = {"pageSize": str(PAGE_SIZE)}
        if updated_after:
            query |= {"types": "custom", "updatedAfter": _iso(updated_after)}
        if created_after:
            query |= {"createdAfter": _iso(created_after)}
        if page:
            query |= {"paginationToken": page}
        answer, told_at = await self._calls.ask_when(Call(method="GET", path="/jobs", query=query), JobsAnswer)
        return answer.to_domain(told_at)

    async def assets(self, asset_ids: Sequence[str]) -> list[Asset]:
        """In the order of asking; any number, in requests of 200 at most. Whoever asks while others are answered shares
        the next request with all who do; where that fails, each asks for himself: one that is at fault harms no other.
        """
        wanted = tuple(dict.fromkeys(asset_ids))
        try:
            found = await self._look_ups.ask(wanted)
        except (RequestRefused, ServiceUnreachable):
            found = await self._found(wanted, self._calls.tries)
        return [found[asset_id] for asset_id in wanted if asset_id in found]

    async def _look_up(self, asked: Sequence[_LookUp]) -> None:
        """One round: short, for the next ones wait for it."""
        tries = replace(self._calls.tries, attempts=SHARED_TRIES)
        try:
            found = await self._found(dict.fromkeys(chain.from_iterable(one.what for one in asked)), tries)
        except MvmeshError as error:
            for one in asked:
                one.fail(error)
        else:
            for one in asked:
                one.answer(found)

    async def _found(self, asset_ids: Iterable[str], tries: Tries) -> Mapping[str, Asset]:
        wanted, found = list(asset_ids), dict[str, Asset]()
        for start in range(0, len(wanted), BULK_MAX):
            body = {"assetIds": wanted[start : start + BULK_MAX]}
            call = Call(method="POST", path="/assets/get-bulk", body=body)
            answer = await self._calls.ask(call, AssetsAnswer, tries=tries)
            found |= {asset.asset_id: asset for asset in answer.to_domain()}
        return found

    async def model_schema(self, model: str) -> ModelSchema:
        """The live inputs of a model.

        Raises:
            RequestRefused: the service does not know the model, or does not tell its inputs.
        """
        call = Call(method="GET", path=f"/models/{segment(model)}")
        schema = (await self._calls.ask(call, ModelAnswer)).to_domain(model)
        if not schema.parameters:
            raise RequestRefused(f"{call}: the service does not tell the inputs of {model}")
        return schema

    async def team_limits(self) -> TeamLimits:
        told, self._limits = self._limits, None
        return told or await self._team_limits(self._calls.tries)

    async def look_for(self, *, attempts: int) -> None:
        """Whether there is a service at all: with so many tries, for nobody waits for one that was never there as for
        one that was. What it tells of the team is kept for the first who asks.

        Raises:
            ServiceUnreachable: all tries failed.
        """
        self._limits = await self._team_limits(replace(self._calls.tries, attempts=attempts))

    async def _team_limits(self, tries: Tries) -> TeamLimits:
        judge = final_on(403)
        try:
            teams = await self._calls.ask(Call(method="GET", path="/teams"), TeamsAnswer, judge, tries=tries)
            team = teams.team_of(self._calls.project)
            if team is None:
                return TeamLimits()
            call = Call(method="GET", path=f"/teams/{segment(team)}/limits")
            return (await self._calls.ask(call, TeamLimitsAnswer, judge, tries=tries)).to_domain()
        except RequestRefused:
            return TeamLimits()


def _generate(model: str) -> str:
    return f"/generate/custom/{segment(model)}"


def _asset_ids(inputs: Mapping[str, Any]) -> list[str]:
    return [inputs[view.field] for view in View if isinstance(inputs.get(view.field), str)]


def _iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, as the service writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
