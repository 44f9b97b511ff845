"""Exit codes: what a script or a scheduler learns from the end of a call."""

from collections.abc import Iterator
from enum import IntEnum
from typing import TYPE_CHECKING

from pipeline.domain.errors import (
    AskPerson,
    CredentialsError,
    FailItem,
    LocalIoError,
    LockHeld,
    ServiceUnreachable,
    TryAgain,
    UsageError,
)

if TYPE_CHECKING:
    from pipeline.batch import Outcome


class ExitCode(IntEnum):
    OK = 0
    """All delivered, or nothing to do."""
    INCOMPLETE = 1
    """Some sets failed, were refused, are held or unfinished; files are not as they should be."""
    USAGE = 2
    """The call or the manifest is wrong; also: would spend, but there is nobody to ask and no ``--yes``."""
    CREDENTIALS = 3
    UNREACHABLE = 4
    OUT_OF_TIME = 8
    """The time window is over; running again carries on."""
    OVER_BUDGET = 9
    """The budget is reached; running again carries on."""
    UNCERTAIN = 10
    """A submission remains whose answer was lost."""
    LOCAL_IO = 11
    BUG = 70
    """The program is wrong, not the call (EX_SOFTWARE of sysexits.h)."""
    LOCKED = 75
    """Another run works on the state folder (EX_TEMPFAIL of sysexits.h)."""
    INTERRUPTED = 130
    """Ctrl-C or a termination signal; running again carries on."""


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.BUG,
    ExitCode.LOCKED,
    ExitCode.USAGE,
    ExitCode.CREDENTIALS,
    ExitCode.LOCAL_IO,
    ExitCode.UNREACHABLE,
    ExitCode.UNCERTAIN,
    ExitCode.OVER_BUDGET,
    ExitCode.OUT_OF_TIME,
    ExitCode.INCOMPLETE,
    ExitCode.OK,
)
"""Where several apply, the first of these is told."""

_OF_ERROR: dict[type[BaseException], ExitCode] = {
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    LockHeld: ExitCode.LOCKED,
    UsageError: ExitCode.USAGE,
    CredentialsError: ExitCode.CREDENTIALS,
    LocalIoError: ExitCode.LOCAL_IO,
    ServiceUnreachable: ExitCode.UNREACHABLE,
    TryAgain: ExitCode.UNREACHABLE,
    AskPerson: ExitCode.UNCERTAIN,
    FailItem: ExitCode.INCOMPLETE,
}


def exit_code_of(end: "BaseException | Outcome") -> ExitCode:
    """The code for how a call ended; an error that we do not know is a bug."""
    codes = _of_errors(end) if isinstance(end, BaseException) else _of_outcome(end)
    return min(codes, key=PRECEDENCE.index, default=ExitCode.OK)


def _of_errors(error: BaseException) -> Iterator[ExitCode]:
    for one in leaves(error):
        yield next((code for kind, code in _OF_ERROR.items() if isinstance(one, kind)), ExitCode.BUG)


def _of_outcome(outcome: "Outcome") -> Iterator[ExitCode]:
    if outcome.interrupted:
        yield ExitCode.INTERRUPTED
    if outcome.uncertain:
        yield ExitCode.UNCERTAIN
    if outcome.over_budget:
        yield ExitCode.OVER_BUDGET
    if outcome.out_of_time:
        yield ExitCode.OUT_OF_TIME
    if outcome.failed or outcome.refused or outcome.held or outcome.unfinished:
        yield ExitCode.INCOMPLETE


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors within a task group's error, however deep; the error itself when it is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
