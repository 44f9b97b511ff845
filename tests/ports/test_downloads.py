import base64
import contextlib
import gzip
import hashlib
import os
import sys
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from pipeline.domain.errors import ConnectionLost, LocalIoError, MeshDamaged, ServiceFault, Throttled, UrlExpired
from pipeline.ports.downloads import Downloader
from pipeline.ports.http import Timeouts
from pipeline.ports.wholeness import HEAD_OF_MESH_BYTES

pytestmark = pytest.mark.anyio

MESH = os.urandom(3_000_000)
SHA256 = hashlib.sha256(MESH).hexdigest()


class Host:
    """Serves one file at ``/mesh.glb``. With ``cut_after`` the body breaks off once, after so many bytes."""

    def __init__(self):
        self.body, self.etag, self.cut_after = MESH, '"v1"', None
        self.headers = {"Content-Type": "model/gltf-binary; charset=binary"}
        self.status = 200
        self.asked = []
        self.app = web.Application()
        self.app.add_routes([web.get("/mesh.glb", self._serve), web.get("/moved/{hops}", self._move)])

    async def _serve(self, request):
        self.asked.append(request.headers)
        if self.status != 200:
            return web.Response(status=self.status, headers=self.headers)
        start = self._start(request)
        if start >= len(self.body):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(self.body)}"})
        rest = self.body[start:]
        headers = {**self.headers, "Content-Length": str(len(rest))} | ({"ETag": self.etag} if self.etag else {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        cut, self.cut_after = self.cut_after, None
        await response.write(rest[:cut])
        if cut is not None:
            request.transport.close()
        return response

    def _start(self, request):
        asked = request.headers.get("Range")
        if asked and request.headers.get("If-Range") == self.etag:
            return int(asked.removeprefix("bytes=").removesuffix("-"))
        return 0

    async def _move(self, request):
        hops = int(request.match_info["hops"])
        raise web.HTTPFound(f"/moved/{hops - 1}" if hops else "/mesh.glb?sig=2")


@pytest.fixture
async def host(serving):
    one = Host()
    async with serving(one.app) as url:
        one.url = url
        one.file = f"{url}/mesh.glb?sig=1"
        yield one


def connect(url, *, read_s=1, **more):
    return Downloader.connect(f"{url}/v1", timeouts=Timeouts(connect_s=5, read_s=read_s, total_s=10), **more)


async def test_a_file_is_streamed_and_hashed(host, tmp_path):
    target = tmp_path / "mesh.part"
    async with connect(host.url) as downloads:
        got = await downloads.fetch(host.file, target, expected_bytes=len(MESH))
    assert target.read_bytes() == MESH
    assert (got.size_bytes, got.sha256, got.media_type) == (len(MESH), SHA256, "model/gltf-binary")
    assert got.head == MESH[:HEAD_OF_MESH_BYTES]
    assert not {"Authorization", "Cookie", "Range"} & set(host.asked[0])


async def test_what_an_earlier_process_left_is_overwritten(host, tmp_path):
    target = tmp_path / "mesh.part"
    target.write_bytes(b"x" * (len(MESH) + 5))
    async with connect(host.url) as downloads:
        await downloads.fetch(host.file, target, expected_bytes=None)
    assert target.read_bytes() == MESH


async def test_a_broken_download_is_resumed_even_after_the_url_has_expired(host, tmp_path):
    target = tmp_path / "mesh.part"
    async with connect(host.url) as downloads:
        host.cut_after = 2_000_000
        with pytest.raises(ConnectionLost):
            await downloads.fetch(host.file, target, expected_bytes=len(MESH))
        there = target.stat().st_size
        host.status = 403
        with pytest.raises(UrlExpired):
            await downloads.fetch(host.file, target, expected_bytes=len(MESH))
        host.status = 200
        got = await downloads.fetch(f"{host.url}/mesh.glb?sig=2", target, expected_bytes=len(MESH))
    assert 0 < there <= 2_000_000
    assert (host.asked[-1]["Range"], host.asked[-1]["If-Range"]) == (f"bytes={there}-", '"v1"')
    assert got.sha256 == SHA256
    assert got.head == b""
    assert target.read_bytes() == MESH


async def test_a_file_that_changed_meanwhile_begins_anew(host, tmp_path):
    target = tmp_path / "mesh.part"
    async with connect(host.url) as downloads:
        host.cut_after = 2_000_000
        with pytest.raises(ConnectionLost):
            await downloads.fetch(host.file, target, expected_bytes=None)
        host.body, host.etag = MESH[::-1][:500_000], '"v2"'
        got = await downloads.fetch(host.file, target, expected_bytes=500_000)
    assert target.read_bytes() == host.body
    assert got.sha256 == hashlib.sha256(host.body).hexdigest()


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
async def test_without_a_strong_validator_a_download_begins_anew(host, tmp_path, etag):
    target = tmp_path / "mesh.part"
    host.etag, host.cut_after = etag, 2_000_000
    async with connect(host.url) as downloads:
        with pytest.raises(ConnectionLost):
            await downloads.fetch(host.file, target, expected_bytes=len(MESH))
        await downloads.fetch(host.file, target, expected_bytes=len(MESH))
    assert "Range" not in host.asked[-1]
    assert target.read_bytes() == MESH


async def test_a_remainder_that_vanished_from_the_disk_begins_anew(host, tmp_path):
    target = tmp_path / "mesh.part"
    host.cut_after = 2_000_000
    async with connect(host.url) as downloads:
        with pytest.raises(ConnectionLost):
            await downloads.fetch(host.file, target, expected_bytes=len(MESH))
        target.unlink()
        await downloads.fetch(host.file, target, expected_bytes=len(MESH))
    assert target.read_bytes() == MESH


async def test_a_range_that_the_host_does_not_have_begins_anew_the_next_time(host, tmp_path):
    target = tmp_path / "mesh.part"
    async with connect(host.url) as downloads:
        host.cut_after = 2_000_000
        with pytest.raises(ConnectionLost):
            await downloads.fetch(host.file, target, expected_bytes=None)
        host.body = MESH[:1000]
        with pytest.raises(ServiceFault, match="416"):
            await downloads.fetch(host.file, target, expected_bytes=None)
        await downloads.fetch(host.file, target, expected_bytes=None)
    assert target.read_bytes() == MESH[:1000]


async def test_a_cancelled_download_is_resumed(host, tmp_path, talking, read_request):
    target = tmp_path / "mesh.part"
    requests = []
    sent = anyio.Event()

    async def stall(stream):
        requests.append(await read_request(stream))
        head = b'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Length: 10\r\n\r\n'
        if len(requests) > 1:
            head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n"
        await stream.send(head + b"12345")
        sent.set()
        with contextlib.suppress(anyio.EndOfStream):
            await stream.receive()

    async with talking(stall) as url, connect(url) as downloads:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: downloads.fetch(f"{url}/x", target, expected_bytes=10))
            await sent.wait()
            await anyio.sleep(0.3)  # what was sent comes in
            tasks.cancel_scope.cancel()
        await downloads.fetch(f"{url}/x", target, expected_bytes=10)
    assert b"Range: bytes=5-" in requests[1]
    assert target.read_bytes() == b"1234512345"


async def test_another_part_than_asked_for_is_refused(talking, read_request, tmp_path):
    async def wrong_part(stream):
        await read_request(stream)
        await stream.send(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-8/9\r\nContent-Length: 2\r\n\r\nab")

    async with talking(wrong_part) as url, connect(url) as downloads:
        with pytest.raises(ServiceFault, match="another part"):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=9)


class Scripted:
    """Answers with prepared bytes, request by request, and leaves the closing to the client; keeps what it was asked."""

    def __init__(self, read_request, *answers):
        self.answers, self.asked = list(answers), []
        self._read_request = read_request

    async def __call__(self, stream):
        self.asked.append(await self._read_request(stream))
        await stream.send(self.answers.pop(0))
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()


def answer(status, body, *headers):
    return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "Connection: close", "", ""]).encode() + body


