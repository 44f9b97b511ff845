"""Wall time. Everything else takes a ``now`` callable, so that tests choose the hour."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(tz=UTC)  # noqa: TID251 - the one place that reads the wall clock
