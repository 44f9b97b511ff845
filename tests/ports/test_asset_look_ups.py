"""Look-ups of assets share requests, and one that is at fault harms no other: in virtual time."""

import anyio
import pytest
from simulated_ports import virtual_time

from pipeline.domain.errors import RequestRefused, ServiceFault, ServiceUnreachable
from pipeline.ports.retrying import Tries, persist
from pipeline.ports.scenario import ScenarioClient
from pipeline.ports.scenario_uploads import IMPORT_WAIT
from pipeline.ports.scenario_wire import AssetsAnswer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Calls:
    """A service that fails whenever it is asked for an asset whose name begins with "bad"."""

    tries = Tries()

    def __init__(self) -> None:
        self.answers = 0
        self.asked: list[list[str]] = []

    async def ask(self, call, *_, tries):
        before = self.answers

        async def attempt():
            await anyio.sleep(0.05)
            asset_ids = call.body["assetIds"]
            self.asked.append(asset_ids)
            if any(one.startswith("bad") for one in asset_ids):
                raise ServiceFault("500: one asset is odd")
            self.answers += 1
            return AssetsAnswer.model_validate({"assets": [{"id": one, "url": "https://x/y"} for one in asset_ids]})

        try:
            return await persist(str(call), attempt, tries)
        except ServiceUnreachable as error:
            if self.answers == before:
                raise
            raise RequestRefused(str(error)) from error


async def test_many_at_one_time_share_few_requests():
    calls = Calls()
    client = ScenarioClient(calls, None, import_wait=IMPORT_WAIT)
    found = {}

    async def ask(name):
        found[name] = [one.asset_id for one in await client.assets([name, "shared"])]

    names = [f"asset_{at}" for at in range(300)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(ask, name)
    assert found == {name: [name, "shared"] for name in names}
    assert len(calls.asked) <= 5
    assert max(map(len, calls.asked)) <= 200


async def test_assets_that_cannot_be_told_of_hold_up_nobody_else():
    client, took = ScenarioClient(Calls(), None, import_wait=IMPORT_WAIT), {}

    async def ask(name, after_s):
        await anyio.sleep(after_s)
        began = anyio.current_time()
        if name.startswith("bad"):
            with pytest.raises((RequestRefused, ServiceUnreachable)):
                await client.assets([name])
        else:
            await client.assets([name])
        took[name] = anyio.current_time() - began

    async with anyio.create_task_group() as tasks:
        for name, after_s in {"bad 1": 0, "a": 0, "b": 0.01, "bad 2": 0.2, "c": 0.3, "d": 5, "e": 6, "f": 7}.items():
            tasks.start_soon(ask, name, after_s)
    assert max(took_s for name, took_s in took.items() if not name.startswith("bad")) < 10
    assert min(took["bad 1"], took["bad 2"]) > 60  # patience for themselves
