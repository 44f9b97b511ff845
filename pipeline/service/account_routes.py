"""Routes about what there is to use: models, the team, its limits, and whether the service is well."""

from aiohttp import web

from pipeline.ports.job_store import JobStore
from pipeline.service.job_routes import require_model
from pipeline.service.refusals import Refusal
from pipeline.service.wire import TEAM_ID, limits_document, model_document, team_document


class AccountRoutes:
    def __init__(self, *, store: JobStore, ceiling: int) -> None:
        self._store = store
        self._ceiling = ceiling

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self._models),
            web.get("/v1/models/{model_id}", self._model),
            web.get("/v1/teams", self._teams),
            web.get("/v1/teams/{team_id}/limits", self._limits),
            web.get("/health", self._health, name="health"),
        ]

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"models": [model_document()]})

    async def _model(self, request: web.Request) -> web.Response:
        require_model(request.match_info["model_id"])
        return web.json_response({"model": model_document()})

    async def _teams(self, _: web.Request) -> web.Response:
        return web.json_response({"teams": [team_document()]})

    async def _limits(self, request: web.Request) -> web.Response:
        team_id = request.match_info["team_id"]
        if team_id != TEAM_ID:
            raise Refusal(404, f"there is no team {team_id}")
        spent = await self._store.cu_spent()
        return web.json_response(limits_document(ceiling=self._ceiling, cu_spent=spent))

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})
