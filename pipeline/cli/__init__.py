"""The command line: one module a command, each loaded only when it is called.

``frame`` knows the commands and ends every call with an exit code, ``failures`` tells errors to people and programs,
``composition`` is where the ports are chosen and put together.
"""

import sys


def main() -> None:
    """The entry point of ``mvmesh`` and ``python -m pipeline``."""
    from pipeline.cli.frame import run  # noqa: PLC0415 - a submodule: this package is not finished before

    sys.exit(run(sys.argv[1:]))
