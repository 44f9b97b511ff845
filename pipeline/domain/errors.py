"""Every error of the flow, sorted by what the caller does about it.

MvmeshError
├── AbortRun                the run stops; everything already recorded stays
│   ├── UsageError          wrong call or manifest (exit 2)
│   ├── CredentialsError    missing, refused or unsafe credentials; a plan that lacks the model (exit 3)
│   ├── ServiceUnreachable  no answer after all bounded tries (exit 4)
│   ├── LocalIoError        disk full, permission, damaged or newer ledger (exit 11)
│   └── LockHeld            another run works on the state folder (exit 75)
├── FailItem                this one fails, its siblings go on
│   ├── PictureRefused      a picture that no service would take
│   ├── RequestRefused      the service says no and will say it again (400, 404, 422, ...)
│   ├── JobFailed           the service could not make the mesh (refunded)
│   │   └── PicturesMakeNoMesh  ... and could not at any other try: its pictures are at fault
│   ├── MeshDamaged         what was downloaded is no mesh, or not the declared one
│   ├── StageTimedOut       a bound on time or attempts was reached
│   └── WorkerDied          a worker process crashed, or was killed at its time limit
├── TryAgain                another try is safe and may go better
│   ├── ConnectionLost      before, within or after the request
│   ├── NeverSent           the connection failed before the request could leave
│   ├── Throttled           429 or 503, with the service's wish when to come back
│   ├── ServiceFault        5xx, or an answer that is not what was agreed
│   ├── CeilingReached      429 on generate that names the team's ceiling
│   ├── UrlExpired          a signed URL that the host no longer takes
│   └── AssetGone           the service no longer knows an asset: upload it again
└── AskPerson               only time or a person can tell
    └── SubmissionUncertain a generate POST whose answer was lost
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class MvmeshError(Exception):
    """Base of all errors that a person may read.

    ``str(error)`` says what was found, where, and what was expected; ``mend`` says what to do about it.
    All of them pickle whole: worker processes raise them too.
    """

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (type(self), self.args, self.__dict__)


def _revived(cls: type[MvmeshError], args: tuple[Any, ...], attributes: dict[str, Any]) -> MvmeshError:
    """An unpickled error. ``__init__`` is passed over: its keyword-only arguments are among the attributes."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(attributes)
    return error


class AbortRun(MvmeshError):
    pass


class UsageError(AbortRun):
    """The call or the manifest is wrong. ``problems`` holds all of them, one line each, when there are several."""

    def __init__(self, message: str, *, mend: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(message, mend=mend)
        self.problems = tuple(problems)


class CredentialsError(AbortRun):
    pass


class ServiceUnreachable(AbortRun):
    pass


class LocalIoError(AbortRun):
    pass


class LockHeld(AbortRun):
    pass


class FailItem(MvmeshError):
    pass


class PictureRefused(FailItem):
    """A picture that no service would take.

    ``kind`` is the word of the finding that tells of it: ``missing``, ``folder``, ``unreadable``, ``empty``,
    ``too-large``, ``not-a-picture``, ``unsupported``, ``truncated``, ``damaged``, ``animated``, ``too-small``,
    ``blank``, ``changed``.
    """

    def __init__(self, message: str, *, mend: str = "", kind: str = "unreadable") -> None:
        super().__init__(message, mend=mend)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAnswer:
    """What the service said of a refusal or fault: its own words, for a person to read."""

    status: int
    reason: str = ""
    hint: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        parts = [f"HTTP {self.status}"]
        if self.reason:
            parts.append(self.reason)
        if self.hint:
            parts.append(f"hint: {self.hint}")
        if self.request_id:
            parts.append(f"request {self.request_id}")
        return "; ".join(parts)


class RequestRefused(FailItem):
    def __init__(self, message: str, *, mend: str = "", answer: ServiceAnswer | None = None) -> None:
        super().__init__(message, mend=mend)
        self.answer = answer


class JobFailed(FailItem):
    pass


class PicturesMakeNoMesh(JobFailed):
    """The service blames the pictures: the same ones would fail again."""


class MeshDamaged(FailItem):
    pass


class StageTimedOut(FailItem):
    pass


class WorkerDied(FailItem):
    """The call that a worker process was busy with is lost; the next call gets a fresh process."""


class TryAgain(MvmeshError):
    """Another try is safe. ``retry_after_s`` is the other side's wish, None when it has none."""

    def __init__(
        self, message: str, *, mend: str = "", retry_after_s: float | None = None, answer: ServiceAnswer | None = None
    ) -> None:
        super().__init__(message, mend=mend)
        self.retry_after_s = retry_after_s
        self.answer = answer


class ConnectionLost(TryAgain):
    pass


class NeverSent(TryAgain):
    pass


class Throttled(TryAgain):
    pass


class ServiceFault(TryAgain):
    pass


class CeilingReached(TryAgain):
    """The team may have no more jobs in flight. ``ceiling`` is the number that the service named, if any."""

    def __init__(
        self,
        message: str,
        *,
        ceiling: int,
        mend: str = "",
        retry_after_s: float | None = None,
        answer: ServiceAnswer | None = None,
    ) -> None:
        super().__init__(message, mend=mend, retry_after_s=retry_after_s, answer=answer)
        self.ceiling = ceiling


class UrlExpired(TryAgain):
    pass


class AssetGone(TryAgain):
    """``asset_ids`` are the assets that the service named as unknown; empty when it named none."""

    def __init__(self, message: str, *, asset_ids: Sequence[str] = (), answer: ServiceAnswer | None = None) -> None:
        super().__init__(message, answer=answer)
        self.asset_ids = tuple(asset_ids)


class AskPerson(MvmeshError):
    pass


class SubmissionUncertain(AskPerson):
    """The request may have been read, and charged; what became of it is not known."""
