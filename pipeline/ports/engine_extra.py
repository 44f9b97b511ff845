"""The engine extra: whether this machine has what the base install leaves out."""

from importlib.util import find_spec

MODULES = ("numpy", "numba", "trimesh")
MEND = "pip install 'mvmesh[engine]' (in a clone of the repository: pip install '.[engine]')"


def missing() -> list[str]:
    """The modules of the extra that are not installed; nothing is imported."""
    return [name for name in MODULES if find_spec(name) is None]
