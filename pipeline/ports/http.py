"""HTTP with aiohttp's client (its only importer): two kinds of session, and foreign errors made ours.

``ApiSession`` talks to the service with credentials and follows no redirect. ``TransferSession`` talks to hosts that
the service names, without credentials. Neither reads netrc (aiohttp's ``trust_env`` would, and send what stands there
to download hosts), neither keeps cookies; proxy and CA variables are honoured.
"""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import AF_INET, AddressFamily

import aiohttp
import anyio
from aiohttp import http_exceptions
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from pipeline.domain.errors import ConnectionLost, NeverSent, ServiceFault, TryAgain, UsageError
from pipeline.ports.addresses import Origin, is_disguised, is_public, literal, proxy_for, proxy_hosts
from pipeline.ports.bodies import Streamed, streamed

ANSWER_MAX_BYTES = 16 * 1024 * 1024
"""A page of a hundred jobs has less than a tenth of it; read as JSON, it may take twenty times the memory."""

_CHUNK_BYTES = 256 * 1024
_REDIRECTS_MAX = 5
_CONNECTIONS_MAX = 64
_JSON = {"Content-Type": "application/json"}
_NO_HEADERS: Mapping[str, str] = {}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

COUNTERPARTS: dict[type[Exception], type[TryAgain]] = {
    # The request cannot have left: DNS, refused, TLS handshake, proxy.
    aiohttp.ClientConnectorError: NeverSent,
    aiohttp.ConnectionTimeoutError: NeverSent,
    aiohttp.ClientHttpProxyError: NeverSent,
    aiohttp.ServerFingerprintMismatch: NeverSent,
    UnicodeError: NeverSent,  # a host that is no name: an empty or too long part
    # The connection stood: the request may have been read.
    aiohttp.ClientConnectionError: ConnectionLost,
    aiohttp.ClientPayloadError: ConnectionLost,
    # What came is not HTTP, or no place to go to.
    aiohttp.ClientResponseError: ServiceFault,
    aiohttp.RedirectClientError: ServiceFault,
    aiohttp.InvalidURL: ServiceFault,
    aiohttp.NonHttpUrlClientError: ServiceFault,
    http_exceptions.HttpProcessingError: ServiceFault,
    # What this version of aiohttp has not, and what passes through it.
    aiohttp.ClientError: ConnectionLost,
    OSError: ConnectionLost,
}
"""Foreign errors by class; a subclass goes with its nearest base."""

_CARRY_REQUEST = (aiohttp.ClientResponseError, aiohttp.InvalidURL, aiohttp.ConnectionTimeoutError)
"""These hold the request's headers or its signed URL: they are not chained, so that no traceback shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Bounds of one request: to connect (DNS and TLS included), between two pieces of the answer, until its header is
    whole, altogether.
    """

    connect_s: float = 20.0
    read_s: float = 60.0
    head_s: float = 120.0
    total_s: float = 180.0


API_TIMEOUTS = Timeouts()

ASK_READ_S = 20.0
"""How long a request that may be repeated waits between two pieces of its answer: one that hangs holds up the watcher
of all jobs. The one that may not be repeated is given all the time of ``Timeouts``.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. ``headers`` ignore case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def rewritten(self, change: Callable[[bytes], bytes]) -> "Answer":
        """The same answer with all that it says gone through ``change``; itself where that changes nothing."""
        body, told = change(self.body), "\n".join(self.headers.values())
        if told.isascii() and change(told.encode()) == told.encode():
            return self if body is self.body else replace(self, body=body)
        said = [(name, change(text.encode(errors="surrogateescape"))) for name, text in self.headers.items()]
        headers = CIMultiDict((name, text.decode(errors="replace")) for name, text in said)
        return Answer(status=self.status, headers=headers, body=body)


def counterpart(error: Exception) -> type[TryAgain]:
    return next(COUNTERPARTS[base] for base in type(error).__mro__ if base in COUNTERPARTS)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn aiohttp's errors into ours: NeverSent, ConnectionLost or ServiceFault, with ``what`` in front."""
    try:
        yield
    except (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError, UnicodeError) as error:
        cause = None if isinstance(error, _CARRY_REQUEST) else error
        raise counterpart(error)(f"{what}: {_sentence(error)}", mend=_mend(error)) from cause


def _sentence(error: Exception) -> str:
    detail = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    said = {
        NeverSent: "no connection could be made",
        ConnectionLost: "the connection broke or went silent before the answer was whole",
        ServiceFault: "the answer is not HTTP or leads nowhere",
    }[counterpart(error)]
    return f"{said}: {type(error).__name__}{detail}"


