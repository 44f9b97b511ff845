"""Routes of generation: launch or quote a job, look at one, list them."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA, ParameterType
from pipeline.ports.interfaces import Now
from pipeline.ports.job_records import JobRecord, new_id
from pipeline.ports.job_store import JobQuery, JobStore
from pipeline.service.jobs import JobRunner
from pipeline.service.pictures import problem_as_input
from pipeline.service.pricing import PriceList
from pipeline.service.refusals import Refusal, bad_request
from pipeline.service.requests import query_integer, query_moment, read_object
from pipeline.service.wire import cost_document, job_document

_DRY_RUN_STATUS = 269
_JOB_TYPE = "custom"
_PAGE_DEFAULT, _PAGE_MAX = 50, 100
_CEILING_RETRY_AFTER_S = 5
_FILTERS = ("status", "type", "types", "workflowId")
"""With one of these the list is sorted by update, else by creation."""


class JobRoutes:
    def __init__(self, *, store: JobStore, runner: JobRunner, prices: PriceList, ceiling: int, now: Now) -> None:
        self._store = store
        self._runner = runner
        self._prices = prices
        self._ceiling = ceiling
        self._now = now

    def table(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/generate/custom/{model_id}", self._generate),
            web.get("/v1/jobs", self._list),
            web.get("/v1/jobs/{job_id}", self._get),
            web.post("/v1/jobs/{job_id}/action", self._act),
        ]

    async def _generate(self, request: web.Request) -> web.Response:
        require_model(request.match_info["model_id"])
        inputs = await self._accepted(await read_object(request))
        cost = self._prices.cost(inputs)
        if _is_dry_run(request):
            return web.json_response(cost_document(cost), status=_DRY_RUN_STATUS, reason="Dry Run")
        at = self._now()
        job = JobRecord(
            job_id=new_id("job"),
            model_id=MODEL_ID,
            inputs=inputs,
            cu_cost=cost,
            created_at=at,
            updated_at=at,
            history=((JobStatus.QUEUED, at),),
        )
        if not await self._runner.submit(job, ceiling=self._ceiling):
            raise _ceiling_reached(self._ceiling)
        return web.json_response({"job": job_document(job), **cost_document(cost)})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"job": job_document(await self._known(request))})

    async def _act(self, request: web.Request) -> web.Response:
        job = await self._known(request)
        action = (await read_object(request)).get("action")
        if action != "cancel":
            raise Refusal(400, f"action: {action!r} is not known; the only one is 'cancel'")
        raise Refusal(400, f"{job.job_id} is of type {_JOB_TYPE}: jobs of this type cannot be canceled")

    async def _list(self, request: web.Request) -> web.Response:
        query = _job_query(request)
        jobs = await self._store.jobs(query) if _asks_for_custom(request) else []
        answer: dict[str, Any] = {"jobs": [job_document(job) for job in jobs]}
        if len(jobs) == query.size:
            answer["nextPaginationToken"] = _token(query, jobs[-1])
        return web.json_response(answer)

    async def _known(self, request: web.Request) -> JobRecord:
        job_id = request.match_info["job_id"]
        job = await self._store.job(job_id)
        if job is None:
            raise Refusal(404, f"there is no job {job_id}")
        return job

    async def _accepted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as the job will have them: pictures first, then all parameters with defaults filled in."""
        given = {name: value for name, value in body.items() if value is not None}
        files = [name for name, one in PUBLISHED_SCHEMA.parameters.items() if one.type is ParameterType.FILE]
        pictures = {name: given.pop(name) for name in files if name in given}
        problems = [*_picture_problems(pictures), *PUBLISHED_SCHEMA.problems(given)]
        if problems:
            raise bad_request(problems)
        await self._require_usable(pictures)
        return pictures | PUBLISHED_SCHEMA.complete(given)

    async def _require_usable(self, pictures: Mapping[str, str]) -> None:
        known = {asset.asset_id: asset for asset in await self._store.assets(list(pictures.values()))}
        if missing := {name: asset_id for name, asset_id in pictures.items() if asset_id not in known}:
            named = ", ".join(f"{name}: {asset_id}" for name, asset_id in missing.items())
            raise Refusal(404, f"assets not found: {named}", details={"assetIds": sorted(set(missing.values()))})
        found = {name: problem_as_input(known[asset_id]) for name, asset_id in pictures.items()}
        if problems := [f"{name}: {problem}" for name, problem in found.items() if problem]:
            raise bad_request(problems)


