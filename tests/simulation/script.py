"""What a seed brings: the sets, the service, the network, and what befalls run after run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulation.calls import LATEST_S, Weather
from simulation.pictures import BROKEN
from simulation.process import Death, FullDisk
from simulation.service import Temper

SETTLE_S = 60.0
BELIEVE_AFTER_S = 3600.0
LONGEST_LAG_S = 1800.0
"""Promise 2 holds for lists that lag no longer: together with the latest a request may be done, it is well within
``believe_after``.
"""
LONGEST_SKEW_S = 20 * 3600.0
UNTOLD_SKEW_S = 240.0
"""How wrong the service's clock may be: less than a day where it tells the time, else less than five minutes."""
assert LATEST_S < SETTLE_S
assert LONGEST_LAG_S + 2 * LATEST_S + 90 < BELIEVE_AFTER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOfNight:
    set_id: str
    views: Mapping[str, str]
    """The text of each picture, by view."""
    copies: int = 1

    @property
    def is_broken(self) -> bool:
        return any(text.startswith(BROKEN.decode()) for text in self.views.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfNight:
    """What befalls one run, and how long nobody does anything after it."""

    death: Death | None = None
    full: FullDisk | None = None
    stops_after_s: float | None = None
    max_cu: float | None = None
    max_duration_s: float | None = None
    loses_picture_after_s: float | None = None
    loses_mesh_after_s: float | None = None
    tidied: bool = False
    """Before it, somebody removes a delivered mesh."""
    renamed: bool = False
    """Before it, somebody renames a set."""
    redrawn: bool = False
    """Before it, somebody draws a picture anew."""
    ledger_lost: bool = False
    """Before it, the ledger is damaged beyond use, and somebody rebuilds it."""
    ceiling: int | None = None
    """From now on the team may have so many jobs at one time."""
    rests_s: float = 1.0
    begins_early: bool = False
    """Before it knows all sets, if it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    seed: int
    sets: Sequence[SetOfNight]
    bad: Sequence[str]
    """Pictures of objects that the service never makes a mesh of."""
    variants: Sequence[str]
    asks: bool
    """``uncertain: {policy: ask}``."""
    sections: Mapping[str, Any]
    temper: Temper
    weather: Weather
    strangers: Sequence[float]
    """When somebody else submits a job."""
    runs: Sequence[RunOfNight] = field(default_factory=tuple)

    @property
    def is_rebuildable(self) -> bool:
        """Whether what is left tells enough that nobody need be asked: inputs and all pictures.
        rebuild has waited.
        """
        temper = self.temper
        tells = temper.echo in {"full", "exact"} and not self.asks
        return tells and all(run.loses_picture_after_s is None and not run.redrawn for run in self.runs)

    @classmethod
    def of(cls, seed: int) -> "Script":
        chance = Random(seed)
        sets = _sets(chance)
        asks = chance.random() < 0.25
        return cls(
            seed=seed,
            sets=sets,
            bad=[one.views["front"] for one in sets if chance.random() < 0.06],
            variants=("normal", "pbr") if chance.random() < 0.15 else (),
            asks=asks,
            sections=_sections(chance, asks=asks),
            temper=_temper(chance, asks=asks),
            weather=_weather(chance),
            strangers=sorted(chance.uniform(0, 20_000) for _ in range(chance.choice([0, 0, 3, 12]))),
            runs=[_run(chance) for _ in range(chance.randint(1, 5))],
        )


def _sets(chance: Random) -> Sequence[SetOfNight]:
    made: list[SetOfNight] = []
    for at in range(chance.randint(1, 5)):
        name = f"{chance.choice('abc')} {at}"
        views = {"front": f"front {at}"} | {view: f"{view} {at}" for view in ("back", "left") if chance.random() < 0.3}
        if made and chance.random() < 0.25:  # equal pictures, or some of them
            other = chance.choice(made)
            views = dict(other.views) if chance.random() < 0.5 else {**views, "front": other.views["front"]}
        if chance.random() < 0.04:
            views["back"] = f"{BROKEN.decode()} {at}"
        made.append(SetOfNight(set_id=name, views=views, copies=2 if chance.random() < 0.15 else 1))
    return made


def _sections(chance: Random, *, asks: bool) -> Mapping[str, Any]:
    return {
        "limits": {"in_flight": chance.choice(["auto", 1, 2, 4]), "downloads": chance.choice([1, 4])},
        "acceptance": {"on_low": chance.choice(["hold", "warn", "skip"])},
        "uncertain": {"policy": "ask" if asks else "reconcile"},
    }


def _temper(chance: Random, *, asks: bool) -> Temper:
    lag_s = chance.choice([0.0, 0.0, 0.0, chance.uniform(1, 60), chance.uniform(60, LONGEST_LAG_S)])
    tells_time = chance.random() < 0.8
    furthest_s = LONGEST_SKEW_S if tells_time else UNTOLD_SKEW_S
    return Temper(
        skew_s=chance.choice([0.0, chance.uniform(-5, 5), chance.uniform(-furthest_s, furthest_s)]),
        tells_time=tells_time,
        list_lag_s=lag_s,
        page_size=chance.choice([1, 3, 100]),
        ceiling=chance.choice([1, 2, 3, 50]),
        tells_ceiling=chance.random() < 0.5,
        tells_sizes=chance.random() < 0.7,
        echo=chance.choice(["full", "full", "full", "exact", "exact", "none", "other"]),
        names_gone=chance.choice([0.0, 1.0]),
        url_lives_s=chance.choice([2.0, 20.0, 600.0]),
        job_s=(20.0, chance.choice([60.0, 300.0])),
        looked_up_after_s=chance.choice([0.0, 10.0, 400.0]),
        fails=chance.choice([0.0, 0.0, 0.2]),
        keeps_money=chance.choice([0.0, 0.3]),
        stuck=chance.choice([0.0] * 79 + [0.3]),
        hides=chance.choice([0.0, 0.4]) if asks else 0.0,
        poor=chance.choice([0.0, 0.3]),
        made_told_late_s=chance.choice([0.0, 0.0, 60.0]),
        made_listed_late_s=chance.choice([0.0, 0.0, 45.0, 1200.0]),
        discount=chance.choice([0.0, 0.0, 0.2]),
    )


def _weather(chance: Random) -> Weather:
    def share(most: float) -> float:
        return chance.choice([0.0, chance.uniform(0, most)])

    outages = []
    if chance.random() < 0.2:
        begin = chance.uniform(0, 600)
        outages.append((begin, begin + chance.choice([20.0, 600.0])))
    return Weather(
        never_sent=share(0.3),
        throttled=share(0.3),
        lost_before=share(0.3),
        lost_after=share(0.5),
        late=share(0.3),
        repeated=share(0.1),
        broken_downloads=share(0.6),
        outages=tuple(outages),
    )


def _run(chance: Random) -> RunOfNight:
    def perhaps(share: float, value: Any) -> Any:
        return value if chance.random() < share else None

    return RunOfNight(
        death=perhaps(0.65, _death(chance)),
        full=perhaps(0.08, FullDisk(step=chance.randint(1, 200), steps=chance.choice([1, 5, 10_000]))),
        stops_after_s=perhaps(0.2, chance.uniform(0.5, 240)),
        max_cu=perhaps(0.25, 10.0 * chance.randint(0, 4)),
        max_duration_s=perhaps(0.15, chance.uniform(1, 200)),
        loses_picture_after_s=perhaps(0.06, chance.uniform(1, 200)),
        loses_mesh_after_s=perhaps(0.04, chance.uniform(30, 400)),
        tidied=chance.random() < 0.06,
        renamed=chance.random() < 0.06,
        redrawn=chance.random() < 0.06,
        ledger_lost=chance.random() < 0.08,
        ceiling=perhaps(0.1, chance.choice([1, 2, 3, 50])),
        rests_s=chance.choice([0.1, 1.0, 30.0, 120.0, 900.0, 4000.0]),
        begins_early=chance.random() < 0.5,
    )


def _death(chance: Random) -> Death:
    kind = chance.choice(["", "service", "ledger", "ledger", "disk"])
    return Death(step=int(2 ** chance.uniform(0, 8)), kind=kind, is_power_cut=chance.random() < 0.4)
