"""URLs that carry their own right for a while, as a content network or S3 gives them out."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from aiohttp import web

from pipeline.ports.interfaces import Now
from pipeline.ports.job_records import milliseconds
from pipeline.service.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSigner:
    key: bytes
    ttl: timedelta
    now: Now

    def sign(self, request: web.Request, method: str, path: str) -> str:
        """A URL for ``method`` on ``path`` at the address under which the client found the service."""
        expires_ms = milliseconds(self.expiry())
        query = {"expires": str(expires_ms), "signature": self._signature(method, path, expires_ms)}
        return f"{_origin(request)}{path}?{urlencode(query)}"

    def expiry(self) -> datetime:
        """Until when a URL signed now is good."""
        return self.now() + self.ttl

    def check(self, request: web.Request) -> None:
        """Let a request pass whose URL was signed here for its method and has not expired.

        Raises:
            Refusal: 403.
        """
        expires, signature = request.query.get("expires", ""), request.query.get("signature", "")
        method = "GET" if request.method == "HEAD" else request.method
        if not (expires.isascii() and expires.isdigit() and len(expires) < 16):  # noqa: PLR2004 - the year 33,658
            raise Refusal(403, "the URL is not signed")
        if not hmac.compare_digest(self._signature(method, request.path, int(expires)).encode(), signature.encode()):
            raise Refusal(403, "the URL's signature is wrong")
        if milliseconds(self.now()) >= int(expires):
            raise Refusal(403, "the URL has expired", hint="ask for the asset again: its answer carries a fresh URL")

    def _signature(self, method: str, path: str, expires_ms: int) -> str:
        text = f"{method}\n{path}\n{expires_ms}"
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)


def _origin(request: web.Request) -> str:
    """Where the client has found the service, by the client's own word. A false word harms nobody else: what is
    signed goes back to this client alone, and no cache keeps an answer to a call with credentials.

    Raises:
        Refusal: 400, not a host.
    """
    if not _HOST.fullmatch(request.host):
        raise Refusal(400, "Host: not a host name or address with a port")
    return f"{request.scheme}://{request.host}"