def require_model(model_id: str) -> None:
    if model_id != MODEL_ID:
        raise Refusal(404, f"there is no model {model_id}", hint=f"the local service has {MODEL_ID}")


def _picture_problems(pictures: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, parameter in PUBLISHED_SCHEMA.parameters.items():
        if parameter.required and name not in pictures:
            problems.append(f"{name} is required: the id of an asset")
        if name in pictures and parameter.problem(pictures[name]):
            problems.append(f"{name}: {pictures[name]!r} is no asset id")
    return problems


def _is_dry_run(request: web.Request) -> bool:
    asked = request.query.get("dryRun", "false")
    if asked not in {"true", "api", "false"}:
        raise Refusal(400, f"dryRun: {asked!r} is none of true, api")
    return asked != "false"


def _ceiling_reached(ceiling: int) -> Refusal:
    return Refusal(
        429,
        f"the ceiling of {ceiling} unfinished jobs is reached; nothing was created",
        hint="wait until a job has ended",
        details={"actionName": "custom-generation", "actionLimit": ceiling},
        headers={"Retry-After": str(_CEILING_RETRY_AFTER_S)},
    )


def _asks_for_custom(request: web.Request) -> bool:
    """All jobs here are of one type and of no workflow. ``types`` is a list with commas and beats ``type``."""
    types = request.query.get("types", request.query.get("type", _JOB_TYPE))
    return _JOB_TYPE in types.split(",") and "workflowId" not in request.query


def _job_query(request: web.Request) -> JobQuery:
    by_update = any(name in request.query for name in _FILTERS)
    refused, instead = ("createdAfter", "updatedAfter") if by_update else ("updatedAfter", "createdAfter")
    if refused in request.query:
        where = "with" if by_update else "without"
        raise Refusal(400, f"{refused} is not allowed {where} {', '.join(_FILTERS)}", hint=f"use {instead}")
    return JobQuery(
        by_update=by_update,
        after=query_moment(request, instead),
        status=_status(request),
        beyond=_position(request, by_update=by_update),
        size=query_integer(request, "pageSize", default=_PAGE_DEFAULT, low=1, high=_PAGE_MAX),
    )


def _status(request: web.Request) -> JobStatus | None:
    asked = request.query.get("status")
    known = [status for status in JobStatus if status is not JobStatus.UNKNOWN]
    if asked is not None and asked not in known:
        raise Refusal(400, f"status: {asked!r} is none of {', '.join(known)}")
    return None if asked is None else JobStatus(asked)


def _token(query: JobQuery, last: JobRecord) -> str:
    return urlsafe_b64encode(json.dumps([query.by_update, *query.position(last)]).encode()).decode()


_MS_MAX = 2**62
"""Beyond every date, within SQLite's integers."""


def _position(request: web.Request, *, by_update: bool) -> tuple[int, str] | None:
    token = request.query.get("paginationToken")
    if token is None:
        return None
    try:
        sorted_by_update, at_ms, job_id = json.loads(urlsafe_b64decode(token.encode("ascii")))
    except (ValueError, TypeError, RecursionError):
        sorted_by_update, at_ms, job_id = None, 0, ""
    is_position = isinstance(at_ms, int) and 0 <= at_ms < _MS_MAX and isinstance(job_id, str)
    if sorted_by_update is not by_update or not is_position:
        raise Refusal(400, "paginationToken: not one of this list (the filters must stay the same from page to page)")
    return at_ms, job_id