def _mend(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return "name the certificates to trust in SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
    if counterpart(error) is NeverSent:
        return "check the network, HTTPS_PROXY and NO_PROXY, and the service's base URL"
    return ""


class ApiSession:
    """Requests to one service, with credentials, to nowhere else."""

    def __init__(self, base_url: str, kept: aiohttp.ClientSession, fresh: aiohttp.ClientSession) -> None:
        self._base_url = base_url.rstrip("/")
        self._proxy = proxy_for(base_url)
        self._kept = kept
        self._fresh = fresh

    @classmethod
    @asynccontextmanager
    async def connect(cls, base_url: str, *, authorization: str, timeouts: Timeouts) -> AsyncIterator["ApiSession"]:
        """Sessions that send ``authorization`` with every request, closed at the end of the scope."""
        trust, headers = trusted_certificates(), {"Authorization": authorization, "Accept": "application/json"}
        async with AsyncExitStack() as stack:
            brisk = replace(timeouts, read_s=min(timeouts.read_s, ASK_READ_S))
            kept = await stack.enter_async_context(_session(brisk, headers, _connector(trust)))
            fresh = await stack.enter_async_context(_session(timeouts, headers, _connector(trust, force_close=True)))
            yield cls(base_url, kept, fresh)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: bytes | Streamed | None,
        fresh_connection: bool = False,
    ) -> Answer:
        """One request, one answer, redirects included. ``path`` is quoted already.

        With ``fresh_connection`` it goes over a connection of its own: aiohttp repeats a request on a reused connection
        that the other side had closed (for idempotent methods), and a POST on such a one is lost without being read.

        Raises:
            NeverSent, ConnectionLost: see ``COUNTERPARTS``.
            ServiceFault: the answer is not HTTP or larger than ANSWER_MAX_BYTES.
        """
        session = self._fresh if fresh_connection else self._kept
        what = f"{method} {path}"
        with translated(what):
            async with session.request(
                method,
                URL(self._base_url + path, encoded=True),
                params=query or None,
                data=body,
                headers=_headers(body),
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                return await _whole(response, what)


class Incoming:
    """An answer whose body is still on the way."""

    def __init__(self, response: aiohttp.ClientResponse, what: str) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.what = what
        self._content = response.content

    async def read(self) -> bytes:
        """The next piece, up to 256 KiB; empty at the end. Raises ConnectionLost when the body is cut."""
        with translated(self.what):
            return await self._content.read(_CHUNK_BYTES)


class TransferSession:
    """Requests to hosts that the service names: signed URLs, without credentials.

    Taken are https URLs of public hosts and of the backend's host, and whatever lies at the backend's own origin. All
    else is refused with ServiceFault before anything is sent.
    """

    def __init__(self, session: aiohttp.ClientSession, backend: Origin, *, head_s: float) -> None:
        self._session = session
        self._backend = backend
        self._head_s = head_s

    @classmethod
    @asynccontextmanager
    async def connect(cls, backend: Origin, *, timeouts: Timeouts) -> AsyncIterator["TransferSession"]:
        resolver = _PublicHosts(except_for=proxy_hosts() | {backend.host})
        connector = _connector(trusted_certificates(), resolver=resolver)
        async with _session(timeouts, {"Accept-Encoding": "identity"}, connector) as session:
            yield cls(session, backend, head_s=timeouts.head_s)

    async def put(self, url: str, data: bytes | memoryview) -> Answer:
        """Send bytes without a content type (a signature may not have foreseen one); redirects are not followed."""
        what, body = _file_at("PUT", self.admit("PUT", url)), streamed(data)
        with translated(what):
            async with self._session.put(
                URL(url, encoded=True),
                data=body,
                headers=_length(body),
                allow_redirects=False,
                proxy=proxy_for(url),
                skip_auto_headers=["Content-Type"],
            ) as response:
                return await _whole(response, what)

    @asynccontextmanager
    async def get(self, url: str, *, headers: Mapping[str, str]) -> AsyncIterator[Incoming]:
        """The answer behind up to five redirects, each of which is held to the same rules, and never leads from https
        to http.
        """
        origin = self.admit("GET", url)
        for _ in range(_REDIRECTS_MAX + 1):
            what = _file_at("GET", origin)
            response = await self._get(url, headers, what)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or not target:
                try:
                    yield Incoming(response, what)
                finally:
                    response.release()
                return
            response.close()
            url, origin = self._redirected(url, origin, target)
        raise ServiceFault(f"{what}: more than {_REDIRECTS_MAX} redirects")

    async def _get(self, url: str, headers: Mapping[str, str], what: str) -> aiohttp.ClientResponse:
        with translated(what), anyio.fail_after(self._head_s):
            return await self._session.get(
                URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=proxy_for(url)
            )

    def _redirected(self, url: str, origin: Origin, target: str) -> tuple[str, Origin]:
        what = _file_at("GET", origin)
        with translated(what):
            url = _joined(url, target)
        place = self.admit("GET", url)
        if (origin.scheme, place.scheme) == ("https", "http"):
            raise ServiceFault(f"{what}: refused, it redirects from https to {place}")
        return url, place

    def admit(self, method: str, url: str) -> Origin:
        """Where the URL leads, if that is a place that may be asked.

        Raises:
            ServiceFault: it is not; the words hold nothing of a signature.
        """
        try:
            origin = Origin.of(url)
            is_clear = (URL(url, encoded=True).host or "").lower().rstrip(".") == origin.host
        except ValueError as error:
            raise ServiceFault(f"the service names {error} for a file") from None
        what = _file_at(method, origin)
        if not is_clear:
            raise ServiceFault(f"{what}: refused, the URL can be read as one of another host")
        self._refuse_inner(what, origin)
        return origin

    def _refuse_inner(self, what: str, origin: Origin) -> None:
        if origin.scheme != "https" and origin != self._backend:
            raise ServiceFault(f"{what}: refused, only https or the service's own {self._backend} is taken")
        if origin.host == self._backend.host:
            return
        address = literal(origin.host)
        is_inner = is_disguised(origin.host) if address is None else not is_public(address)
        if is_inner or origin.host in proxy_hosts():
            raise ServiceFault(f"{what}: refused, the address is not a public one")


def _headers(body: bytes | Streamed | None) -> Mapping[str, str]:
    if body is None:
        return _NO_HEADERS
    return {**_JSON, **_length(body)} if isinstance(body, Streamed) else _JSON


def _length(body: Streamed) -> Mapping[str, str]:
    """Told beforehand: what comes piece by piece would else be sent in chunks, which storage hosts do not take."""
    return {"Content-Length": str(body.size_bytes)}


def _file_at(method: str, origin: Origin) -> str:
    return f"{method} a file from {origin}"


class _PublicHosts(AbstractResolver):
    """Resolves names, and refuses those that lead into this machine or a private network."""

    def __init__(self, *, except_for: frozenset[str]) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._except_for = except_for

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host.lower().rstrip(".") not in self._except_for and not all(_leads_outside(one) for one in found):
            raise ServiceFault(f"{host}: refused, the name leads to an address that is not a public one")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _leads_outside(found: ResolveResult) -> bool:
    address = literal(found["host"])
    return address is not None and is_public(address)


def _joined(url: str, target: str) -> str:
    try:
        return str(URL(url, encoded=True).join(URL(target, encoded=True)))
    except ValueError:
        raise aiohttp.InvalidURL("redirect") from None


async def _whole(response: aiohttp.ClientResponse, what: str) -> Answer:
    pieces, size_bytes = [], 0
    while piece := await response.content.read(_CHUNK_BYTES):
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > ANSWER_MAX_BYTES:
            raise ServiceFault(f"{what}: the answer is larger than {ANSWER_MAX_BYTES:,} bytes")
    return Answer(status=response.status, headers=response.headers, body=b"".join(pieces))


def _session(timeouts: Timeouts, headers: Mapping[str, str], connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": "mvmesh", **headers},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeouts.total_s, connect=timeouts.connect_s, sock_read=timeouts.read_s),
        read_bufsize=_CHUNK_BYTES,
    )


def _connector(
    trust: ssl.SSLContext | None, *, force_close: bool = False, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(ssl=trust or True, force_close=force_close, resolver=resolver, limit=_CONNECTIONS_MAX)


def trusted_certificates() -> ssl.SSLContext | None:
    """The certificates of SSL_CERT_FILE or REQUESTS_CA_BUNDLE (a file, or a folder of them); None: the system's, which
    aiohttp has loaded already.

    Raises:
        UsageError: the variable names nothing that can be read as certificates.
    """
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if named := os.environ.get(variable):
            try:
                is_folder = Path(named).is_dir()
                return ssl.create_default_context(
                    cafile=None if is_folder else named, capath=named if is_folder else None
                )
            except OSError as error:
                raise UsageError(
                    f"{variable} names {named}, which cannot be read as certificates: {error.strerror or error}",
                    mend="point it at a PEM file or unset it",
                ) from error
    return None
