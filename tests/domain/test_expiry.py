import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.expiry import MARGIN, expires_at, is_nearly_over

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
EPOCH = int(NOON.timestamp())


def policy(epoch):
    said = {"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": epoch}}}]}
    return base64.b64encode(json.dumps(said).encode()).decode().translate(str.maketrans("+=/", "-_~"))


@pytest.mark.parametrize(
    "query",
    [
        f"Expires={EPOCH}&Signature=x&Key-Pair-Id=K",
        f"p=100&Policy={policy(EPOCH)}&Key-Pair-Id=K&Signature=x",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20310501T115500Z&X-Amz-Expires=300&X-Amz-Signature=x",
        "x-amz-date=20310501T115500Z&x-amz-expires=300",
        "X-Goog-Date=20310501T110000Z&X-Goog-Expires=3600&X-Goog-Signature=x",
        f"expires={EPOCH}000&signature=x",
    ],
)
def test_the_expiry_of_known_signatures(query):
    assert expires_at(f"https://files.example.com/mesh.glb?{query}") == NOON


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Expires=",
        "Expires=soon",
        "Expires=-1e9",
        "Expires=99999999999999999999999999",
        "X-Amz-Date=20310501T115500Z",
        "X-Amz-Date=20310501&X-Amz-Expires=300",
        "X-Amz-Date=20310501T115500Z&X-Amz-Expires=999999999999999999",
        "Policy=%FF",
        "Policy=e30_",
        f"Policy={base64.b64encode(b'[' * 100_000).decode()}",
        f"Policy={policy(None)}",
    ],
)
def test_what_cannot_be_read_tells_nothing(query):
    url = f"https://files.example.com/mesh.glb?{query}"
    assert expires_at(url) is None
    assert not is_nearly_over(url, NOON)


def test_what_is_no_url_tells_nothing():
    assert expires_at("https://[") is None


@pytest.mark.parametrize(("left", "over"), [(-1, True), (0, True), (30, True), (31, False)])
def test_a_url_is_nearly_over_within_the_margin(left, over):
    assert timedelta(seconds=30) == MARGIN
    assert is_nearly_over(f"https://x/?Expires={EPOCH}", NOON - timedelta(seconds=left)) is over
