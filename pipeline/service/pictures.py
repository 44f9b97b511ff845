"""What the service wants of a picture: at arrival that it is one, as an input that it keeps the model's limits."""

from datetime import datetime

from pipeline.domain.errors import PictureRefused
from pipeline.domain.model import PICTURE_MAX_BYTES, PICTURE_MAX_PX, PICTURE_MIN_PX
from pipeline.ports.images.headers import read_header
from pipeline.ports.job_records import AssetRecord, new_id
from pipeline.service.refusals import Refusal


def picture_asset(
    data: bytes, *, name: str, at: datetime, hidden: bool, collection_ids: tuple[str, ...]
) -> AssetRecord:
    """The asset that these bytes make.

    Raises:
        Refusal: 400, they are no picture. (That a picture is cut shows when a job decodes it.)
    """
    try:
        found = read_header(data, name)
    except PictureRefused as error:
        raise Refusal(400, f"image: {error}", hint=error.mend) from None
    return AssetRecord(
        asset_id=new_id("asset"),
        name=name,
        kind="image",
        source="uploaded",
        media_type=found.media_type,
        properties={
            "size": len(data),
            "width": found.width,
            "height": found.height,
            "format": found.media_type.partition("/")[2],
        },
        created_at=at,
        hidden=hidden,
        collection_ids=collection_ids,
    )


def problem_as_input(asset: AssetRecord) -> str | None:
    """Why the model does not take this asset as a view, as the end of a sentence; None when it does."""
    if asset.kind != "image":
        return f"{asset.asset_id} is of kind {asset.kind}; a picture is expected"
    size, width, height = (asset.properties[name] for name in ("size", "width", "height"))
    if size > PICTURE_MAX_BYTES:
        return f"{asset.asset_id} has {size:,} bytes; at most {PICTURE_MAX_BYTES:,} are taken"
    if min(width, height) < PICTURE_MIN_PX or max(width, height) > PICTURE_MAX_PX:
        return f"{asset.asset_id} is {width} x {height} px; each side must have {PICTURE_MIN_PX} to {PICTURE_MAX_PX}"
    return None
