"""URLs that carry their own right for a while, as a content network or S3 gives them out."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

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
        return str(request.url.origin().with_path(path).with_query(query))

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
