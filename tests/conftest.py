import pytest


@pytest.fixture
def anyio_backend() -> str:
    """What touches aiohttp runs on asyncio; tests of pure flow override this with trio and its MockClock."""
    return "asyncio"
