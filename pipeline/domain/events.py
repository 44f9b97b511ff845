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


RunEvent = RunStarted | ItemMoved | JobProgressed | Noted | RunEnded
Observer = Callable[[RunEvent], None]
