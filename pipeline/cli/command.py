"""What all commands share: the shape of their help, the manifest they are given, ``--json``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


class Command(click.Command):
    """A command whose help ends with examples: (what one wants, the command line)."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            for want, line in self.examples:
                formatter.write_text(f"# {want}")
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


manifest_argument = click.argument("manifest", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead.")
