"""How often a service is asked for its jobs, and how long a job is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Shares are of the time that a job is expected to take."""

    requests_per_s: float = 2.0
    """Look-ups and pages of the feed together, at most, however many jobs."""
    ended: float = 0.1
    """The feed is read when so many jobs are expected to have ended since it was read last: some ten times a job where
    there are few.
    """
    shortest_share: float = 0.015
    """But not before this share of a job's time has passed, so that many are told of at once: in the mean a job is
    noticed late by half of it.
    """
    longest_share: float = 0.25
    longest_s: tuple[float, float] = (10.0, 120.0)
    """And at the latest after this share of a job's time, within these bounds: some fail early."""
    blank_weight: float = 3.0
    """Where nothing is known of any job, all of them count as so many."""
    deep_every_s: float = 60.0
    """How often a look reaches back further, for what the list shows late."""
    pages: int = 20
    """Pages of the feed in one look, at most."""
    deep_pages: int = 2
    """Of those, for what was there to be seen already, unless jobs of earlier runs are waited for."""
    silence_s: tuple[float, float] = (5.0, 30.0)
    """A job that the feed has never mentioned in as much time as it may take is looked up by itself, within these
    bounds.
    """
    missed_s: float = 30.0
    """Between look-ups of a job that the service does not know."""
    stuck_s: float = 4 * 3600.0
    """A job that is not final by then is stuck: it is given up (it stays at the service, and in the ledger)."""
    patience: float = 5.0
    samples: int = 3
    least_s: float = 15 * 60.0
    """Once ``samples`` others have ended, a job is stuck when it takes ``patience`` times as long as the longest of
    them, but not before ``least_s``.
    """
    listing_s: float = 300.0
    """How long a job may be a success without telling what it made."""
    misses: int = 5
    """A job is gone when so many look-ups in a row, ``missed_s`` apart, did not find it: one may be a hiccup."""
