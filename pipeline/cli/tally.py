"""What a run's events add up to: the numbers behind the progress display."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.domain.events import ItemMoved, JobProgressed, Noted, RunEnded, RunEvent, RunGrew, RunStarted
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State

STAGES: Mapping[str, tuple[State, ...]] = {
    "waiting": (State.PLANNED,),
    "uploading": (State.UPLOADING,),
    "uploaded": (State.READY,),
    "generating": (State.SUBMITTING, State.SUBMITTED),
    "downloading": (State.FINISHED,),
    "judging": (State.DOWNLOADED,),
    "delivered": (State.DELIVERED,),
    "held": (State.HELD,),
    "failed": (State.FAILED,),
    "refused": (State.REFUSED,),
    "uncertain": (State.UNCERTAIN,),
    "deferred": (State.DEFERRED,),
    "dropped": (State.DROPPED,),
}
"""What a person reads for the states of work items, in the order of the flow."""

_SHARE: Mapping[State, float] = {
    State.PLANNED: 0.0,
    State.UPLOADING: 0.02,
    State.READY: 0.05,
    State.SUBMITTING: 0.05,
    State.SUBMITTED: 0.05,
    State.FINISHED: 0.9,
    State.DOWNLOADED: 0.95,
}
"""How much of an item's way lies behind it; all of it in every other state."""

_GENERATION_SHARE = _SHARE[State.FINISHED] - _SHARE[State.SUBMITTED]
_RECENT = 5
_LEAST_FRACTION = 0.02
"""Before this much is done, a guess of the time left is worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One change, as a line to read."""

    label: str
    word: str
    detail: str = ""
    state: State | None = None


@dataclass(slots=True, kw_only=True)
class Tally:
    total: int = 0
    """Work items that the run does something about."""
    quoted_cu: float | None = None
    has_started: bool = False
    recent: deque[Line] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _states: dict[str, State] = field(default_factory=dict)
    _counts: Counter[State] = field(default_factory=Counter)
    _charges: dict[str, float] = field(default_factory=dict)
    _progress: dict[str, float] = field(default_factory=dict)

    def take(self, event: RunEvent) -> Line | None:
        """Count the event in; the line that tells of it, or None when it is not worth one."""
        match event:
            case RunStarted():
                self.has_started, self.total, self.quoted_cu = True, event.total, event.quoted_cu
                return self._keep(_start_line(event))
            case RunGrew():
                self.total, self.quoted_cu = event.total, event.quoted_cu
                return self._keep(_start_line(event)) if event.is_whole else None
            case ItemMoved():
                return self._move(event)
            case JobProgressed():
                self._progress[event.key] = min(max(event.progress, 0.0), 1.0)
                return None
            case Noted():
                return self._keep(Line(label="", word=event.level, detail=event.message))
            case RunEnded():
                return _end_line(event)

    def _keep(self, line: Line) -> Line:
        self.recent.append(line)
        return line

    def _move(self, event: ItemMoved) -> Line | None:
        if event.key in self._states:
            self._counts[self._states[event.key]] -= 1
        self._states[event.key] = event.after
        self._counts[event.after] += 1
        if event.after is not State.SUBMITTED:
            self._progress.pop(event.key, None)
        if event.charged_cu is not None:
            self._charges[event.key] = event.charged_cu
        if event.after in _SHARE and not event.detail:
            return None  # on its way as it should be: the counts tell that
        return self._keep(Line(label=label_of(event.aliases), word=event.after, detail=event.detail, state=event.after))

    @property
    def charged_cu(self) -> float:
        return sum(self._charges.values())

    @property
    def done(self) -> int:
        """Work items that this run will do nothing more about."""
        return sum(count for state, count in self._counts.items() if state not in _SHARE)

    @property
    def made(self) -> int:
        """Meshes that this run has put to their place."""
        return self._counts[State.DELIVERED] + self._counts[State.HELD]

    @property
    def fraction(self) -> float:
        """How much of the whole way of all items lies behind the run, 0 to 1."""
        passed = sum(_SHARE.get(state, 1.0) * count for state, count in self._counts.items())
        passed += _GENERATION_SHARE * sum(self._progress.values())
        return min(passed / self.total, 1.0) if self.total else 1.0

    def left_s(self, elapsed_s: float) -> float | None:
        """A guess by the pace so far; None while there is nothing to go by, and when nothing is left."""
        if self.fraction < _LEAST_FRACTION or self.done >= self.total:
            return None
        return elapsed_s * (1 - self.fraction) / self.fraction

    def so_far(self) -> Line:
        """Where the run stands: ``12 of 40 meshes; 20 waiting, 8 generating``."""
        on_their_way = {name for name, states in STAGES.items() if states[0] in _SHARE}
        counts = [f"{count} {name}" for name, count in self.stage_counts().items() if count and name in on_their_way]
        return Line(label="", word="so far", detail=f"{self.made:,} of {self.total:,} meshes; {', '.join(counts)}")

    def stage_counts(self) -> dict[str, int]:
        counts = {name: sum(self._counts[state] for state in states) for name, states in STAGES.items()}
        return {**counts, "waiting": counts["waiting"] + max(0, self.total - len(self._states))}


def label_of(aliases: Sequence[Alias]) -> str:
    """``props/chair``, ``props/chair (and 2 more)``"""
    if not aliases:
        return ""
    more = f" (and {len(aliases) - 1} more)" if len(aliases) > 1 else ""
    return f"{aliases[0].label}{more}"


def _start_line(event: RunStarted | RunGrew) -> Line:
    price = "price not known" if event.quoted_cu is None else f"{event.quoted_cu:g} CU quoted"
    word = "start" if isinstance(event, RunStarted) else "found"
    so_far = "" if event.is_whole else " so far"
    detail = f"{event.total:,} to do{so_far}, {event.already_done:,} done before, {price}"
    return Line(label="", word=word, detail=detail)


def _end_line(event: RunEnded) -> Line:
    counts = {"delivered": event.delivered, "failed": event.failed}
    rare = {
        "held": event.held,
        "refused": event.refused,
        "uncertain": event.uncertain,
        "deferred": event.deferred,
    }
    said = [f"{count} {name}" for name, count in (counts | {k: v for k, v in rare.items() if v}).items()]
    return Line(label="", word="end", detail=", ".join(said))
