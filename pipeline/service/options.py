"""How one local service is set up."""

import os
from dataclasses import dataclass, field

from pipeline.service.engine import Engine, make_mesh
from pipeline.service.pricing import PriceList


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    workers: int | None = None
    """Worker processes, so jobs in work at one time; None: one a processor."""
    ceiling: int | None = None
    """How many jobs may be unfinished at one time (``parallelCustomJobs``); None: two a worker."""
    prices: PriceList = field(default_factory=PriceList)
    job_timeout_s: float = 1800.0
    """A worker that takes longer is ended, and its job fails."""
    url_ttl_s: float = 600.0
    """How long signed URLs live."""
    max_body_bytes: int = 12 * 1024 * 1024
    """Of one JSON body: a picture of 8 MB in base64, with room for its envelope."""
    silence_s: float = 75.0
    """How long a connection may be without a whole request header."""
    body_s: float = 300.0
    """How long a request body may take to arrive, and a piece of a file to be taken."""
    engine: Engine = make_mesh
    """What makes the meshes; called in a worker process, so a function of a module."""

    @property
    def worker_count(self) -> int:
        return self.workers or os.cpu_count() or 1

    @property
    def job_ceiling(self) -> int:
        return self.ceiling or 2 * self.worker_count

    @property
    def threads_per_worker(self) -> int:
        """So that all workers together use each processor once."""
        return max(1, (os.cpu_count() or 1) // self.worker_count)
