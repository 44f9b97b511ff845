"""Upload: a picture becomes an asset of the service."""

from collections.abc import Mapping
from typing import Any

from anyio import CapacityLimiter

from pipeline.domain.asset_names import asset_name
from pipeline.domain.items import Picture
from pipeline.domain.views import View
from pipeline.ports.interfaces import Gallery, Images, Scenario

SMALL_BYTES = 256 * 1024
"""Pictures of at most so many bytes are read before their turn, those of a set together: the way to a thread and back
costs as much as sending one. Larger ones would fill the memory.
"""


async def upload(
    picture: Picture,
    view: View,
    *,
    copy: int,
    images: Images,
    scenario: Scenario,
    gallery: Gallery,
    turns: CapacityLimiter,
) -> str:
    """Send one picture, within a turn, and return its asset id. Repeating it costs nothing but a second asset.

    Raises:
        PictureRefused: the file changed or vanished since preflight.
        RequestRefused, ServiceUnreachable, CredentialsError: what the service said.
    """
    is_small = picture.size_bytes <= SMALL_BYTES and not picture.changes  # what is converted may be of any size
    early = await images.prepare(picture) if is_small else None
    async with turns:
        data, media_type = early or await images.prepare(picture)
        return await scenario.create_asset(
            name=asset_name(view, picture, copy), data=data, media_type=media_type, gallery=gallery
        )


def submission(params: Mapping[str, Any], assets: Mapping[View, str]) -> dict[str, Any]:
    """The body of a generate request: every view by asset id, every parameter by value."""
    return {**{view.field: asset_id for view, asset_id in assets.items()}, **params}
