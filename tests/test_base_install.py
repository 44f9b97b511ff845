"""The base install (the batch client without the engine extra) runs alone: on nothing but its declared dependencies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from base_install import PACKAGE, installed_files, package_files, size_bytes
from nights import KEY, SECRET, Night, Service, serving

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
    targets = {folder / file: file.locate() for file in installed_files("mvmesh")}
    targets |= {folder / file.relative_to(PACKAGE.parent): file for file in package_files()}
    for target, source in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(source), target)
    return folder


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
        night.prepare(sets=2, previews=True, preflight={"consistency": "warn"})
        ran = mvmesh(base, "run", str(night.manifest), "--yes")
        assert (ran.returncode, ran.stderr.count(" delivered\n")) == (0, 2), ran.stderr
        assert ran.stderr.count("are not compared with one another without the engine extra: pip install") == 1
        assert "are not compared" in mvmesh(base, "plan", str(night.manifest)).stdout
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


def test_it_is_small() -> None:
    assert size_bytes() < BASE_BYTES_MAX, f"{size_bytes():,} bytes"
