"""Texts that others chose (services, pictures, file names), made harmless to show."""

import re
import unicodedata

LONGEST = 500
"""Of one text of a service or a picture: beyond, it is no message to a person."""

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters (a terminal obeys them, a log takes them for a new line), format characters (they turn the
direction of writing, or cannot be seen), lone surrogates, line and paragraph separators.
"""

_JOINED = re.compile(r"(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Joiners where they have work to do: within an emoji, or a word of a script that joins its letters."""


def visible(text: str) -> str:
    r"""The text on one line, with escapes (``\x1b``, ``\u202e``) in place of signs that act instead of showing."""
    if text.isprintable():
        return text
    joined = {found.start() for found in _JOINED.finditer(text)}
    return "".join(one if is_shown(one) or at in joined else _escaped(one) for at, one in enumerate(text))


def one_line(text: str) -> str:
    """The beginning of a text as one line, with spaces in place of signs that act instead of showing."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:LONGEST]).strip()


def is_shown(sign: str) -> bool:
    """Whether a sign only shows itself."""
    return unicodedata.category(sign) not in _OBEYED


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()
