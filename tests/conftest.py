import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile(
    "deep",
    deadline=None,
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "20000")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
"""``ci``: the same examples every time, whatever the machine's speed. ``deep``: new ones, as many as one has time for."""


@pytest.fixture
def anyio_backend() -> str:
    """What touches aiohttp runs on asyncio; tests of pure flow override this with trio and its MockClock."""
    return "asyncio"
