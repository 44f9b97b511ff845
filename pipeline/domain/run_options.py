"""What one run is told beyond its manifest: where both speak, the run's own word counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.domain.manifest import Manifest
from pipeline.domain.manifest_values import duration_text
from pipeline.domain.selection import EVERY_SET, Selection
from pipeline.domain.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of ``mvmesh run``; None: as the manifest says."""

    selection: Selection = EVERY_SET
    max_cu: float | None = None
    max_duration_s: float | None = None
    window: Window | None = None
    fail_fast: bool = False
    """After the first item that failed or was refused nothing new is submitted."""

    def over(self, manifest: Manifest) -> Manifest:
        """The manifest as this run takes it."""
        limits = _said(max_duration=self.max_duration_s, window=self.window)
        return manifest.model_copy(
            update={
                "limits": manifest.limits.model_copy(update=limits),
                "budget": manifest.budget.model_copy(update=_said(max_cu=self.max_cu)),
            }
        )

    def told_over(self, manifest: Manifest) -> Iterator[str]:
        """A line for each option that sets aside what the manifest says."""
        limits, budget = manifest.limits, manifest.budget
        rivals: tuple[tuple[str, Any, str, Any, Callable[[Any], str]], ...] = (
            ("--max-cu", self.max_cu, "budget.max_cu", budget.max_cu, "{:g}".format),
            ("--max-duration", self.max_duration_s, "limits.max_duration", limits.max_duration, duration_text),
            ("--window", self.window, "limits.window", limits.window, str),
        )
        for option, said, key, other, text in rivals:
            if said is not None and other is not None and said != other:
                yield f"{option} {text(said)} counts in this run, not the manifest's {key} {text(other)}"


AS_THE_MANIFEST_SAYS = RunOptions()


def _said(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
