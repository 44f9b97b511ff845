"""Checksums of a file that its host declares in the header of an answer."""

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping

_LENGTHS = {"sha256": 32, "md5": 16}
_OF_THE_FILE = frozenset({"repr-digest", "digest", "x-goog-hash"})
_OF_THE_BODY = frozenset({"content-digest", "content-md5"})
"""Of the bytes that this very answer carries, which may be a part of the file."""
_BARE = {"content-md5": "md5", "x-amz-checksum-sha256": "sha256"}
_NAMED = re.compile(r"(sha-?256|md5)\s*=\s*:?([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)


def declared_checksums(headers: Iterable[tuple[str, str]], *, is_part: bool) -> Mapping[str, bytes]:
    """The SHA-256 and MD5 of the whole file by the names ``sha256`` and ``md5``, where the answer tells them.

    Args:
        headers: all of the answer's, repeated ones too.
        is_part: the body is a part of the file.

    Read are Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230), Content-MD5 (RFC 1864), S3's
    ``x-amz-checksum-sha256`` (not the checksum of checksums of a file that came in parts) and Google's
    ``x-goog-hash``. What cannot be read is passed over.
    """
    found = {}
    for header, text in headers:
        name = header.lower()
        if name in _BARE and not (is_part and name in _OF_THE_BODY):
            found[_BARE[name]] = _decoded(text)
        elif name in _OF_THE_FILE or (name in _OF_THE_BODY and not is_part):
            found |= {kind.lower().replace("-", ""): _decoded(value) for kind, value in _NAMED.findall(text)}
    return {kind: value for kind, value in found.items() if len(value) == _LENGTHS[kind]}


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text.strip(), validate=True)
    except ValueError:
        return b""
