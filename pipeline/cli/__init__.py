"""The command line: one module a command, each loaded only when it is called.

``frame`` knows the commands and ends every call with an exit code, ``failures`` tells errors to people and programs,
``composition`` (with ``ledgers``, ``services`` and ``mending``) is where the ports are chosen and put together.
"""

import gc
import sys

_OBJECTS_A_LOOK = 50_000
"""The garbage collector looks for cycles after so many new objects. There are hardly any here, and by default (700 in
Python 3.11) looking for them takes a tenth of the time that a plan of a hundred thousand sets takes.
"""


def main() -> None:
    """The entry point of ``mvmesh`` and ``python -m pipeline``."""
    from pipeline.cli.frame import run  # noqa: PLC0415 - a submodule: this package is not finished before

    gc.set_threshold(_OBJECTS_A_LOOK, 20, 50)
    sys.exit(run(sys.argv[1:]))
