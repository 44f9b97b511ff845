"""Patterns of names, as the manifest and the command line use them: ``*``, ``?``, ``[...]``; ``*`` spans ``/`` too."""

import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from fnmatch import translate

_CASE = re.IGNORECASE if sys.platform == "win32" else re.NOFLAG


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name fits one of the patterns; ``é`` is one letter however it is stored."""
    if not patterns:
        return lambda _name: False
    whole = re.compile("|".join(translate(unicodedata.normalize("NFC", one)) for one in patterns), _CASE)

    def fits(name: str) -> bool:
        return whole.match(name if name.isascii() else unicodedata.normalize("NFC", name)) is not None

    return fits