HALF = answer(200, b"12345", 'ETag: "v"', "Content-Length: 10")


async def twice(host, url, target, **more):
    """What a download that goes silent and the try after it come to."""
    async with connect(url, read_s=0.3) as downloads:
        with pytest.raises(ConnectionLost):
            await downloads.fetch(f"{url}/x", target, **{"expected_bytes": 10} | more)
        return await downloads.fetch(f"{url}/x", target, **{"expected_bytes": 10} | more)


def rest(content_range, body=b"67890", *more):
    return answer(206, body, f"Content-Range: {content_range}", f"Content-Length: {len(body)}", *more)


@pytest.mark.parametrize("more", [(), ('ETag: "v"',), ("Content-Encoding: identity",)])
async def test_the_rest_of_a_file_is_appended(talking, read_request, tmp_path, more):
    host = Scripted(read_request, HALF, rest("bytes 5-9/10", b"67890", *more))
    async with talking(host) as url:
        got = await twice(host, url, tmp_path / "x")
    assert b'Range: bytes=5-\r\nIf-Range: "v"' in host.asked[1]
    assert (tmp_path / "x").read_bytes() == b"1234567890"
    assert got.sha256 == hashlib.sha256(b"1234567890").hexdigest()


@pytest.mark.parametrize(
    "wrong",
    [
        rest("bytes 4-9/10", b"567890"),
        rest("bytes 0-9/10", b"1234567890"),
        rest("bytes 5-9/11"),
        rest("bytes 5-8/10", b"6789"),
        rest("bytes 5-9/*"),
        rest("bytes */10"),
        rest("items 5-9/10"),
        rest("bytes 5-9/10", b"67890", 'ETag: "w"'),
        rest("bytes 5-9/10", b"67890", "Content-Encoding: gzip"),
        answer(206, b"67890", "Content-Length: 5"),
        answer(206, b"--b\r\n", "Content-Type: multipart/byteranges; boundary=b", "Content-Length: 5"),
        answer(416, b"", "Content-Range: bytes */10", "Content-Length: 0"),
    ],
)
async def test_another_rest_is_refused_and_forgotten(talking, read_request, tmp_path, wrong):
    """The start, the end, the size or the ETag are other ones: the next try begins anew."""
    whole = answer(200, b"abcdefghij", "Content-Length: 10")
    host = Scripted(read_request, HALF, wrong, whole)
    async with talking(host) as url, connect(url, read_s=0.3) as downloads:
        with pytest.raises(ConnectionLost):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=10)
        with pytest.raises(ServiceFault):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=10)
        await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=10)
    assert b"Range" not in host.asked[2]
    assert (tmp_path / "x").read_bytes() == b"abcdefghij"


