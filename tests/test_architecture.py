"""One module per foreign library: a swap touches one file (import-linter holds the direction between rooms)."""

import ast
from pathlib import Path

import pipeline

ROOT = Path(pipeline.__path__[0])
ONLY_IN = {
    "aiohttp": ("ports/http.py", "service/"),
    "sqlite3": ("ports/sqlite.py",),
    "PIL": ("ports/images/",),
    "trimesh": ("ports/meshes.py",),
    "filelock": ("ports/lock.py",),
    "aiofiles": ("ports/downloads.py", "ports/storage.py"),
    "yaml": ("domain/manifest_text.py", "domain/proposal.py"),
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


def test_each_foreign_library_has_its_module() -> None:
    strays = [
        f"{path.relative_to(ROOT).as_posix()} imports {library}"
        for path in sorted(ROOT.rglob("*.py"))
        for library in imported(path) & ONLY_IN.keys()
        if not path.relative_to(ROOT).as_posix().startswith(ONLY_IN[library])
    ]
    assert strays == []
