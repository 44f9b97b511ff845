"""The engine extra stays small, and whatever it brings is there for a reason that pyproject.toml and the README tell."""

from pathlib import Path

from base_install import closure, installed_files

MOST_BYTES = 500_000_000


def names(of: str) -> set[str]:
    return {one.name for one in closure(of)}


def test_the_extra_brings_what_it_says() -> None:
    assert names("mvmesh[engine]") - names("mvmesh") == {"numpy", "numba", "llvmlite", "trimesh"}


def test_it_is_small() -> None:
    files = {str(file.locate()) for file in installed_files("mvmesh[engine]")}
    assert sum(Path(file).stat().st_size for file in files) < MOST_BYTES