async def test_a_part_that_nobody_asked_for_is_refused(talking, read_request, tmp_path):
    host = Scripted(read_request, rest("bytes 0-4/10", b"12345"))
    async with talking(host) as url, connect(url) as downloads:
        with pytest.raises(ServiceFault, match="another part"):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=None)


LONG_AGO, JUST_NOW = "Last-Modified: Thu, 01 May 2031 08:00:00 GMT", "Last-Modified: Thu, 01 May 2031 12:00:00 GMT"
DATE = "Date: Thu, 01 May 2031 12:00:00 GMT"


@pytest.mark.parametrize(
    ("said", "resumed"),
    [
        ((LONG_AGO, DATE), True),
        ((JUST_NOW, DATE), False),
        ((LONG_AGO,), False),
        ((LONG_AGO, DATE, 'ETag: W/"weak"'), False),
        (("Last-Modified: long ago", DATE), False),
        (('ETag: "v"', "Content-Encoding: gzip"), False),
    ],
)
async def test_only_what_proves_the_same_bytes_resumes(talking, read_request, tmp_path, said, resumed):
    cut = answer(
        200, b"\x1f\x8b\x08\0\0" if "Content-Encoding: gzip" in said else b"12345", "Content-Length: 10", *said
    )
    host = Scripted(read_request, cut, answer(200, b"1234567890", "Content-Length: 10"))
    async with talking(host) as url:
        await twice(host, url, tmp_path / "x")
    assert (b"Range:" in host.asked[1]) is resumed


