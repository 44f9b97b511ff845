"""The generation service itself, which no run's death touches: pictures, jobs, meshes, and what it charges."""

import heapq
import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from pipeline.domain.errors import AssetGone, CeilingReached, MvmeshError, RequestRefused, UrlExpired
from pipeline.domain.jobs import Asset, Job, JobPage, JobStatus, Quote, TeamLimits
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA
from pipeline.domain.outputs import GLB_TYPE
from pipeline.domain.views import View
from simulation.clock import now_at

NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """How a service is. The defaults are those of a good one."""

    skew_s: float = 0.0
    """How far its clock is ahead of ours."""
    list_lag_s: float = 0.0
    """Its lists show how all was so long ago."""
    page_size: int = 100
    ceiling: int = 50
    tells_ceiling: bool = True
    tells_sizes: bool = True
    tells_time: bool = True
    """Its answers bear a date."""
    echo: str = "full"
    """``full``: defaults filled in and fields of its own; ``exact``; ``other``: values in other words; ``none``."""
    names_gone: float = 1.0
    """The share of refusals for want of a picture that name it."""
    url_lives_s: float = 600.0
    job_s: tuple[float, float] = (60.0, 60.0)
    looked_up_after_s: float = 0.0
    """So long a new job is not found by its id."""
    fails: float = 0.0
    keeps_money: float = 0.0
    """The share of failed jobs that are not refunded."""
    stuck: float = 0.0
    """The share of jobs that take half a day."""
    hides: float = 0.0
    """The share of jobs that no list ever shows."""
    poor: float = 0.0
    """The share of meshes that lack their texture."""
    made_told_late_s: float = 0.0
    """So long at most a success does not tell what it made."""
    made_listed_late_s: float = 0.0
    """So long at most what was made cannot be looked up yet."""
    price_cu: float = 10.0
    discount: float = 0.0


@dataclass(slots=True, kw_only=True)
class Made:
    """One job at the service: what is known from the moment that it is made is all that will become of it."""

    job_id: str
    run: int | None
    """The run that it is of; None: somebody else's."""
    inputs: Mapping[str, Any]
    ordered: str
    """What it is made of, by content: equal orders are equal texts."""
    price_cu: float
    created: float
    ends: float
    moments: Sequence[tuple[float, Job]]
    """How it looks from each moment on."""
    hidden: bool
    fails: bool
    refunded: bool
    asset_id: str
    mesh: bytes
    listed: float
    """From when on the mesh can be looked up."""
    lost: bool = False
    """The service has lost what it made: a person says whether it is to be made, and paid, anew."""

    def seen(self, at: float) -> Job:
        return next(job for moment, job in reversed(self.moments) if moment <= at)

    def is_over(self, at: float) -> bool:
        return at >= self.ends

    def charged_cu(self, at: float) -> float:
        return 0.0 if self.refunded and at >= self.ends else self.price_cu


@dataclass(order=True, slots=True)
class Arrival:
    """A request to generate that is on its way, or was answered."""

    at: float
    number: int
    run: int | None = field(compare=False)
    inputs: Mapping[str, Any] = field(compare=False)
    outcome: Job | MvmeshError | None = field(default=None, compare=False)


