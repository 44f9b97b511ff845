"""Pictures on their way to the service: in one request, or in parts over signed URLs."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import anyio

from pipeline.domain.errors import RequestRefused, StageTimedOut
from pipeline.domain.texts import one_line
from pipeline.ports.bodies import Streamed, in_base64
from pipeline.ports.http import TransferSession
from pipeline.ports.interfaces import Gallery
from pipeline.ports.retrying import persist
from pipeline.ports.scenario_answers import final_on
from pipeline.ports.scenario_calls import Call, Calls, as_json, segment
from pipeline.ports.scenario_wire import Upload, UploadAnswer, UploadedAnswer, UploadPart

MULTIPART_FROM_BYTES = 4_000_000
"""Base64 adds a third, and gateways limit the bodies of requests."""

PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller part but for the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWait:
    """How long an upload whose parts have arrived may take to become an asset."""

    total_s: float = 180.0
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0


IMPORT_WAIT = ImportWait()


def _options(gallery: Gallery) -> dict[str, object]:
    """The fields of ``POST /assets`` and of an upload's ``assetOptions``."""
    collections = {"collectionIds": list(gallery.collections)} if gallery.collections else {}
    return {"hide": gallery.hide, **collections}


async def upload_whole(calls: Calls, *, name: str, data: bytes, gallery: Gallery) -> str:
    """One request with the picture in base64; the asset's id."""
    body = _with_picture({"name": name, **_options(gallery)}, data)
    return (await calls.ask(Call(method="POST", path="/assets", body=body), UploadedAnswer)).asset.id


def _with_picture(fields: Mapping[str, Any], data: bytes) -> bytes | Streamed:
    """JSON with the picture put in as it is: base64 has nothing that JSON would escape, and may be megabytes long."""
    return in_base64(as_json(fields)[:-1] + b', "image": "', data, b'"}')


async def upload_in_parts(
    calls: Calls,
    transfers: TransferSession,
    *,
    name: str,
    data: bytes,
    media_type: str,
    gallery: Gallery,
    wait: ImportWait,
) -> str:
    """Announce the parts, put each to its signed URL, complete, and wait for the import; the asset's id."""
    count = ceil(len(data) / PART_BYTES)
    body = {
        "fileName": name,
        "fileSize": len(data),
        "contentType": media_type,
        "kind": "image",
        "parts": count,
        "assetOptions": _options(gallery),
    }
    upload = (await calls.ask(Call(method="POST", path="/uploads", body=body), UploadAnswer)).upload
    whole = memoryview(data)
    for part in _agreed_parts(upload, count):
        piece = whole[(part.number - 1) * PART_BYTES : part.number * PART_BYTES]
        await _put_part(calls, transfers, part, piece)
    await _complete(calls, upload.id)
    return await _imported(calls, upload.id, wait)


def _agreed_parts(upload: Upload, count: int) -> list[UploadPart]:
    parts = sorted(upload.parts or (), key=lambda part: part.number)
    if [part.number for part in parts] != list(range(1, count + 1)):
        found = ", ".join(str(part.number) for part in parts) or "none"
        raise RequestRefused(f"POST /uploads: {count} parts were asked for, the service named {found}")
    return parts


async def _put_part(calls: Calls, transfers: TransferSession, part: UploadPart, piece: memoryview) -> None:
    """The host's 401 and 403 speak of the signature, not of our credentials."""
    what, judge = f"PUT part {part.number}", final_on(401, 403)

    async def attempt() -> None:
        if error := judge(what, await transfers.put(part.url, piece)):
            raise error

    await persist(what, attempt, calls.tries)


async def _complete(calls: Calls, upload_id: str) -> None:
    """Say that all parts are there. A repetition after a lost answer may be refused: then the upload itself tells."""
    call = Call(method="POST", path=f"/uploads/{segment(upload_id)}/action", body={"action": "complete"})
    try:
        await calls.ask(call, UploadAnswer, final_on(409))
    except RequestRefused:
        if (await _look(calls, upload_id)).status == "pending":
            raise


async def _look(calls: Calls, upload_id: str) -> Upload:
    return (await calls.ask(Call(method="GET", path=f"/uploads/{segment(upload_id)}"), UploadAnswer)).upload


async def _imported(calls: Calls, upload_id: str, wait: ImportWait) -> str:
    pause_s, status = wait.first_pause_s, ""
    with anyio.move_on_after(wait.total_s):
        while True:
            upload = await _look(calls, upload_id)
            status = upload.status
            if status == "imported":
                return _asset_id(upload)
            if status == "failed":
                why = one_line(upload.error_message or "") or "it does not say why"
                raise RequestRefused(f"the service could not import the upload {upload_id}: {why}")
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * 2, wait.longest_pause_s)
    raise StageTimedOut(
        f"the upload {upload_id} was not imported within {wait.total_s:,.0f} s; its status is {status!r}",
        mend="run again later",
    )


def _asset_id(upload: Upload) -> str:
    if not upload.entity_id:
        raise RequestRefused(f"GET /uploads/{upload.id}: imported, but without the asset's id (entityId)")
    return upload.entity_id