async def test_a_body_that_is_packed_though_unasked_is_unpacked_and_measured(talking, read_request, tmp_path):
    packed = gzip.compress(MESH[:1000] * 50)
    host = Scripted(read_request, answer(200, packed, "Content-Encoding: gzip", f"Content-Length: {len(packed)}"))
    async with talking(host) as url, connect(url) as downloads:
        got = await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=50_000)
    assert b"Accept-Encoding: identity" in host.asked[0]
    assert got.sha256 == hashlib.sha256(MESH[:1000] * 50).hexdigest()


async def test_a_packed_bomb_ends_at_the_bound(talking, read_request, tmp_path):
    packed = gzip.compress(bytes(50_000_000))
    host = Scripted(read_request, answer(200, packed, "Content-Encoding: gzip", f"Content-Length: {len(packed)}"))
    async with talking(host) as url, connect(url, max_bytes=1_000_000) as downloads:
        with pytest.raises(MeshDamaged, match="larger than 1,000,000"):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=None)
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) <= 1_000_000


@pytest.mark.parametrize("coding", ["br", "zstd", "nonsense"])
async def test_a_packing_that_cannot_be_undone_is_never_taken_for_the_file(talking, read_request, tmp_path, coding):
    host = Scripted(read_request, answer(200, b"\x0b\x02", f"Content-Encoding: {coding}", "Content-Length: 2"))
    async with talking(host) as url, connect(url) as downloads:
        with pytest.raises((ServiceFault, ConnectionLost, MeshDamaged)):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=5)


def base64_of(kind, data):
    return base64.b64encode(hashlib.new(kind, data).digest()).decode()


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Repr-Digest: sha-256=:{}:", "sha256"),
        ("Digest: SHA-256={}", "sha256"),
        ("x-amz-checksum-sha256: {}", "sha256"),
        ("Content-MD5: {}", "md5"),
        ("x-goog-hash: crc32c=AAAAAA==\r\nx-goog-hash: md5={}", "md5"),
    ],
)
async def test_a_checksum_that_the_host_tells_is_kept(talking, read_request, tmp_path, header, kind):
    data = b"1234567890"
    good, bad = (header.format(base64_of(kind, one)) for one in (data, b"1234567891"))
    whole = (answer(200, data, "Content-Length: 10", one) for one in (good, bad))
    async with talking(Scripted(read_request, *whole)) as url, connect(url) as downloads:
        await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=10)
        with pytest.raises(MeshDamaged, match=f"{kind} checksum"):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=10)


@pytest.mark.parametrize("is_right", [True, False])
async def test_a_checksum_holds_over_a_break(talking, read_request, tmp_path, is_right):
    told = base64_of("md5", b"1234567890" if is_right else b"other")
    half = answer(200, b"12345", 'ETag: "v"', "Content-Length: 10", f"Content-MD5: {told}")
    host = Scripted(read_request, half, rest("bytes 5-9/10"))
    async with talking(host) as url:
        with contextlib.nullcontext() if is_right else pytest.raises(MeshDamaged, match="md5 checksum"):
            await twice(host, url, tmp_path / "x")


async def test_a_rest_without_a_length_that_stops_early_is_damage(talking, read_request, tmp_path):
    short = b"HTTP/1.1 206 X\r\nContent-Range: bytes 5-9/10\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n67\r\n0\r\n\r\n"
    host = Scripted(read_request, HALF, short)
    async with talking(host) as url:
        with pytest.raises(MeshDamaged, match="7 bytes came of 10"):
            await twice(host, url, tmp_path / "x", expected_bytes=None)


