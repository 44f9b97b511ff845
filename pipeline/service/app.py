"""The service as one aiohttp application: who may ask, what is asked, and how refusals look.

Routes: ``asset_routes``, ``upload_routes``, ``job_routes``, ``account_routes``. Shapes: ``wire``.
"""

from aiohttp import web

from pipeline.ports.interfaces import Now
from pipeline.ports.job_store import JobStore
from pipeline.service.account_routes import AccountRoutes
from pipeline.service.asset_routes import AssetRoutes
from pipeline.service.auth import basic_auth
from pipeline.service.job_routes import JobRoutes
from pipeline.service.jobs import JobRunner
from pipeline.service.options import ServiceOptions
from pipeline.service.refusals import name_request, refusals_as_json
from pipeline.service.requests import BODY_S
from pipeline.service.signing import UrlSigner
from pipeline.service.upload_routes import UploadRoutes

_OPEN_ROUTES = frozenset({"file", "part", "health"})
"""Signed URLs and the health check: no credentials."""


def application(
    *,
    store: JobStore,
    runner: JobRunner,
    signer: UrlSigner,
    credentials: tuple[str, str],
    options: ServiceOptions,
    now: Now,
) -> web.Application:
    app = web.Application(
        middlewares=[refusals_as_json, basic_auth(credentials, open_routes=_OPEN_ROUTES)],
        client_max_size=options.max_body_bytes,
    )
    app[BODY_S] = options.body_s
    jobs = JobRoutes(store=store, runner=runner, prices=options.prices, ceiling=options.job_ceiling, now=now)
    app.add_routes(AssetRoutes(store=store, signer=signer, now=now).table())
    app.add_routes(UploadRoutes(store=store, signer=signer, now=now).table())
    app.add_routes(jobs.table())
    app.add_routes(AccountRoutes(store=store, ceiling=options.job_ceiling).table())
    app.on_response_prepare.append(name_request)
    return app
