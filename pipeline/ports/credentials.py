"""The key and secret of the service: where they come from, and where they may go."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

from pipeline.domain.errors import CredentialsError
from pipeline.ports.addresses import Origin, is_loopback

KEY_VARIABLE = "SCENARIO_SDK_API_KEY"
SECRET_VARIABLE = "SCENARIO_SDK_API_SECRET"  # noqa: S105 - the variable's name, as the official SDK has it

_LONGEST_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Shown nowhere: not in a repr, not in a message. They leave the process in the ``Authorization`` header alone."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def authorization(self) -> str:
        """The value of the header, by HTTP Basic (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()

    def redact(self, said: bytes, *, shortest: int = 1) -> bytes:
        """Bytes that a service sent, without these credentials in case that it repeats them, be it as JSON or a URL
        spells them. Credentials of fewer characters than ``shortest`` stay.
        """
        for form in _forms(self, shortest):
            said = said.replace(form, b"[hidden]")
        return said


@cache
def _forms(credentials: Credentials, shortest: int) -> tuple[bytes, ...]:
    """What is hidden, in every spelling; the longest first, for one may be a part of another."""
    hidden = (credentials.authorization.removeprefix("Basic "), credentials.secret, credentials.key)
    spelled = {form for one in hidden if len(one) >= shortest for form in _spellings(one)}
    return tuple(sorted(spelled, key=len, reverse=True))


def _spellings(text: str) -> set[bytes]:
    as_json = {json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    in_urls = {quote(text), quote(text, safe=""), quote_plus(text)}
    forms = {text, *as_json, *(one.replace("/", "\\/") for one in as_json), *in_urls, escape(text)}
    return {one.encode() for one in forms}


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """The credentials of ``SCENARIO_SDK_API_KEY`` and ``_SECRET``, or of the files that the same names with ``_FILE``
    point at; None when the environment speaks of none.

    Raises:
        CredentialsError: one without the other, a variable and its file at once, a file that is empty or cannot be
            read.
    """
    key, secret = _value(environ, KEY_VARIABLE), _value(environ, SECRET_VARIABLE)
    if key is None and secret is None:
        return None
    if key is None or secret is None:
        missing = KEY_VARIABLE if key is None else SECRET_VARIABLE
        raise CredentialsError(
            f"{missing} is not set, its counterpart is", mend=f"set {missing} or {missing}_FILE as well, or neither"
        )
    if ":" in key:
        raise CredentialsError(f"{KEY_VARIABLE} has a colon in it, which no API key has", mend="copy the key alone")
    return Credentials(key=key, secret=secret)


def _value(environ: Mapping[str, str], name: str) -> str | None:
    direct, file = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if direct and file:
        raise CredentialsError(f"{name} and {name}_FILE are both set", mend=f"unset one; {name}_FILE is the safer one")
    return _read(f"{name}_FILE", Path(file)) if file else direct or None


def _read(variable: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text file"
        raise CredentialsError(
            f"{path}, which {variable} names, cannot be read: {why}", mend="point it at a readable file"
        ) from None  # a decoding error carries the file's bytes
    if not text:
        raise CredentialsError(f"{path}, which {variable} names, is empty", mend="write the value into it")
    return text


def check_transport(base_url: str) -> Origin:
    """Make sure that credentials may be sent to this base URL: over https, or over http within this machine.

    Raises:
        CredentialsError: they would travel readable by others, or the URL is none.
    """
    try:
        origin = Origin.of(base_url)
    except ValueError as error:
        raise CredentialsError(
            f"the service's base URL is {error}",
            mend="give it as https://host/path; credentials go into the environment",
        ) from None
    if origin.scheme == "http" and not is_loopback(origin.host):
        raise CredentialsError(
            f"{origin} would carry the credentials in clear text", mend="use https://; http:// is for loopback alone"
        )
    return origin
