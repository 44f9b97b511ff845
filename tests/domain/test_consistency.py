import pytest

from pipeline.domain.consistency import is_held, most_lenient, override_of, verdict_on

ALIKE = {("framing", "ok"), ("not-compared", "warn"), ("contradiction", "hold")}
"""Whatever the service, and whatever the manifest says."""


@pytest.mark.parametrize("policy", ["hold", "warn"])
@pytest.mark.parametrize("is_local", [True, False])
def test_what_is_certain_and_what_is_no_fault_is_so_for_everybody(policy: str, *, is_local: bool) -> None:
    for kind, verdict in ALIKE:
        assert verdict_on(kind, policy=policy, is_local=is_local) == verdict
    assert verdict_on("disagreement", policy=policy, is_local=is_local) == policy


@pytest.mark.parametrize("kind", ["no-silhouette", "damaged"])
def test_pictures_without_outlines_are_nothing_for_the_local_service_alone(kind: str) -> None:
    assert [verdict_on(kind, policy="warn", is_local=it) for it in (True, False)] == ["hold", "warn"]
    assert verdict_on(kind, policy="hold", is_local=False) == "hold"


@pytest.mark.parametrize("kind", ["contradiction", "disagreement", "no-silhouette"])
def test_the_override_that_is_named_lets_the_set_pass(kind: str) -> None:
    assert is_held(kind, "hold")
    assert f"`consistency: {'skip' if is_held(kind, 'warn') else 'warn'}`" in override_of(kind, is_local=False)
    assert not is_held(kind, "skip")
    assert not override_of(kind, is_local=True)  # nothing makes the local engine take it


def test_what_is_let_pass_for_one_set_is_let_pass_for_its_twin() -> None:
    assert most_lenient(["hold", "warn"]) == "warn"
    assert most_lenient(["skip", "hold"]) == "skip"
