"""Routes of uploads in parts: announce, PUT each part to its signed URL, complete, look."""

from dataclasses import replace
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from pipeline.ports.interfaces import Now
from pipeline.ports.job_records import UploadRecord, UploadStatus, new_id
from pipeline.ports.job_store import JobStore
from pipeline.service.pictures import picture_asset
from pipeline.service.refusals import Refusal
from pipeline.service.requests import Body, read_body, read_bytes
from pipeline.service.signing import UrlSigner
from pipeline.service.wire import time_text, upload_document

_FILE_MAX_BYTES = 64 * 1024 * 1024
_PARTS_MAX = 16
_PART_MIN_BYTES = 5 * 1024 * 1024
"""Of every part but the last, as S3 demands."""


class _AssetOptions(Body):
    hide: bool = False
    collection_ids: tuple[str, ...] = Field(default=(), max_length=100)


class _NewUpload(Body):
    kind: Literal["image"]
    file_name: str = Field(min_length=1, max_length=1024)
    file_size: int = Field(gt=0, le=_FILE_MAX_BYTES)
    content_type: str = Field(min_length=1, max_length=255)
    parts: int = Field(ge=1, le=_PARTS_MAX)
    asset_options: _AssetOptions = _AssetOptions()


class _Action(Body):
    action: Literal["complete"]


class UploadRoutes:
    def __init__(self, *, store: JobStore, signer: UrlSigner, now: Now) -> None:
        self._store = store
        self._signer = signer
        self._now = now

    def table(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/uploads", self._create),
            web.get("/v1/uploads/{upload_id}", self._get),
            web.post("/v1/uploads/{upload_id}/action", self._complete),
            web.put(r"/v1/uploads/{upload_id}/parts/{number:[0-9]{1,3}}", self._put_part, name="part"),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_body(request, _NewUpload)
        at = self._now()
        upload = UploadRecord(
            upload_id=new_id("upload"),
            file_name=body.file_name,
            media_type=body.content_type,
            size_bytes=body.file_size,
            parts=body.parts,
            hidden=body.asset_options.hide,
            collection_ids=body.asset_options.collection_ids,
            created_at=at,
            updated_at=at,
        )
        await self._store.save_upload(upload)
        return web.json_response({"upload": upload_document(upload, parts=self._part_urls(request, upload))})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"upload": upload_document(await self._known(request))})

    async def _put_part(self, request: web.Request) -> web.Response:
        self._signer.check(request)
        upload, number = await self._known(request), int(request.match_info["number"])
        if upload.status is not UploadStatus.PENDING:
            raise Refusal(409, f"{upload.upload_id} is {upload.status}: it takes no parts any more")
        data = await read_bytes(request, limit_bytes=min(upload.size_bytes, request.client_max_size))
        await self._store.save_part(upload, number, data)
        return web.Response(headers={"ETag": f'"{upload.upload_id}-{number}"'})

    async def _complete(self, request: web.Request) -> web.Response:
        """Join the parts into an asset. Completing again tells how it went the first time."""
        await read_body(request, _Action)
        upload = await self._known(request)
        if upload.status is UploadStatus.PENDING:
            upload = await self._joined(upload)
        return web.json_response({"upload": upload_document(upload)})

    async def _joined(self, upload: UploadRecord) -> UploadRecord:
        at = self._now()
        try:
            data = _whole(upload, await self._store.parts(upload))
            asset = picture_asset(
                data, name=upload.file_name, at=at, hidden=upload.hidden, collection_ids=upload.collection_ids
            )
            await self._store.add_asset(asset, data)
            done = replace(upload, status=UploadStatus.IMPORTED, asset_id=asset.asset_id, updated_at=at)
        except Refusal as refusal:
            done = replace(upload, status=UploadStatus.FAILED, error=refusal.reason, updated_at=at)
        await self._store.save_upload(done)
        await self._store.drop_parts(upload)
        return done

    async def _known(self, request: web.Request) -> UploadRecord:
        upload_id = request.match_info["upload_id"]
        found = await self._store.upload(upload_id)
        if found is None:
            raise Refusal(404, f"there is no upload {upload_id}")
        return found

    def _part_urls(self, request: web.Request, upload: UploadRecord) -> list[dict[str, Any]]:
        expires = time_text(self._signer.expiry())
        return [
            {
                "number": number,
                "expires": expires,
                "url": self._signer.sign(request, "PUT", f"/v1/uploads/{upload.upload_id}/parts/{number}"),
            }
            for number in range(1, upload.parts + 1)
        ]


def _whole(upload: UploadRecord, parts: list[bytes | None]) -> bytes:
    """The file that the parts make, if they are the ones that were announced.

    Raises:
        Refusal: what is wrong with them.
    """
    arrived = [part for part in parts if part is not None]
    if missing := [str(number) for number, part in enumerate(parts, start=1) if part is None]:
        raise Refusal(400, f"part {', '.join(missing)} of {upload.parts} has not arrived")
    if small := [str(number) for number, part in enumerate(arrived[:-1], start=1) if len(part) < _PART_MIN_BYTES]:
        raise Refusal(400, f"part {', '.join(small)} is smaller than 5 MiB; only the last may be")
    data = b"".join(arrived)
    if len(data) != upload.size_bytes:
        raise Refusal(400, f"the parts have {len(data):,} bytes together; {upload.size_bytes:,} were announced")
    return data
