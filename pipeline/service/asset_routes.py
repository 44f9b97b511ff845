"""Routes of assets: upload in one request, look up, download, delete."""

from base64 import b64decode
from binascii import Error as NotBase64

import anyio
from aiohttp import web
from anyio import to_thread
from pydantic import Field

from pipeline.ports.interfaces import Now
from pipeline.ports.job_records import AssetRecord
from pipeline.ports.job_store import JobStore
from pipeline.service.downloads import send_file
from pipeline.service.pictures import picture_asset
from pipeline.service.refusals import Refusal
from pipeline.service.requests import Body, read_body
from pipeline.service.signing import UrlSigner
from pipeline.service.wire import asset_document

_BULK_MAX = 200
_DELETE_MAX = 100
_BODIES_MAX = 8
"""Picture bodies in memory at one time."""


class _NewAsset(Body):
    name: str = Field(min_length=1, max_length=1024)
    image: str
    hide: bool = False
    collection_ids: tuple[str, ...] = Field(default=(), max_length=100)


class _BulkGet(Body):
    asset_ids: tuple[str, ...] = Field(max_length=_BULK_MAX)


class _BulkDelete(Body):
    asset_ids: tuple[str, ...] = Field(max_length=_DELETE_MAX)


class _Download(Body):
    target_format: str | None = None


class AssetRoutes:
    def __init__(self, *, store: JobStore, signer: UrlSigner, now: Now) -> None:
        self._store = store
        self._signer = signer
        self._now = now
        self._bodies = anyio.CapacityLimiter(_BODIES_MAX)

    def table(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/assets", self._create),
            web.delete("/v1/assets", self._delete),
            web.post("/v1/assets/get-bulk", self._get_bulk),
            web.get("/v1/assets/{asset_id}", self._get),
            web.post("/v1/assets/{asset_id}/download", self._download),
            web.get("/v1/files/{asset_id}", self._send, name="file"),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        async with self._bodies:
            body = await read_body(request, _NewAsset)
            data = await to_thread.run_sync(_decoded, body.image)
            asset = picture_asset(
                data, name=body.name, at=self._now(), hidden=body.hide, collection_ids=body.collection_ids
            )
            await self._store.add_asset(asset, data)
        return web.json_response({"asset": self._document(request, asset)})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"asset": self._document(request, await self._known(request))})

    async def _get_bulk(self, request: web.Request) -> web.Response:
        body = await read_body(request, _BulkGet)
        assets = await self._store.assets(body.asset_ids)
        return web.json_response({"assets": [self._document(request, asset) for asset in assets]})

    async def _delete(self, request: web.Request) -> web.Response:
        body = await read_body(request, _BulkDelete)
        await self._store.remove_assets(body.asset_ids)
        return web.json_response({})

    async def _download(self, request: web.Request) -> web.Response:
        body = await read_body(request, _Download)
        asset = await self._known(request)
        stored = asset.properties.get("format", "")
        if body.target_format not in {None, stored}:
            raise Refusal(
                400,
                f"targetFormat: {asset.asset_id} can be had as {stored} alone, not as {body.target_format}",
                hint="the local service converts nothing: leave targetFormat out and convert the original",
            )
        return web.json_response({"url": self._url(request, asset), "mimeType": asset.media_type})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        self._signer.check(request)
        asset = await self._known(request)
        path = self._store.asset_path(asset.asset_id)
        return await send_file(request, path, etag=asset.asset_id, media_type=asset.media_type)

    async def _known(self, request: web.Request) -> AssetRecord:
        asset_id = request.match_info["asset_id"]
        found = await self._store.assets([asset_id])
        if not found:
            raise Refusal(404, f"there is no asset {asset_id}")
        return found[0]

    def _document(self, request: web.Request, asset: AssetRecord) -> dict[str, object]:
        return asset_document(asset, url=self._url(request, asset))

    def _url(self, request: web.Request, asset: AssetRecord) -> str:
        return self._signer.sign(request, "GET", f"/v1/files/{asset.asset_id}")


def _decoded(image: str) -> bytes:
    """Base64, plain or as a data URL."""
    encoded = image.partition(",")[2] if image.startswith("data:") else image
    try:
        return b64decode(encoded, validate=True)
    except (NotBase64, ValueError):
        raise Refusal(400, "image: not base64") from None
