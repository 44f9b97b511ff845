"""The one place where an error becomes a message: what happened, then the mend."""

import os
import sys
import traceback

import click

from pipeline.cli.exit_codes import ExitCode, exit_code_of, leaves
from pipeline.cli.terminal import folded, printable, say_json, tell
from pipeline.domain.errors import CredentialsError, MvmeshError, UsageError

BUG_MEND = (
    "this is a bug in mvmesh: everything recorded so far is safe, and the same command may be run again. "
    "Please report it with the lines above and `mvmesh --version`"
)
INTERRUPTED = "interrupted; what is recorded stays, the same command carries on"


def tell_failure(error: BaseException, *, as_json: bool) -> ExitCode:
    """Write the message to stderr (and as a document to stdout), and say how the call ends."""
    code = exit_code_of(error)
    if code is ExitCode.INTERRUPTED:
        _tell_known(_known(error))  # what came on the way out
        tell(INTERRUPTED)
    elif code is ExitCode.BUG:
        for line in _hidden("".join(traceback.format_exception(error))).splitlines():
            tell(printable(line))
        tell(_mend_line(BUG_MEND))
    else:
        _tell_known(_known(error))
    if as_json:
        say_json({"error": _document(error, code)})
    return code


def _known(error: BaseException) -> list[MvmeshError]:
    """The errors to tell, each message once, what decides the exit code first."""
    found = [one for one in leaves(error) if isinstance(one, MvmeshError)]
    told = {(str(one), one.mend): one for one in reversed(found)}
    return sorted(told.values(), key=lambda one: exit_code_of(one) is not exit_code_of(error))


def _tell_known(errors: list[MvmeshError]) -> None:
    for error in errors:
        tell(f"{click.style('error:', fg='red', bold=True)} {folded(printable(error), indent=7, stream=sys.stderr)}")
        for problem in _problems(error):
            tell(f"  {folded(printable(problem), indent=4, stream=sys.stderr)}")
        if error.mend:
            tell(_mend_line(error.mend))


def _mend_line(mend: str) -> str:
    return f"{click.style('mend:', fg='green', bold=True)}  {folded(printable(mend), indent=7, stream=sys.stderr)}"


def _problems(error: BaseException) -> tuple[str, ...]:
    return error.problems if isinstance(error, UsageError) else ()


def _document(error: BaseException, code: ExitCode) -> dict[str, object]:
    match code:
        case ExitCode.BUG:
            told = {"kind": "Bug", "message": _hidden(repr(error)), "problems": [], "mend": BUG_MEND}
        case ExitCode.INTERRUPTED:
            told = {"kind": "Interrupted", "message": INTERRUPTED, "problems": [], "mend": ""}
        case _:
            first = _known(error)[0]
            told = {
                "kind": type(first).__name__,
                "message": str(first),
                "problems": list(_problems(first)),
                "mend": first.mend,
            }
    return {**told, "exit_code": int(code)}


def _hidden(text: str) -> str:
    """A traceback without the credentials of the environment, whatever brought them there."""
    from pipeline.ports.credentials import from_environment  # noqa: PLC0415 - needed once in a bug's life

    try:
        credentials = from_environment(os.environ)
    except CredentialsError:
        return text
    return credentials.redact(text.encode(errors="backslashreplace")).decode() if credentials else text
