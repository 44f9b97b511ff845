"""Until when a signed URL is good, as far as it says so itself."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

MARGIN = timedelta(seconds=30)
"""A URL with less time left is not begun with: it would run out on the way, or by a clock that differs a little."""

_MILLISECONDS_FROM = 10**11
"""An epoch number from here on counts milliseconds: as seconds it would lie in the year 5138."""

_DECODED = str.maketrans("-_~", "+=/")
"""How CloudFront writes base64 in URLs."""


def is_nearly_over(url: str, now: datetime) -> bool:
    """Whether the URL has expired or is about to. One that does not say when counts as good."""
    until = expires_at(url)
    return until is not None and until - now <= MARGIN


def expires_at(url: str) -> datetime | None:
    """The expiry that a signed URL carries; None where there is none, or none that can be read.

    Known are ``Expires`` in epoch seconds and ``Policy`` (CloudFront), ``X-Amz-Date`` with ``X-Amz-Expires`` (S3),
    ``X-Goog-Date`` with ``X-Goog-Expires`` (Google Cloud Storage), and ``expires`` in epoch milliseconds (our own
    service).
    """
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
        return _lifetime(query, "x-amz") or _lifetime(query, "x-goog") or _moment(query) or _policy(query)
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None


def _lifetime(query: Mapping[str, str], kind: str) -> datetime | None:
    if f"{kind}-date" not in query or f"{kind}-expires" not in query:
        return None
    signed_at = datetime.strptime(query[f"{kind}-date"], "%Y%m%dT%H%M%S%z")
    return signed_at + timedelta(seconds=int(query[f"{kind}-expires"]))


def _moment(query: Mapping[str, str]) -> datetime | None:
    return _epoch(int(query["expires"])) if "expires" in query else None


def _policy(query: Mapping[str, str]) -> datetime | None:
    if "policy" not in query:
        return None
    policy = json.loads(base64.b64decode(query["policy"].translate(_DECODED)))
    return _epoch(int(policy["Statement"][0]["Condition"]["DateLessThan"]["AWS:EpochTime"]))


def _epoch(number: int) -> datetime:
    return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)
