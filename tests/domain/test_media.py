import io

import pytest
from PIL import Image

from pipeline.domain.media import HEAD_BYTES, TAIL_BYTES, is_text, picture_fault


def fault(data):
    return picture_fault(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))


def picture(kind):
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_whole_pictures_pass_and_cut_ones_do_not(kind):
    data = picture(kind)
    assert fault(data) == ""
    assert fault(data + b"\0\0\n") == ""
    for length in (len(data) - 1, len(data) // 2, HEAD_BYTES + 1):
        assert fault(data[:length])


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"<html>", b"{}", b"GIF89a" + b"\0" * 20, b"\0" * 5000])
def test_what_is_no_picture_does_not_pass(data):
    assert "is no PNG, JPEG or WebP" in fault(data)


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        ("text/html", True),
        ("text/plain", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("application/xml", True),
        ("image/svg+xml", True),
        ("model/gltf-binary", False),
        ("application/octet-stream", False),
        ("binary/octet-stream", False),
        ("image/png", False),
        ("", False),
    ],
)
def test_media_types_of_messages(media_type, text):
    assert is_text(media_type) is text
