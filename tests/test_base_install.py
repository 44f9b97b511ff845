"""The base install (the batch client without the engine extra) runs alone: on nothing but its declared dependencies."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from nights import KEY, SECRET, Night, Service, serving
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pipeline

ENGINE_MODULES = ("numpy", "numba", "scipy", "skimage", "trimesh", "fast_simplification")
BASE_BYTES_MAX = 70_000_000
"""Of source and binaries, without compiled byte code."""

AT = "import sys; sys.path.append(sys.argv.pop(1)); "
"""For ``python -I -S -c``: the standard library and one folder, no site-packages."""
MVMESH = "from pipeline.cli import main; main()"
FIND = "from importlib.util import find_spec; print(*filter(find_spec, sys.argv[1:]))"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``pip install --target FOLDER mvmesh`` fills it."""
    folder = tmp_path_factory.mktemp("base")
    for one in closure("mvmesh"):
        for file in one.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), folder / file)
    # Where mvmesh is installed for development, its files are the checkout's.
    package = Path(str(pipeline.__file__)).parent
    shutil.copytree(package, folder / "pipeline", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def closure(name: str) -> list[Distribution]:
    """A distribution and all that it needs on this machine, extras left out unless they are asked for."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        known_as = canonicalize_name(wanted.name)
        if known_as not in found or wanted.extras:
            found[known_as] = distribution(wanted.name)
            waiting += _needs(found[known_as], wanted.extras)
    return list(found.values())


def _needs(needy: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in needy.requires or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed


def mvmesh(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(base, MVMESH, *arguments)


def python(base: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", AT + code, str(base), *arguments],
        env={**os.environ, "SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_turns_sets_into_meshes_on_a_service(base: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "service") as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=2, previews=True)
        ran = mvmesh(base, "run", str(night.manifest), "--yes")
        assert (ran.returncode, ran.stderr.count(" delivered\n")) == (0, 2), ran.stderr
        night.check()
    assert not (night.output / "previews").exists()
    assert mvmesh(base, "verify", str(night.manifest)).returncode == 0


def test_it_has_nothing_of_the_engine(base: Path) -> None:
    found = python(base, FIND, *ENGINE_MODULES, "aiohttp")
    assert found.stdout.split() == ["aiohttp"], found.stderr


def test_it_says_what_the_local_backend_needs(base: Path, tmp_path: Path) -> None:
    night = Night(folder=tmp_path, service=Service(tmp_path / "service"))  # never started
    night.prepare(sets=1, backend="local")
    ran = mvmesh(base, "run", str(night.manifest), "--yes")
    assert ran.returncode == 2
    assert "mvmesh[engine]" in ran.stderr


def test_it_is_small(base: Path) -> None:
    size_bytes = sum(file.stat().st_size for file in base.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert size_bytes < BASE_BYTES_MAX, f"{size_bytes:,} bytes"
