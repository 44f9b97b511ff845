import contextlib
import ssl
import traceback
from pathlib import Path

import aiohttp
import pytest
from aiohttp import client_exceptions, web

from pipeline.domain.errors import ConnectionLost, NeverSent, ServiceFault, UsageError
from pipeline.ports.addresses import Origin
from pipeline.ports.http import ANSWER_MAX_BYTES, COUNTERPARTS, ApiSession, Timeouts, TransferSession, counterpart

pytestmark = pytest.mark.anyio

SHORT = Timeouts(connect_s=5, read_s=0.3, total_s=5)
PEM = Path(__file__).with_name("localhost.pem")

MET_BY_NONE = {client_exceptions.ClientError, getattr(client_exceptions, "UploadAbortedError", None)}
"""The bare base; and what only a request with an upload tracker raises, which none of ours has."""


@contextlib.asynccontextmanager
async def api(base_url):
    async with ApiSession.connect(base_url, authorization="Basic abc", timeouts=SHORT) as session:
        yield session


async def empty(request):
    return web.Response(text="{}")


def ask(session, method="GET", path="/x", **more):
    return session.send(method, path, query={}, body=None, **more)


@pytest.mark.parametrize(
    "foreign",
    [
        one
        for one in vars(client_exceptions).values()
        if isinstance(one, type) and issubclass(one, aiohttp.ClientError) and one not in MET_BY_NONE
    ],
)
def test_every_client_error_of_aiohttp_has_a_counterpart(foreign):
    named = next(base for base in foreign.__mro__ if base in COUNTERPARTS)
    assert named is not aiohttp.ClientError


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (client_exceptions.ClientConnectorDNSError, NeverSent),
        (client_exceptions.ClientConnectorCertificateError, NeverSent),
        (client_exceptions.ClientConnectorSSLError, NeverSent),
        (client_exceptions.ClientProxyConnectionError, NeverSent),
        (client_exceptions.ConnectionTimeoutError, NeverSent),
        (client_exceptions.ServerDisconnectedError, ConnectionLost),
        (client_exceptions.SocketTimeoutError, ConnectionLost),
        (client_exceptions.ClientOSError, ConnectionLost),
        (client_exceptions.ClientConnectionResetError, ConnectionLost),
        (client_exceptions.ClientPayloadError, ConnectionLost),
        (TimeoutError, ConnectionLost),
        (ssl.SSLError, ConnectionLost),
    ],
)
def test_only_what_failed_before_the_request_counts_as_never_sent(foreign, ours):
    assert counterpart(foreign.__new__(foreign)) is ours


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
async def test_no_connection_means_never_sent(base_url):
    async with api(base_url) as session:
        with pytest.raises(NeverSent, match="no connection could be made") as caught:
            await ask(session, "POST")
    assert caught.value.mend


async def test_a_failed_handshake_means_never_sent(talking):
    async def no_tls(stream):
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with talking(no_tls) as url, api(url.replace("http:", "https:")) as session:
        with pytest.raises(NeverSent):
            await ask(session, "POST")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", ConnectionLost),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ServiceFault),
    ],
)
async def test_a_cut_answer_is_a_lost_connection(talking, read_request, said, expected):
    async def cut(stream):
        await read_request(stream)
        if said:
            await stream.send(said)

    async with talking(cut) as url, api(url) as session:
        with pytest.raises(expected, match=r"POST /x"):
            await ask(session, "POST")


async def test_a_reset_after_the_request_is_a_lost_connection(talking, read_request, reset):
    async def die(stream):
        await read_request(stream)
        await reset(stream)

    async with talking(die) as url, api(url) as session:
        with pytest.raises(ConnectionLost):
            await ask(session, "POST")


async def test_silence_is_a_lost_connection(talking, read_request):
    async def wait(stream):
        await read_request(stream)
        with contextlib.suppress(Exception):
            await stream.receive()

    async with talking(wait) as url, api(url) as session:
        with pytest.raises(ConnectionLost, match="went silent"):
            await ask(session, "POST")


async def test_a_post_on_a_fresh_connection_is_sent_once_although_a_kept_one_is_at_hand(talking, read_request):
    requests = []

    async def answer_first_only(stream):
        while True:
            requests.append((await read_request(stream)).split(b" ")[0])
            if len(requests) > 1:
                return
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with talking(answer_first_only) as url, api(url) as session:
        await ask(session)
        with pytest.raises(ConnectionLost):
            await ask(session, "POST", fresh_connection=True)
    assert requests == [b"GET", b"POST"]


