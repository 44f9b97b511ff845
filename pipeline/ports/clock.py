"""Wall time. Everything else takes a ``now`` callable, so that tests choose the hour."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(tz=UTC)  # noqa: TID251 - the one place that reads the wall clock


def local_time(at: datetime) -> datetime:
    """The same moment by this machine's clock on the wall."""
    return at.astimezone()
