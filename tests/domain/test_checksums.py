import base64
import hashlib

import pytest

from pipeline.domain.checksums import declared_checksums

SHA256, MD5 = hashlib.sha256(b"mesh").digest(), hashlib.md5(b"mesh").digest()
SHA256_TEXT, MD5_TEXT = base64.b64encode(SHA256).decode(), base64.b64encode(MD5).decode()


@pytest.mark.parametrize(
    ("header", "text", "found"),
    [
        ("Repr-Digest", f"sha-512=:AAAA:, sha-256=:{SHA256_TEXT}:", {"sha256": SHA256}),
        ("Digest", f"SHA-256={SHA256_TEXT},MD5={MD5_TEXT}", {"sha256": SHA256, "md5": MD5}),
        ("x-amz-checksum-sha256", SHA256_TEXT, {"sha256": SHA256}),
        ("x-amz-checksum-sha256", f"{SHA256_TEXT}-3", {}),
        ("X-Goog-Hash", f"crc32c=n03x6A==,md5={MD5_TEXT}", {"md5": MD5}),
        ("Content-MD5", MD5_TEXT, {"md5": MD5}),
        ("Content-Digest", f"sha-256=:{SHA256_TEXT}:", {"sha256": SHA256}),
        ("Content-MD5", "not base64", {}),
        ("Content-MD5", SHA256_TEXT, {}),
        ("Repr-Digest", "sha-256", {}),
        ("ETag", f'"{MD5.hex()}"', {}),
    ],
)
def test_checksums_that_hosts_declare(header, text, found):
    assert declared_checksums([(header, text)], is_part=False) == found


def test_a_header_that_comes_twice_is_read_twice():
    headers = [("x-goog-hash", "crc32c=n03x6A=="), ("x-goog-hash", f"md5={MD5_TEXT}")]
    assert declared_checksums(headers, is_part=False) == {"md5": MD5}


@pytest.mark.parametrize(
    ("header", "text", "known"),
    [
        ("Content-MD5", MD5_TEXT, False),
        ("Content-Digest", f"md5=:{MD5_TEXT}:", False),
        ("Repr-Digest", f"md5=:{MD5_TEXT}:", True),
    ],
)
def test_the_checksum_of_a_part_is_not_the_files(header, text, known):
    assert bool(declared_checksums([(header, text)], is_part=True)) is known
