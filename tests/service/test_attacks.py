"""What a hostile neighbour on the machine or the network may try on the service, over bare sockets."""

import base64
import gzip
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

LIMIT = 12 * 1024 * 1024


def place(service):
    return urlsplit(service.url).hostname, urlsplit(service.url).port


def authorization(service):
    return b"Authorization: Basic " + base64.b64encode(f"{service.key}:{service.secret}".encode()) + b"\r\n"


def asked(service, target, *, host=b"127.0.0.1", more=b"", method=b"GET"):
    return (
        method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n"
        + authorization(service) + more + b"\r\n"
    )  # fmt: skip


def answer(service, request, *, wait_s=20.0):
    """All that comes until the service closes; TimeoutError if it does not."""
    with socket.create_connection(place(service), timeout=wait_s) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
            connection.sendall(request)
        return received(connection)


def received(connection):
    data = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            data += piece
    return data


def status(data):
    return int(data.split(b" ")[1])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is nobody's")
def test_it_listens_where_this_machine_alone_can_reach_it(service):
    assert place(service)[0] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", place(service)[1]), timeout=5)


@pytest.mark.parametrize(
    "target",
    [
        *(b"/v1/assets/../../../etc/passwd", b"/v1/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd", b"/v1/assets/..%5c..%5cx"),
        *(b"/v1/assets/%252e%252e%252fetc%252fpasswd", b"/v1/assets/a%00b", b"/v1/assets/%ff%fe", b"/v1/assets/C:%5cx"),
        *(b"/v1/files/%2e%2e%2f%2e%2e%2fservice.sqlite3", b"/v1/files/..%2fservice.sqlite3?expires=9&signature=x"),
        *(b"/v1/uploads/..%2f..%2fx", b"/v1/jobs/%0d%0aX-Evil:%20y", b"/v1/jobs/%E2%80%AE", b"//evil.example/v1/jobs"),
        *(b"http://evil.example/v1/assets/%2e%2e", b"/v1/../../etc/passwd", b"/etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd"),
    ],
)  # fmt: skip
def test_no_path_leads_out(service, target):
    said = answer(service, asked(service, target))
    assert status(said) in {400, 403, 404}
    assert b"root:" not in said
    assert b"SQLite" not in said
    assert b"\nX-Evil" not in said


@pytest.mark.parametrize(
    "host", [b"", b"a b", b"[::1", b"evil/x?", b"u:p@evil", b"e:80:80", b"\xff", b"a\tb", b"127.0.0.1\\", b"<script>"]
)
def test_what_is_no_host_gets_into_no_signed_url(service, host):
    target = b"/v1/assets/" + service.upload()["id"].encode()
    assert status(answer(service, asked(service, target, host=host))) == 400


@pytest.mark.parametrize(
    ("target", "origin"),
    [(b"/v1/assets/%b", b"my.example:8080"), (b"http://other.example/v1/assets/%b", b"other.example")],
)
def test_a_signed_url_leads_where_the_client_says_that_it_is(service, target, origin):
    """Its own word, told to it alone: the signature is for a path here, and nothing is kept for others."""
    asset = service.upload()["id"].encode()
    said = answer(service, asked(service, target % asset, host=b"my.example:8080"))
    assert b'"url": "http://' + origin + b"/v1/files/" + asset + b"?expires=" in said
    assert b"example" not in answer(service, asked(service, b"/v1/assets/" + asset))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/jobs HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET /v1/" + b"x" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
    ],
)
def test_what_is_no_agreed_http_is_refused_and_over(service, request_bytes):
    said = answer(service, request_bytes)
    assert not said or status(said) == 400
    assert b"Traceback" not in said


def chunked(body):
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%b\r\n" % (len(piece), piece)
        for piece in (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    )


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: %d\r\n\r\n" % (LIMIT + 1) + b" " * LIMIT,
        chunked(b" " * (LIMIT + 100_000)) + b"0\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 97242\r\n\r\n" + gzip.compress(bytes(100_000_000))[:97_242],
    ],
)
def test_bodies_are_bounded_however_they_come(service, body):
    head = b"POST /v1/assets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + authorization(service)
    assert status(answer(service, head + body + b"\r\n")) == 413


DRIPS = {
    "nothing": b"",
    "half a header": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nX: ",
    "no end of the header": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nX: y\r\n",
    "half a body": b"POST /v1/assets HTTP/1.1\r\nHost: a\r\n%bContent-Length: 1000000\r\n\r\n{",
    "half a chunk": b"POST /v1/assets HTTP/1.1\r\nHost: a\r\n%bTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n{",
}


@pytest.fixture
def impatient(started):
    return started(silence_s=0.5, body_s=0.5)


@pytest.mark.parametrize("kind", DRIPS)
def test_who_sends_a_byte_now_and_then_is_not_kept(impatient, kind):
    start = DRIPS[kind].replace(b"%b", authorization(impatient))
    deadline = time.monotonic() + 30
    with socket.create_connection(place(impatient), timeout=0.05) as connection:
        connection.sendall(start)
        while time.monotonic() < deadline:
            try:
                if kind != "nothing":
                    connection.sendall(b"x")
                if not connection.recv(65_536):
                    return
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return
    pytest.fail("the connection was kept")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the system's table of connections")
def test_who_takes_nothing_of_a_file_is_not_kept(impatient, picture):
    large = impatient.upload(picture(size=(1500, 1500), compress_level=0))
    target = b"/" + large["url"].removeprefix("http://").partition("/")[2].encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(place(impatient))
        connection.sendall(asked(impatient, target))
        assert connection.recv(1) == b"H"
        deadline = time.monotonic() + 20
        while is_held(place(impatient)[1], connection.getsockname()[1]):
            assert time.monotonic() < deadline, "the connection was kept"


def is_held(server_port, client_port):
    """Whether a process still has the server's end of a connection; without one, its inode is 0."""
    ends = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(
        one[1].endswith(f":{server_port:04X}") and one[2].endswith(f":{client_port:04X}") and one[9] != "0"
        for one in ends
    )


def test_the_service_lives_on_and_its_log_is_quiet(tmp_path, started, capfd):
    service = started()
    for request in (b"\0\r\n\r\n", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", asked(service, b"/v1/jobs", host=b"e:80:80")):
        answer(service, request)
    assert service.api.get("jobs").is_success
    assert "Traceback" not in capfd.readouterr().err
