"""Settling: while a run goes on, its lost submissions are looked for in the service's list, all in one reading."""

import anyio

from pipeline.batch.agenda import Agenda, Uncertain
from pipeline.batch.submissions import Submissions
from pipeline.stages.submit import Patience

FIRST_LOOK_S = 2.0
LONGEST_PAUSE_S = 60.0
"""A loss is looked for again when it is twice as old, within these bounds."""

LEAST_GRACE_S, MOST_GRACE_S = 2.0, 10.0
"""How long after the settle time, a sixth of it, the look is taken that ends the wait: HTTP dates have whole seconds,
answers take theirs, and something has to come that shows how far the list is.
"""


class Settling:
    """Gives items back to the agenda once their submission is found, or its absence believed.

    When nothing else is left to do, the run waits for the list until the settle time has passed, and no longer.
    """

    def __init__(self, agenda: Agenda, submissions: Submissions, *, patience: Patience) -> None:
        self._agenda = agenda
        self._submissions = submissions
        self._matures_after_s = patience.settle_s + min(max(patience.settle_s / 6, LEAST_GRACE_S), MOST_GRACE_S)
        self._looked_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until the run has nothing left to do. Cancel the scope to end it before."""
        while True:
            while not self._agenda.uncertain:
                await self._agenda.changes()
            if self._agenda.is_idle and all(map(self._was_waited_for, self._agenda.uncertain)):
                self._agenda.close()
                return
            await self._pause()
            if self._is_due():
                await self._look()

    async def _look(self) -> None:
        looked_at, uncertain = anyio.current_time(), self._agenda.uncertain
        for settled in await self._submissions.settle(uncertain):
            self._agenda.go_on(settled)
        self._looked_at = {one.record.key: looked_at for one in uncertain}

    async def _pause(self) -> None:
        """Until the next look is due, or the agenda changes: something more may be lost, or all else be done."""
        with anyio.CancelScope(deadline=self._next_look()):
            await self._agenda.changes()

    def _is_due(self) -> bool:
        return bool(self._agenda.uncertain) and self._next_look() <= anyio.current_time()

    def _next_look(self) -> float:
        return min(map(self._due_at, self._agenda.uncertain))

    def _due_at(self, one: Uncertain) -> float:
        lost_at, looked_at = self._lost_at(one), self._looked_at.get(one.record.key)
        if looked_at is None:
            return lost_at + FIRST_LOOK_S
        usual = looked_at + min(max(looked_at - lost_at, FIRST_LOOK_S), LONGEST_PAUSE_S)
        return min(usual, self._mature_at(one)) if looked_at < self._mature_at(one) else usual

    def _was_waited_for(self, one: Uncertain) -> bool:
        """Whether the list was read when the settle time had passed."""
        looked_at = self._looked_at.get(one.record.key)
        return looked_at is not None and looked_at >= self._mature_at(one)

    def _mature_at(self, one: Uncertain) -> float:
        return self._lost_at(one) + self._matures_after_s

    def _lost_at(self, one: Uncertain) -> float:
        return anyio.current_time() - self._submissions.age_s(one.record)
