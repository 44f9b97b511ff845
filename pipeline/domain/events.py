"""What an observer of a run is told. The flow emits these through a callable and knows none of its listeners."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    total: int
    """Work items that need doing."""
    already_done: int
    quoted_cu: float | None
    is_whole: bool = True
    """False: further sets are still being looked for, see ``RunGrew``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGrew:
    """Further sets were found while the run went on with the first ones; the sums since its start."""

    total: int
    already_done: int
    quoted_cu: float | None
    is_whole: bool
    """No more will come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemMoved:
    """A work item changed its state; the ledger has it already."""

    key: str
    aliases: Sequence[Alias]
    before: State
    after: State
    detail: str = ""
    charged_cu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgressed:
    key: str
    aliases: Sequence[Alias]
    progress: float
    """0 to 1, as the service says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something a person should read: a retry, a ceiling met, a limit learned."""

    message: str
    level: str = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    delivered: int
    held: int = 0
    refused: int = 0
    failed: int
    uncertain: int
    deferred: int


RunEvent = RunStarted | RunGrew | ItemMoved | JobProgressed | Noted | RunEnded
Observer = Callable[[RunEvent], None]
