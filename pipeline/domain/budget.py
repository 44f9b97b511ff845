"""The budget of a run: reserved before a submission, settled by what was charged. A hard stop."""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Budget:
    """Creative units that one run may spend. No reservation takes what is spent, owed and reserved past ``max_cu``."""

    max_cu: float | None = None
    """None: no limit."""
    spent_cu: float = 0.0
    _reserved: dict[str, float] = field(default_factory=dict)

    def reserve(self, key: str, cu: float | None) -> bool:
        """Set ``cu`` aside for one submission; False when the budget has no room for it, or its price is not known."""
        has_room = self.has_room(key, cu)
        if has_room:
            self._reserved[key] = cu or 0.0
        return has_room

    def has_room(self, key: str, cu: float | None) -> bool:
        """Whether ``cu`` could be set aside now."""
        if self.max_cu is None:
            return True
        return cu is not None and self.committed_cu - self._reserved.get(key, 0.0) + cu <= self.max_cu

    def owe(self, key: str, cu: float | None) -> None:
        """Count what an earlier run has submitted, room or not: it leaves less room for new submissions."""
        self._reserved[key] = cu or 0.0

    def settle(self, key: str, charged_cu: float | None) -> None:
        """The job ended: what was charged takes the place of what was reserved (None: as quoted)."""
        reserved = self._reserved.pop(key, 0.0)
        self.spent_cu += reserved if charged_cu is None else charged_cu

    def release(self, key: str) -> None:
        """Nothing was, or will be, charged for the reservation."""
        self._reserved.pop(key, None)

    @property
    def committed_cu(self) -> float:
        return self.spent_cu + sum(self._reserved.values())
