"""Names of output files, made from set ids: the same on Windows, macOS and Linux, and never two sets in one place.

A part of a set id that every system takes as a file name is kept as it is (in Unicode's composed form, NFC). Any other
is mended and gets ``~`` and a digest of what it was, so that ``a:b`` and ``a?b`` stay apart. Names that already end
like that get a digest too, so a mended name never meets a kept one.
"""

import hashlib
import re
import unicodedata
from pathlib import PurePosixPath

PART_MAX_BYTES = 120
"""Of one part, as UTF-8: with what is appended (a variant, a suffix) it stays below the 255 of file systems."""

PATH_MAX_CHARACTERS = 160
"""Of a whole set id: longer ones lose their middle, as Windows bounds a whole path at 260."""

_DIGEST_DIGITS = 10
_MENDED = re.compile(rf"~[0-9a-f]{{{_DIGEST_DIGITS}}}$", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE)
_FILE_LIKE = re.compile(r"\.(glb|gltf|png|jpe?g|webp|ktx2?|part|tmp)$", re.IGNORECASE)


def identity(set_id: str) -> str:
    """What two set ids share when some file system would take them for one: case and Unicode form ignored."""
    if set_id.isascii():
        return set_id.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", set_id).casefold())


def is_portable(name: str) -> bool:
    """Whether every system takes the name as it is, for a file or a folder."""
    return not (
        _FORBIDDEN.search(name)
        or _RESERVED.fullmatch(name)
        or not name.strip()
        or name != name.strip(" ").rstrip(".")
        or len(name.encode()) > PART_MAX_BYTES
    )


def portable_path(set_id: str, suffix: str = "") -> PurePosixPath:
    """The relative path of a set's folder below an output folder.

    Two ids that differ by more than ``identity`` get paths that differ by more than ``identity``.

    Args:
        set_id: parts with ``/`` between them.
        suffix: put after the last part: ``@pbr``, ``@copy2``, ``@pbr.webp``; portable, begins with ``@`` or ``.``.
    """
    *folders, last = (_portable_part(part) for part in set_id.split("/"))
    if len("/".join((*folders, last))) > PATH_MAX_CHARACTERS and folders:
        folders = [_cut(folders[0], 40) + _digest("/".join(folders))]
    # An @ in the id itself must not look like a variant's.
    if "@" in last:
        last = last.replace("@", "_") + _digest(last)
    return PurePosixPath(*folders, last + unicodedata.normalize("NFC", suffix))


def mesh_name(set_id: str) -> str:
    """The file name of a set's mesh: the last part of its id, ``.glb``."""
    return portable_path(set_id).name + ".glb"


def _portable_part(part: str) -> str:
    part = unicodedata.normalize("NFC", part)
    kept = _FORBIDDEN.sub("_", part)
    if is_portable(kept) and kept == part and not _MENDED.search(part) and not _FILE_LIKE.search(part):
        return part
    kept = _cut(kept.strip(" "), PART_MAX_BYTES - 1 - _DIGEST_DIGITS).replace(".", "_")
    return kept + _digest(part)


def _digest(text: str) -> str:
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]


def _cut(text: str, size_bytes: int) -> str:
    """The beginning of a text, no character cut in two."""
    return text.encode()[:size_bytes].decode(errors="ignore").rstrip(" .")
