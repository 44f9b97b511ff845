from pathlib import Path

from pipeline.domain.manifest import load_manifest
from pipeline.domain.run_options import RunOptions
from pipeline.domain.window import window_of

TEXT = """
version: 1
name: props
backend: local
output: out
sets: [{path: a}]
limits: {max_duration: 6h, window: "22:00-06:00", uploads: 3}
budget: {max_cu: 500}
"""


def manifest(text: str = TEXT):
    return load_manifest(text, file=Path("m.yaml"), environ={})


def test_without_a_word_the_manifest_counts() -> None:
    assert RunOptions().over(manifest()) == manifest()
    assert list(RunOptions().told_over(manifest())) == []


def test_what_a_run_is_told_counts_and_is_told() -> None:
    options = RunOptions(max_cu=0.0, max_duration_s=5400.0, window=window_of("01:00-02:00"))
    found = options.over(manifest())
    assert (found.budget.max_cu, found.limits.max_duration, str(found.limits.window)) == (0.0, 5400.0, "01:00-02:00")
    assert found.limits.uploads == 3
    assert found.output_folder == manifest().output_folder
    assert list(options.told_over(manifest())) == [
        "--max-cu 0 counts in this run, not the manifest's budget.max_cu 500",
        "--max-duration 90m counts in this run, not the manifest's limits.max_duration 6h",
        "--window 01:00-02:00 counts in this run, not the manifest's limits.window 22:00-06:00",
    ]


def test_nothing_is_told_where_the_manifest_is_silent_or_says_the_same() -> None:
    silent = manifest("\n".join(TEXT.splitlines()[:-2]))
    options = RunOptions(max_cu=500.0, window=window_of("22:00-06:00"))
    assert list(options.told_over(silent)) == []
    assert list(options.told_over(manifest())) == []
    assert options.over(silent).budget.max_cu == 500.0