async def test_a_post_on_a_kept_connection_is_not_repeated_either(talking, read_request):
    requests = []

    async def answer_first_only(stream):
        while True:
            requests.append((await read_request(stream)).split(b" ")[0])
            if len(requests) > 1:
                return
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with talking(answer_first_only) as url, api(url) as session:
        await ask(session)
        with pytest.raises(ConnectionLost):
            await ask(session, "POST")
    assert requests == [b"GET", b"POST"]


async def test_a_redirect_of_the_api_is_an_answer_and_not_followed(serving):
    reached = []

    async def move(request):
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async def elsewhere(request):
        reached.append(request.method)
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/x", move), web.post("/elsewhere", elsewhere)])
    async with serving(app) as url, api(url) as session:
        assert (await ask(session, "POST")).status == 307
    assert reached == []


async def test_an_oversized_answer_is_refused(serving):
    async def flood(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(ANSWER_MAX_BYTES // 2**20 + 2):
                await response.write(bytes(2**20))
        return response

    app = web.Application()
    app.add_routes([web.get("/x", flood)])
    async with serving(app) as url, api(url) as session:
        with pytest.raises(ServiceFault, match="larger than"):
            await ask(session)


async def test_errors_show_neither_credentials_nor_signatures(talking, read_request, serving):
    async def not_http(stream):
        await read_request(stream)
        await stream.send(b"nonsense\r\n\r\n")

    signature = "0123456789"[::-1]
    async with talking(not_http) as url, api(url) as session:
        with pytest.raises(ServiceFault) as caught:
            await ask(session)
        async with TransferSession.connect(Origin.of(url), timeouts=SHORT) as transfers:
            with pytest.raises(ServiceFault) as signed:
                await transfers.put(f"{url}/file?Signature={signature}", b"x")
    text = "".join(traceback.format_exception(caught.value) + traceback.format_exception(signed.value))
    assert "Basic abc" not in text
    assert signature not in text


async def test_certificates_are_checked_and_the_variables_name_more_of_them(monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    app = web.Application()
    app.add_routes([web.get("/x", empty)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with api(url) as session:
            with pytest.raises(NeverSent) as caught:
                await ask(session)
        assert "SSL_CERT_FILE" in caught.value.mend
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, str(PEM))
                async with api(url) as session:
                    assert (await ask(session)).status == 200
    finally:
        await runner.cleanup()


async def test_a_certificate_variable_that_names_nothing_is_a_usage_error(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        async with api("https://127.0.0.1:1"):
            pass


async def test_the_proxy_of_the_environment_is_used_and_its_refusal_is_never_sent(talking, read_request, monkeypatch):
    seen = []

    async def proxy(stream):
        seen.append(await read_request(stream))
        await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with talking(proxy) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.replace("http://", "http://me:pass@"))
        async with api("https://api.example.com/v1") as session:
            with pytest.raises(NeverSent) as caught:
                await ask(session, "POST")
    assert seen[0].startswith(b"CONNECT api.example.com:443 ")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==" in seen[0]
    assert b"Basic abc" not in seen[0]
    assert "pass" not in "".join(traceback.format_exception(caught.value))


async def test_loopback_is_never_proxied(serving, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    app = web.Application()
    app.add_routes([web.get("/x", empty)])
    async with serving(app) as url, api(url) as session:
        assert (await ask(session)).status == 200


async def test_transfers_carry_no_credentials_cookies_or_netrc(serving, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    seen = []

    async def take(request):
        seen.append(dict(request.headers))
        response = web.Response()
        response.set_cookie("track", "me")
        return response

    app = web.Application()
    app.add_routes([web.put("/part", take)])
    async with serving(app) as url, TransferSession.connect(Origin.of(url), timeouts=SHORT) as transfers:
        for _ in range(2):
            assert (await transfers.put(f"{url}/part?signature=1", b"bytes")).status == 200
    for headers in seen:
        assert not {"Authorization", "Cookie", "Content-Type", "Transfer-Encoding"} & set(headers)
        assert headers["Content-Length"] == "5"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://files.example.com/mesh.glb", "only https"),
        ("https://127.0.0.1/mesh.glb", "not a public one"),
        ("https://10.0.0.1/mesh.glb", "not a public one"),
        ("https://169.254.169.254/latest/meta-data", "not a public one"),
        ("https://[::ffff:127.0.0.1]/mesh.glb", "not a public one"),
        ("https://localhost/mesh.glb", "not a public one"),
        ("file:///etc/passwd", "not an http"),
        ("https://me:pw@files.example.com/mesh.glb", "user name"),
        ("not a url", "not an http"),
    ],
)
async def test_files_are_taken_from_public_hosts_or_the_backends_own_origin_alone(url, why):
    async with TransferSession.connect(Origin.of("https://api.example.com"), timeouts=SHORT) as transfers:
        with pytest.raises(ServiceFault, match=why) as caught:
            await transfers.put(url, b"x")
    assert "pw" not in str(caught.value)
