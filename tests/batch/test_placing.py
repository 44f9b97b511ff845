import unicodedata

import anyio
import pytest
from simulated_ports import SimulatedStorage, virtual_time
from simulated_run import SimulatedRuns

from pipeline.domain.errors import LocalIoError
from pipeline.domain.planning import Action
from pipeline.stages.deliver import sources_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture
def runs(tmp_path):
    return SimulatedRuns(tmp_path)


async def delivered(runs, *set_ids):
    for set_id in set_ids:
        runs.add(set_id)
    outcome, _ = await runs.run()
    assert outcome.delivered == len(set_ids)
    for set_id in set_ids:
        await preview(runs, set_id)
    return runs.meshes


async def preview(runs, set_id):
    """As if the engine extra had drawn one."""
    (found,) = [one for one in await runs.ledger.deliveries("..") if one.alias.set_id == set_id]
    placing = runs.batch()._placing()
    sources = sources_of(found.files, runs.output)
    await placing.place(found.key, found.alias, sources, f"picture of {set_id}".encode(), held=False, keep_sources=True)


async def moved_for_nothing(runs):
    """A run that places what is there, asks the service for nothing, and leaves nothing to do."""
    asked, paid = len(runs.service.asked), len(runs.service.submitted)
    outcome, rows = await runs.run()
    assert (len(runs.service.asked), len(runs.service.submitted)) == (asked, paid)
    assert (await runs.plan()).to_do == []
    assert runs.storage.names(runs.output / ".mvmesh/staging") == []
    for row in rows:
        for file in row.outputs:
            assert runs.storage.get(runs.output / file.path) is not None
    return outcome, rows


async def test_meshes_and_previews_of_exchanged_sets_are_exchanged(runs):
    before = await delivered(runs, "a", "b")
    runs.rename("a", "x")
    runs.rename("b", "a")
    runs.rename("x", "b")
    await moved_for_nothing(runs)
    assert runs.meshes == {"a/a.glb": before["b/b.glb"], "b/b.glb": before["a/a.glb"]}
    assert runs.storage.get(runs.output / "previews/a.webp") == b"picture of b"
    assert runs.storage.get(runs.output / "previews/b.webp") == b"picture of a"


async def test_a_chain_of_renames_moves_each_mesh_one_on(runs):
    before = await delivered(runs, "a", "b", "c")
    runs.rename("c", "d")
    runs.rename("b", "c")
    runs.rename("a", "b")
    await moved_for_nothing(runs)
    assert runs.meshes == {"b/b.glb": before["a/a.glb"], "c/c.glb": before["b/b.glb"], "d/d.glb": before["c/c.glb"]}


async def test_nothing_stays_under_a_name_that_nobody_asks_for(runs):
    before = await delivered(runs, "a")
    runs.rename("a", "new name")
    await moved_for_nothing(runs)
    assert runs.meshes == {"new name/new name.glb": before["a/a.glb"]}
    assert runs.storage.names(runs.output / "previews") == ["new name.webp"]


async def test_a_plain_rename_takes_no_room_but_for_one_mesh_at_a_time(tmp_path):
    """A library of ten thousand whose folder was renamed must not be copied to staging first."""

    class Measured(SimulatedStorage):
        most = 0

        async def copy(self, source, target):
            await super().copy(source, target)
            self.most = max(self.most, len([one for one in self.names(tmp_path) if one.endswith((".glb", ".part"))]))

    runs = SimulatedRuns(tmp_path)
    await delivered(runs, *"abcdefgh")
    runs.storage.__class__ = Measured
    for name in "abcdefgh":
        runs.rename(name, f"{name}{name}")
    await moved_for_nothing(runs)
    assert len(runs.meshes) == 8
    assert runs.storage.most == 9


async def test_a_name_in_another_unicode_form_keeps_its_mesh(runs):
    """Folders come out decomposed after a stay on a Mac; in the output folder both are one name."""
    composed, decomposed = unicodedata.normalize("NFC", "chaise été"), unicodedata.normalize("NFD", "chaise été")
    before = await delivered(runs, composed)
    runs.rename(composed, decomposed)
    await moved_for_nothing(runs)
    assert runs.meshes == before


async def test_a_name_in_another_case_keeps_its_mesh(tmp_path):
    for folded in (False, True):
        runs = SimulatedRuns(tmp_path / str(folded), folded=folded)
        (before,) = (await delivered(runs, "Chair")).values()
        runs.rename("Chair", "chair")
        await moved_for_nothing(runs)
        assert runs.meshes == {"chair/chair.glb": before}


async def test_the_mesh_of_a_set_that_is_refused_for_now_stays_where_it_is(runs):
    """Its pictures may be mended tomorrow; another set with the old pictures gets a copy."""
    before = await delivered(runs, "a")
    text = (runs.folder / "sets/a/front.png").read_text()
    runs.add("b", front=text)
    (runs.folder / "sets/a/front.png").rename(runs.folder / "sets/a/nothing that one knows.png")
    _, rows = await moved_for_nothing(runs)
    assert [row.state for row in rows] == ["refused", "delivered"]
    assert runs.meshes == {"a/a.glb": before["a/a.glb"], "b/b.glb": before["a/a.glb"]}


async def test_a_set_beside_gets_a_copy_and_the_first_keeps_its_own(runs):
    before = await delivered(runs, "a")
    runs.add("b", front="front of a")
    await moved_for_nothing(runs)
    assert runs.meshes == {"a/a.glb": before["a/a.glb"], "b/b.glb": before["a/a.glb"]}


async def test_a_place_that_is_taken_over_keeps_what_stood_there(runs):
    before = await delivered(runs, "a", "b")
    runs.remove("b")
    runs.rename("a", "b")
    await moved_for_nothing(runs)
    assert runs.meshes == {"b/b.glb": before["a/a.glb"]}
    replaced = runs.output / ".mvmesh/replaced"
    kept = [runs.storage.get(replaced / name) for name in runs.storage.names(replaced)]
    assert kept == [before["b/b.glb"], b"picture of b"]


@pytest.mark.parametrize("writes", range(1, 12))
async def test_an_exchange_that_is_cut_off_anywhere_loses_nothing(runs, writes):
    """Also when the service has cleared its results away."""

    class Dying(SimulatedStorage):
        left = writes

        def _move(self, source, target):
            if self.left == 0:
                raise LocalIoError("cut off")
            self.left -= 1
            super()._move(source, target)

    before = await delivered(runs, "a", "b")
    paid = len(runs.service.submitted)
    runs.service.forget_assets()
    runs.rename("a", "x")
    runs.rename("b", "a")
    runs.rename("x", "b")
    runs.storage.__class__ = Dying
    with pytest.raises(LocalIoError):
        await runs.run()
    runs.storage.__class__ = SimulatedStorage
    outcome, _ = await runs.run()
    assert outcome.delivered == 2
    assert runs.meshes == {"a/a.glb": before["b/b.glb"], "b/b.glb": before["a/a.glb"]}
    assert len(runs.service.submitted) == paid


async def test_a_mesh_that_vanishes_after_the_plan_is_told_and_fetched_by_the_next_run(runs):
    before = await delivered(runs, "a")
    runs.rename("a", "b")
    batch = runs.batch()
    plan = await batch.plan()
    assert [one.action for one in plan.items] == [Action.PLACE]
    await runs.storage.remove([runs.output / "meshes/a/a.glb"])
    with pytest.raises(LocalIoError, match="b has vanished"):
        await batch.carry_out(plan, scenario=None, downloads=None, stop=anyio.Event())
    await runs.run()
    assert runs.meshes == {"b/b.glb": before["a/a.glb"]}
