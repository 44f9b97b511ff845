"""Comparing: whether the views of what is about to be submitted are of one object, before anything of it is sent."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from pipeline.batch.journal import Journal
from pipeline.domain.items import Finding, ItemRecord, WorkItem
from pipeline.domain.lifecycle import Event
from pipeline.domain.planning import PlannedItem
from pipeline.domain.views import View
from pipeline.ports.interfaces import Comparisons, Compute
from pipeline.stages.compare import compare

_ANEW = "after an update `mvmesh retry` has it compared anew"
"""A refusal outlives the code that judged, what is remembered of a comparison doesn't."""


class Comparing:
    """For a service that is not the local one, whose engine judges for itself. Pictures that several work items have in
    common (variants, copies) are compared once.
    """

    def __init__(self, *, compute: Compute, memory: Comparisons) -> None:
        self._compute = compute
        self._memory = memory
        self._under_way: dict[frozenset[tuple[View, str]], anyio.Event] = {}

    async def judge(self, planned: PlannedItem, record: ItemRecord, journal: Journal) -> ItemRecord:
        """The item refused, if its set is to be held; else as it was, planned anew where it has findings to be told."""
        findings = await self._findings(planned.work)
        if held := [one for one in findings if one.verdict == "hold"]:
            return await journal.move(planned, record, Event.REFUSE, **_refusal(held))
        told = tuple(one.message for one in findings)
        if told == record.findings:
            return record
        if findings:
            journal.warn(planned, f" goes on all the same: {'; '.join(told)}")
        return await journal.move(planned, record, Event.PLAN, findings=told)

    async def _findings(self, work: WorkItem) -> Sequence[Finding]:
        """What speaks against the item's pictures, with what helps to understand it; empty where nothing does."""
        pictures = dict(work.pictures)
        name = frozenset((view, one.sha256) for view, one in pictures.items())
        while other := self._under_way.get(name):
            await other.wait()
        done = self._under_way[name] = anyio.Event()
        try:
            found = await compare(
                pictures, policy=work.consistency, is_local=False, compute=self._compute, memory=self._memory
            )
        finally:
            del self._under_way[name]
            done.set()
        return found if any(one.verdict != "ok" for one in found) else ()


def _refusal(held: Sequence[Finding]) -> Mapping[str, Any]:
    """What a refused item's record, and the move there, say."""
    found = "; ".join(one.message for one in held)
    mend = "; ".join([*dict.fromkeys(one.mend for one in held if one.mend), _ANEW])
    return {"detail": found, "error_class": held[0].kind, "error": found, "mend": mend, "findings": ()}
