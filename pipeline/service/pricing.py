"""The price list: what a job costs in creative units. Free unless set, so that budgets can be rehearsed."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.domain.errors import UsageError
from pipeline.domain.model import wants_pbr, wants_texture

_Units = Annotated[float, Field(allow_inf_nan=False, ge=0)]


class PriceList(BaseModel):
    """Prices in creative units (CU) of one job; every field may be left out.

    As YAML::

        base: 20
        geometryDiscount: 5                              # taken off when generateType is Geometry
        enablePbr: 10                                    # added for PBR materials
        faceCount: {"500000": 0, "1000000": 5, "1500000": 12}  # added for up to this many faces
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: _Units = 0
    geometry_discount: _Units = Field(default=0, alias="geometryDiscount")
    enable_pbr: _Units = Field(default=0, alias="enablePbr")
    face_count: dict[int, _Units] = Field(default={}, alias="faceCount")

    @classmethod
    def from_document(cls, document: object) -> Self:
        """A price list as it was read from YAML or JSON.

        Raises:
            UsageError: with every problem.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
            fields = ", ".join(field.alias or name for name, field in cls.model_fields.items())
            raise UsageError("the price list cannot be used", mend=f"it may have {fields}", problems=problems) from None

    def cost(self, params: Mapping[str, Any]) -> float:
        """The price of a job with these parameters (completed with the model's defaults)."""
        cost = self.base + self._for_faces(params["faceCount"])
        if wants_pbr(params):
            cost += self.enable_pbr
        if not wants_texture(params):
            cost -= self.geometry_discount
        return max(0.0, cost)

    def _for_faces(self, count: float) -> float:
        """The smallest tier that holds this many faces, or the largest there is."""
        tiers = sorted(self.face_count.items())
        return next((cu for up_to, cu in tiers if count <= up_to), tiers[-1][1] if tiers else 0.0)
