"""Upload: a picture becomes an asset of the service."""

from collections.abc import Mapping
from typing import Any

from pipeline.domain.asset_names import asset_name
from pipeline.domain.items import Picture
from pipeline.domain.views import View
from pipeline.ports.interfaces import Gallery, Images, Scenario


async def upload(
    picture: Picture, view: View, *, copy: int, images: Images, scenario: Scenario, gallery: Gallery
) -> str:
    """Send one picture and return its asset id. Repeating it costs nothing but a second asset.

    Raises:
        PictureRefused: the file changed or vanished since preflight.
        RequestRefused, ServiceUnreachable, CredentialsError: what the service said.
    """
    data, media_type = await images.prepare(picture)
    return await scenario.create_asset(
        name=asset_name(view, picture, copy), data=data, media_type=media_type, gallery=gallery
    )


def submission(params: Mapping[str, Any], assets: Mapping[View, str]) -> dict[str, Any]:
    """The body of a generate request: every view by asset id, every parameter by value."""
    return {**{view.field: asset_id for view, asset_id in assets.items()}, **params}
