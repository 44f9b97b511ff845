"""The price list, and that quotes, bills and limits follow it."""

import pytest

from pipeline.domain.errors import UsageError
from pipeline.service.pricing import PriceList

MODEL = "model_hunyuan-3d-pro-3-1-multiview"
DOCUMENT = {"base": 20, "geometryDiscount": 5, "enablePbr": 10, "faceCount": {500_000: 0, 1_000_000: 4, 1_500_000: 12}}
DEFAULTS = {"faceCount": 500_000, "generateType": "Normal", "enablePbr": False}


@pytest.mark.parametrize(
    ("params", "cu"),
    [
        ({}, 20),
        ({"enablePbr": True}, 30),
        ({"generateType": "Geometry"}, 15),
        ({"generateType": "Geometry", "enablePbr": True}, 15),
        ({"faceCount": 500_001}, 24),
        ({"faceCount": 1_500_000, "enablePbr": True}, 42),
    ],
)
def test_a_job_costs_what_its_parameters_ask_for(params, cu) -> None:
    assert PriceList.from_document(DOCUMENT).cost(DEFAULTS | params) == cu


def test_without_a_list_everything_is_free() -> None:
    assert PriceList().cost(DEFAULTS | {"enablePbr": True}) == 0


def test_a_discount_makes_nothing_cheaper_than_free() -> None:
    assert (
        PriceList.from_document({"base": 1, "geometryDiscount": 5}).cost(DEFAULTS | {"generateType": "Geometry"}) == 0
    )


def test_a_wrong_list_is_refused_with_all_its_faults() -> None:
    with pytest.raises(UsageError) as caught:
        PriceList.from_document({"base": -1, "pbr": 3, "faceCount": {"many": 1}})
    assert len(caught.value.problems) == 3
    with pytest.raises(UsageError):
        PriceList.from_document(["base"])


def test_quote_and_bill_agree(started) -> None:
    service = started(prices=DOCUMENT)
    body = {"frontImage": service.upload()["id"], "enablePbr": True}
    quote = service.api.post(f"generate/custom/{MODEL}?dryRun=true", json=body)
    assert quote.status_code == 269
    assert quote.json() == {
        "creativeUnitsCost": 30,
        "creativeUnitsDiscount": 0,
        "costDetails": {"custom-generation": 30},
    }
    launched = service.api.post(f"generate/custom/{MODEL}", json=body).json()
    assert launched["creativeUnitsCost"] == 30
    assert service.finished(launched["job"]["jobId"])["billing"]["cuCost"] == 30
    assert service.api.get("teams/team_local/limits").json()["values"]["creativeUnits"] == 30
