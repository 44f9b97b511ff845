"""What a hostile host may try on our HTTP sessions, over real sockets."""

import contextlib
import gzip
import socket
import ssl
import tracemalloc
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from pipeline.domain.errors import MvmeshError, ServiceFault, TryAgain
from pipeline.ports.addresses import Origin
from pipeline.ports.http import ANSWER_MAX_BYTES, ApiSession, Timeouts, TransferSession

pytestmark = pytest.mark.anyio

LIMITS = Timeouts(connect_s=5, read_s=5, head_s=5, total_s=20)
PEM = Path(__file__).with_name("localhost.pem")
BACKEND = "https://api.example.com/v1"


def transfers(backend=BACKEND):
    return TransferSession.connect(Origin.of(backend), timeouts=LIMITS)


def api(url):
    return ApiSession.connect(url, authorization="Basic abc", timeouts=LIMITS)


async def fetched(session, url):
    async with session.get(url, headers={}) as incoming:
        return incoming.status, await incoming.read()


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "127.0.0.01"),  # other spellings of IPv4
        *("127。0。0。1", "ⓛocalhost", "\uff11\uff12\uff17.0.0.1"),  # what a resolver would fold
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]"),
        *("[::ffff:127.0.0.1]", "[::127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::a00:1]", "[64:ff9b:1::1]"),
        *("[2001:0:7f00:1::]", "[2002:c0a8:101::1]"),
        "localhost",
    ],
)
async def test_no_spelling_of_an_inner_address_is_asked(host):
    async with transfers() as session:
        with pytest.raises(ServiceFault):
            await fetched(session, f"https://{host}:9/x")


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.com\\@127.0.0.1/x",
        "https://127.0.0.1\\@files.example.com/x",
        "https://files.example.com@127.0.0.1/x",
        "https://files.example.com:443@127.0.0.1/x",
        "https://[::1]files.example.com/x",
        "https://files.example.com:99999/x",
        "https:///x",
        "https:/127.0.0.1/x",
        "//127.0.0.1/x",
        "ftp://files.example.com/x",
        "file:///etc/passwd",
        "data:model/gltf-binary;base64,Z2xURg==",
        "javascript:alert(1)",
        "http://files.example.com/x",
        "http://api.example.com/x",
        "https://a\r\nHost: b/x",
        "https://" + "a" * 70_000,
        "https://files..example.com/x",
        "",
    ],
)
async def test_urls_that_readers_disagree_about_are_refused(url):
    async with transfers() as session:
        with pytest.raises(TryAgain):
            await fetched(session, url)


@pytest.mark.parametrize(
    "found", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::a00:1"]]
)
async def test_a_name_that_leads_inside_is_refused(monkeypatch, found):
    def answered(host, port, *_, **__):
        kinds = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in found]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (one, port, 0, 0) if ":" in one else (one, port))
            for kind, one in zip(kinds, found, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    async with transfers() as session:
        with pytest.raises(ServiceFault, match="not a public one"):
            await fetched(session, "https://files.example.com/x")


async def test_the_name_of_the_proxy_is_no_place_for_a_file(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.internal:3128")
    async with transfers() as session:
        with pytest.raises(ServiceFault, match="not a public one"):
            await fetched(session, "https://proxy.internal/x")


@contextlib.asynccontextmanager
async def encrypted(app):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_no_redirect_leads_from_https_to_http(serving, monkeypatch):
    """Not even to the backend itself, which may be asked in clear text otherwise."""
    asked = []

    async def move(request):
        raise web.HTTPFound(f"{plain}/x")

    async def serve(request):
        asked.append(request)
        return web.Response(body=b"file")

    moving, here = web.Application(), web.Application()
    moving.add_routes([web.get("/x", move)])
    here.add_routes([web.get("/x", serve)])
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    async with serving(here) as plain, encrypted(moving) as secret, transfers(plain) as session:
        assert await fetched(session, f"{plain}/x") == (200, b"file")
        with pytest.raises(ServiceFault, match="from https to http"):
            await fetched(session, f"{secret}/x")
    assert len(asked) == 1


async def test_nothing_of_ours_follows_a_redirect(serving):
    seen = []

    async def move(request):
        seen.append(request)
        response = web.Response(status=307, headers={"Location": "/there?sig=2"})
        response.set_cookie("track", "me")
        return response

    async def serve(request):
        seen.append(request)
        return web.Response(body=b"file")

    app = web.Application()
    app.add_routes([web.get("/x", move), web.get("/there", serve)])
    async with serving(app) as url, transfers(url) as session:
        assert await fetched(session, f"{url}/x?sig=1") == (200, b"file")
    for request in seen:
        assert not {"Authorization", "Cookie", "Referer"} & set(request.headers)


def flood(start, more):
    async def talk(stream):
        with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            await stream.receive()
            await stream.send(start)
            while True:
                await stream.send(more)

    return talk


FLOODS = {
    "lines": flood(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 10_000),
    "one line": flood(b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 65_536),
    "reason": flood(b"HTTP/1.1 200 ", b"b" * 65_536),
    "trailers": flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", b"X-A: b\r\n" * 10_000),
    "body": flood(b"HTTP/1.1 200 OK\r\n\r\n", b"b" * 65_536),
    "packed": flood(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(64_000_000))),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_ends_within_bounds_of_memory(talking, kind):
    async with talking(FLOODS[kind]) as url, api(url) as session:
        tracemalloc.start()
        try:
            with pytest.raises(TryAgain):
                await session.send("GET", "/x", query={}, body=None)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * ANSWER_MAX_BYTES


async def test_an_endless_row_of_early_hints_is_given_up(talking):
    limits = Timeouts(connect_s=5, read_s=5, head_s=0.5, total_s=60)
    hints = flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100)
    async with talking(hints) as url, TransferSession.connect(Origin.of(url), timeouts=limits) as session:
        with anyio.fail_after(20), pytest.raises(TryAgain):
            await fetched(session, f"{url}/x")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"reason": ' + b"9" * 100_000 + b"}",
        b'{"reason": "\xff\xfe\\ud800"}',
        b'{"reason": "' + b"x" * 1_000_000 + b'"}',
        b"\0" * 1000,
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_monstrous_body_is_a_plain_error(service, connect, body, status):
    async def monstrous(request):
        return web.Response(status=status, body=body, content_type="application/json")

    service.say("GET /v1/models/m", *[monstrous] * 3)
    async with connect(service.url) as client:
        with pytest.raises(MvmeshError) as caught:
            await client.model_schema("m")
    assert len(str(caught.value)) < 3000