async def test_a_busy_host_is_asked_by_one_at_a_time_after_its_pause(serving, tmp_path):
    """Six downloads meet a 429: all of them wait, one goes first, the others follow its answer."""
    asked = []

    async def serve(request):
        asked.append(anyio.current_time())
        if len(asked) <= 2:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(body=b"file")

    async def persist(downloads, url, n):
        while True:
            with contextlib.suppress(Throttled):
                return await downloads.fetch(url, tmp_path / str(n), expected_bytes=4)

    app = web.Application()
    app.add_routes([web.get("/x", serve)])
    async with serving(app) as url, connect(url) as downloads:
        with pytest.raises(Throttled):
            await downloads.fetch(f"{url}/x", tmp_path / "first", expected_bytes=4)
        async with anyio.create_task_group() as tasks:
            for n in range(6):
                tasks.start_soon(persist, downloads, f"{url}/x", n)
    assert asked[1] - asked[0] >= 0.99
    assert len(asked) == 1 + 1 + 6
    assert asked[2] - asked[1] >= 0.99


async def test_a_header_that_drips_is_given_up(talking, read_request, tmp_path):
    async def drip(stream):
        await read_request(stream)
        with contextlib.suppress(anyio.BrokenResourceError):
            await stream.send(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                await stream.send(b"x")
                await anyio.sleep(0.02)

    limits = Timeouts(connect_s=5, read_s=5, head_s=0.3, total_s=60)
    async with talking(drip) as url, Downloader.connect(url, timeouts=limits) as downloads:
        with anyio.fail_after(10), pytest.raises(ConnectionLost):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=None)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_url_that_is_not_taken_any_more_is_expired(host, tmp_path, status):
    host.status = status
    async with connect(host.url) as downloads:
        with pytest.raises(UrlExpired) as caught:
            await downloads.fetch(host.file, tmp_path / "x", expected_bytes=None)
    assert "sig=1" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, Throttled), (503, Throttled), (500, ServiceFault), (400, ServiceFault), (304, ServiceFault)],
)
async def test_other_statuses_may_be_tried_again_when_the_host_wishes(host, tmp_path, status, error):
    host.status, host.headers = status, {"Retry-After": "7"}
    async with connect(host.url) as downloads:
        with pytest.raises(error) as caught:
            await downloads.fetch(host.file, tmp_path / "x", expected_bytes=None)
    assert caught.value.retry_after_s == 7


async def test_redirects_are_followed_within_bounds(host, tmp_path):
    async with connect(host.url) as downloads:
        got = await downloads.fetch(f"{host.url}/moved/3?sig=1", tmp_path / "x", expected_bytes=None)
        with pytest.raises(ServiceFault, match="more than 5 redirects"):
            await downloads.fetch(f"{host.url}/moved/9", tmp_path / "x", expected_bytes=None)
    assert got.sha256 == SHA256


@pytest.mark.parametrize(
    "place", ["http://files.example.com/x", "https://10.0.0.1/x", "http://127.0.0.1:1/x", "file:///etc/passwd", "//["]
)
async def test_redirects_lead_nowhere_that_a_url_may_not(serving, tmp_path, place):
    async def move(request):
        return web.Response(status=302, headers={"Location": place})

    app = web.Application()
    app.add_routes([web.get("/x", move)])
    async with serving(app) as url, connect(url) as downloads:
        with pytest.raises(ServiceFault):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=None)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("said", ["text/html", "application/octet-stream"])
async def test_an_html_page_is_no_mesh(host, tmp_path, said):
    host.body, host.headers = b"\n <!DOCTYPE html><html>Sign in</html>", {"Content-Type": f"{said}; charset=utf-8"}
    async with connect(host.url) as downloads:
        with pytest.raises(MeshDamaged, match="HTML"):
            await downloads.fetch(host.file, tmp_path / "x", expected_bytes=None)


@pytest.mark.parametrize("expected", [len(MESH) - 1, len(MESH) + 1])
async def test_another_size_than_declared_is_damage(host, tmp_path, expected):
    async with connect(host.url) as downloads:
        with pytest.raises(MeshDamaged, match="3,000,000 bytes"):
            await downloads.fetch(host.file, tmp_path / "x", expected_bytes=expected)


