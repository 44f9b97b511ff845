"""Upload: a picture becomes an asset of the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.domain.items import Picture
from pipeline.domain.views import View
from pipeline.ports.interfaces import Images, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """How uploads show in the service's gallery."""

    hide: bool = True
    collections: Sequence[str] = ()


async def upload(picture: Picture, view: View, *, images: Images, scenario: Scenario, gallery: Gallery) -> str:
    """Send one picture and return its asset id. Repeating it costs nothing but a second asset.

    Raises:
        PictureRefused: the file changed or vanished since preflight.
        RequestRefused, ServiceUnreachable, CredentialsError: what the service said.
    """
    data, media_type = await images.prepare(picture)
    return await scenario.create_asset(
        name=f"{view.value}-{picture.sha256[:12]}",
        data=data,
        media_type=media_type,
        hide=gallery.hide,
        collections=gallery.collections,
    )


def submission(params: Mapping[str, Any], assets: Mapping[View, str]) -> dict[str, Any]:
    """The body of a generate request: every view by asset id, every parameter by value."""
    return {**{view.field: asset_id for view, asset_id in assets.items()}, **params}