class GenerationService:
    """Everything happens at its own time, whoever still listens: what has arrived is done before anybody is answered.

    ``charged`` hears of every job as it is made.
    """

    def __init__(self, temper: Temper, chance: Random, *, charged: Callable[[Made], None]) -> None:
        self.temper = temper
        self.jobs: dict[str, Made] = {}
        self.meshes: dict[bytes, Made] = {}
        self.bad_orders: set[str] = set()
        """What always fails, by content of the front picture."""
        self._chance = chance
        self._charged = charged
        self._pictures: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._assets_given = 0
        self._makers: dict[str, Made] = {}
        self._arrivals: list[Arrival] = []
        self._sent = 0

    # What clients ask: each at a moment, in virtual seconds.

    def create_asset(self, name: str, data: bytes) -> str:
        self._assets_given += 1
        asset_id = f"asset_p{self._assets_given}"
        self._names[asset_id] = name
        self._pictures[asset_id] = data.decode("latin-1")
        return asset_id

    def quote(self, inputs: Mapping[str, Any]) -> Quote:
        self._require_pictures(inputs)
        return Quote(cu=self._price(inputs))

    def send(self, inputs: Mapping[str, Any], *, at: float, run: int | None) -> Arrival:
        """A request that arrives at that moment, come what may."""
        self._sent += 1
        arrival = Arrival(at, self._sent, run, dict(inputs))
        heapq.heappush(self._arrivals, arrival)
        return arrival

    def hurry(self, arrival: Arrival, *, at: float) -> None:
        """It arrives by then, if it has not yet."""
        if arrival in self._arrivals and at < arrival.at:
            self._arrivals.remove(arrival)
            arrival.at = at
            self._arrivals.append(arrival)
            heapq.heapify(self._arrivals)

    def catch_up(self, now: float) -> None:
        """Do what has arrived until now."""
        while self._arrivals and self._arrivals[0].at <= now:
            arrival = heapq.heappop(self._arrivals)
            try:
                arrival.outcome = self._generate(arrival)
            except MvmeshError as error:
                arrival.outcome = error

    def job(self, job_id: str, now: float) -> Job:
        self.catch_up(now)
        made = self.jobs.get(job_id)
        if made is None or now < made.created + self.temper.looked_up_after_s:
            raise RequestRefused(f"no job {job_id}")
        return made.seen(now)

    def list_jobs(
        self, now: float, *, updated_after: datetime | None, created_after: datetime | None, page: str | None
    ) -> JobPage:
        self.catch_up(now)
        shown_at = now - self.temper.list_lag_s
        shown = [one.seen(shown_at) for one in self.jobs.values() if one.created <= shown_at and not one.hidden]
        moved = updated_after is not None
        rows = sorted(
            (
                ((one.updated_at if moved else one.created_at), one.job_id, one)
                for one in shown
                if (moved and one.updated_at > updated_after)
                or (not moved and (created_after is None or one.created_at > created_after))
            ),
            key=lambda row: row[:2],
            reverse=True,
        )
        if page is not None:
            at, _, job_id = page.partition(" ")
            rows = [row for row in rows if row[:2] < (datetime.fromisoformat(at), job_id)]
        size = self.temper.page_size
        some, more = rows[:size], len(rows) > size
        told_at = (now_at(now) + timedelta(seconds=self.temper.skew_s)).replace(microsecond=0)
        return JobPage(
            jobs=tuple(row[2] for row in some),
            next_page=f"{some[-1][0].isoformat()} {some[-1][1]}" if more else None,
            told_at=told_at if self.temper.tells_time else None,
        )

    def assets(self, asset_ids: Sequence[str], now: float) -> list[Asset]:
        self.catch_up(now)
        return [found for one in dict.fromkeys(asset_ids) if (found := self._asset(one, now))]

    def content(self, url: str, now: float) -> bytes:
        """What lies behind a signed URL.

        Raises:
            UrlExpired: no longer, or never.
        """
        asset_id, _, until = url.removeprefix("https://files/").partition("?until=")
        made = self._makers.get(asset_id)
        if now > float(until) or made is None or made.lost:
            raise UrlExpired(f"{asset_id}: HTTP 403")
        return made.mesh

    def team_limits(self) -> TeamLimits:
        return TeamLimits(parallel_jobs=self.temper.ceiling if self.temper.tells_ceiling else None)

    # What happens there without anybody asking.

    def forget_a_picture(self) -> str:
        """Its content; nothing where there is none."""
        return self._pictures.pop(self._chance.choice(list(self._pictures))) if self._pictures else ""

    def lose_a_mesh(self, now: float) -> str | None:
        kept = [one for one in self.jobs.values() if one.is_over(now) and not one.lost and not one.fails]
        if not kept:
            return None
        lost = self._chance.choice(kept)
        lost.lost = True
        return lost.job_id

    def of_run(self, run: int) -> Iterable[Made]:
        return (one for one in self.jobs.values() if one.run == run)

    def ordered(self, inputs: Mapping[str, Any]) -> str:
        """The pictures by content, and the parameters."""
        views = {view.field for view in View}
        named = {name: self._pictures.get(value, value) if name in views else value for name, value in inputs.items()}
        return json.dumps(named, sort_keys=True)

    def _require_pictures(self, inputs: Mapping[str, Any]) -> None:
        gone = [
            inputs[view.field] for view in View if view.field in inputs and inputs[view.field] not in self._pictures
        ]
        if gone:
            named = gone if self._chance.random() < self.temper.names_gone else ()
            raise AssetGone(f"not found: {', '.join(gone)}", asset_ids=named)

    def _generate(self, arrival: Arrival) -> Job:
        if arrival.run is not None:
            self._require_pictures(arrival.inputs)
            running = sum(not one.is_over(arrival.at) for one in self.jobs.values())
            if running >= self.temper.ceiling:
                raise CeilingReached("the ceiling is reached", ceiling=self.temper.ceiling, retry_after_s=5)
        made = self._made(arrival)
        self.jobs[made.job_id] = self._makers[made.asset_id] = self.meshes[made.mesh] = made
        self._charged(made)
        return made.seen(arrival.at)

    def _made(self, arrival: Arrival) -> Made:
        temper, chance, at = self.temper, self._chance, arrival.at
        number = len(self.jobs) + 1
        ordered = self.ordered(arrival.inputs)
        is_bad = any(bad in ordered for bad in self.bad_orders)
        fails = arrival.run is not None and (is_bad or chance.random() < temper.fails)
        refunded = fails and (is_bad or chance.random() >= temper.keeps_money)
        lasts = chance.uniform(5, 14) * 3600 if chance.random() < temper.stuck else chance.uniform(*temper.job_s)
        told = chance.uniform(0, temper.made_told_late_s)
        made = Made(
            job_id=f"job_{number}",
            run=arrival.run,
            inputs=arrival.inputs,
            ordered=ordered,
            price_cu=self._price(arrival.inputs) * (1 - temper.discount),
            created=at,
            ends=at + lasts,
            moments=(),
            hidden=chance.random() < temper.hides,
            fails=fails,
            refunded=refunded,
            asset_id=f"asset_m{number}",
            mesh=mesh(number, textured=chance.random() >= temper.poor),
            listed=at + lasts + told + chance.uniform(0, temper.made_listed_late_s),
        )
        made.moments = tuple(self._moments(made, told))
        return made

    def _moments(self, made: Made, told_late_s: float) -> Iterable[tuple[float, Job]]:
        job = Job(
            job_id=made.job_id,
            status=JobStatus.QUEUED,
            model_id=MODEL_ID,
            created_at=self._stamp(made.created),
            echo=self._echo(made.inputs),
        )

        def at(moment: float, **changes: Any) -> tuple[float, Job]:
            return moment, replace(job, updated_at=self._stamp(moment), **changes)

        begins = made.created + (made.ends - made.created) * 0.2
        yield at(made.created)
        yield at(begins, status=JobStatus.IN_PROGRESS, progress=0.1)
        yield at((begins + made.ends) / 2, status=JobStatus.IN_PROGRESS, progress=0.5)
        if made.fails:
            kept_cu = 0.0 if made.refunded else made.price_cu
            yield at(made.ends, status=JobStatus.FAILURE, progress=1.0, error="no object", cu_charged=kept_cu)
            return
        ended = {"status": JobStatus.SUCCESS, "progress": 1.0, "cu_charged": made.price_cu}
        if told_late_s:
            yield at(made.ends, **ended)
        yield at(made.ends + told_late_s, **ended, asset_ids=(made.asset_id,))

    def _echo(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        match self.temper.echo:
            case "none":
                return {}
            case "other":
                return {name: f"{value}" for name, value in inputs.items() if name != "generateType"}
            case "full":
                filled = {name: one.default for name, one in PUBLISHED_SCHEMA.choices.items()}
                return {"seed": 7, **filled, **inputs, "leftImage": inputs.get("leftImage")}
            case _:
                return dict(inputs)

    def _stamp(self, seconds: float) -> datetime:
        return now_at(seconds) + timedelta(seconds=self.temper.skew_s)

    def _price(self, inputs: Mapping[str, Any]) -> float:
        return self.temper.price_cu * (1.5 if inputs.get("enablePbr") else 1.0)

    def _asset(self, asset_id: str, now: float) -> Asset | None:
        if asset_id in self._pictures:
            url = f"https://files/{asset_id}?until=0"
            return Asset(asset_id=asset_id, url=url, name=self._names[asset_id], kind="image", media_type="image/png")
        made = self._makers.get(asset_id)
        if made is None or made.fails or made.lost or now < made.listed:
            return None
        return Asset(
            asset_id=asset_id,
            url=f"https://files/{asset_id}?until={now + self.temper.url_lives_s}",
            kind="3d",
            media_type=GLB_TYPE,
            source="img23d",
            size_bytes=len(made.mesh) if self.temper.tells_sizes else None,
        )


def mesh(number: int, *, textured: bool) -> bytes:
    """A whole GLB that no other number's equals."""
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "extras": {"number": number}},
        "accessors": [{"componentType": 5126, "type": "VEC3", "count": 36}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    }
    if textured:
        document["textures"] = [{"source": 0}]
        document["images"] = [{"uri": "data:image/png;base64,"}]
        document["accessors"].append({"componentType": 5126, "type": "VEC2", "count": 36})
        document["meshes"][0]["primitives"][0] |= {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "material": 0}
        document["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<5I", 0x46546C67, 2, 20 + len(text), len(text), 0x4E4F534A) + text