@pytest.mark.parametrize("expected", [None, 9])
async def test_a_body_without_a_length_is_measured_as_it_comes(talking, read_request, tmp_path, expected):
    async def until_eof(stream):
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n12345678")

    async with talking(until_eof) as url, connect(url, max_bytes=8 if expected else 7) as downloads:
        with pytest.raises(MeshDamaged, match="8 bytes, the service told 9" if expected else "larger than 7"):
            await downloads.fetch(f"{url}/x", tmp_path / "x", expected_bytes=expected)


async def test_a_declared_size_over_the_bound_is_refused_unread(host, tmp_path):
    async with connect(host.url, max_bytes=1000) as downloads:
        with pytest.raises(MeshDamaged, match="larger than 1,000"):
            await downloads.fetch(host.file, tmp_path / "x", expected_bytes=None)
    assert not (tmp_path / "x").exists()


async def test_a_folder_that_cannot_be_made_is_a_local_error(host, tmp_path):
    (tmp_path / "taken").write_text("a file")
    target = tmp_path / "taken" / "x"
    async with connect(host.url) as downloads:
        with pytest.raises(LocalIoError, match="taken") as caught:
            await downloads.fetch(host.file, target, expected_bytes=None)
    assert caught.value.mend


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
async def test_a_full_disk_is_a_local_error(host, tmp_path):
    target = tmp_path / "x"
    target.symlink_to("/dev/full")
    async with connect(host.url) as downloads:
        with pytest.raises(LocalIoError) as caught:
            await downloads.fetch(host.file, target, expected_bytes=None)
    assert "space" in caught.value.mend


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_bytes_that_the_disk_refuses_when_the_file_is_closed_are_no_success(host, size):
    """What is small waits in the file's buffer until then."""
    host.body = MESH[:size]
    async with connect(host.url) as downloader:
        with pytest.raises(LocalIoError, match="No space left"):
            await downloader.fetch(host.file, Path("/dev/full"), expected_bytes=size)


class Dripping:
    """Sends a body in small pieces, which come one by one, and breaks off after so many bytes, once."""

    def __init__(self, body, *, cut_after):
        self.body, self.cut_after, self.starts = body, cut_after, []
        self.app = web.Application()
        self.app.add_routes([web.get("/x", self._serve)])

    async def _serve(self, request):
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.starts.append(start)
        headers = {"ETag": '"v"', "Content-Length": str(len(self.body) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        end, self.cut_after = self.cut_after, len(self.body)
        for at in range(start, end, 10_000):
            await response.write(self.body[at : min(at + 10_000, end)])
        if end < len(self.body):
            request.transport.close()
        return response


@pytest.mark.parametrize("cut_after", [1, 25_000, 520_000, 524_288, 1_048_576, 2_500_000])
async def test_wherever_a_body_breaks_off_its_rest_follows_what_was_written(serving, tmp_path, cut_after):
    """Pieces are gathered before they are written; the break may come when some are and some are not."""
    host, target = Dripping(MESH, cut_after=cut_after), tmp_path / "x"
    async with serving(host.app) as url, connect(url) as downloads:
        with pytest.raises(ConnectionLost):
            await downloads.fetch(f"{url}/x", target, expected_bytes=len(MESH))
        there = target.read_bytes()
        got = await downloads.fetch(f"{url}/x", target, expected_bytes=len(MESH))
    assert len(there) <= cut_after
    assert MESH.startswith(there)
    assert host.starts == [0, len(there)]
    assert target.read_bytes() == MESH
    assert got.sha256 == SHA256


async def test_a_file_that_has_more_than_was_counted_is_cut_to_it(host, tmp_path):
    target = tmp_path / "x"
    async with connect(host.url) as downloads:
        host.cut_after = 2_000_000
        with pytest.raises(ConnectionLost):
            await downloads.fetch(host.file, target, expected_bytes=len(MESH))
        with target.open("ab") as file:
            file.write(b"junk" * 1000)
        await downloads.fetch(host.file, target, expected_bytes=len(MESH))
    assert target.read_bytes() == MESH
