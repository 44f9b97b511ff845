"""What the engine extra adds to an install: each distribution of it, freshly installed in a folder of its own."""

import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distributions
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
MOST_MB = 500


def main() -> None:
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted = declared["optional-dependencies"]["engine"]
    with tempfile.TemporaryDirectory() as folder:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ]
        subprocess.run([*pip, "--target", folder, *wanted], check=True)
        sizes = {
            f"{one.name} {one.version}": size_mb(Path(folder), one.files or ()) for one in distributions(path=[folder])
        }
        whole = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
    for name, size in sorted(sizes.items(), key=lambda found: -found[1]):
        print(f"| {name} | {size:.0f} MB |")
    print(f"| all of it, with compiled byte code | {whole:.0f} MB |")
    if whole > MOST_MB:
        sys.exit(f"more than {MOST_MB} MB")


def size_mb(folder: Path, files) -> float:
    """Of what a distribution says it brought."""
    paths = [folder / str(file) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
