"""What a downloaded file shows itself to be: its media type, and the first and last bytes of a picture."""

HEAD_BYTES = 12
TAIL_BYTES = 4096

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
_TEXTS = frozenset({"application/json", "application/xml", "application/xhtml+xml", "application/javascript"})


def is_text(media_type: str) -> bool:
    """Whether a host calls a body text, JSON or XML: a message to people or programs, where a file was expected."""
    return media_type.startswith("text/") or media_type in _TEXTS or media_type.endswith(("+json", "+xml"))


def picture_fault(head: bytes, tail: bytes, size_bytes: int) -> str:
    """What is wrong with a PNG, JPEG or WebP file, as the end of a sentence; empty when nothing is.

    Args:
        head: its first ``HEAD_BYTES``.
        tail: its last ``TAIL_BYTES``, or all of a shorter file.
        size_bytes: of the whole file.

    Pixels are not looked at: a file without its end is cut, and a page or message has no signature.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "" if _PNG_END in tail else "is a PNG without its end"
    if head.startswith(b"\xff\xd8\xff"):
        return "" if _JPEG_END in tail else "is a JPEG without its end"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        told = int.from_bytes(head[4:8], "little") + 8
        return "" if told <= size_bytes else f"is a WebP of {told:,} bytes of which {size_bytes:,} are there"
    return f"is no PNG, JPEG or WebP: it begins with {head[:8]!r}"
