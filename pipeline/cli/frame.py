"""The frame of the command line: the commands by name, the help that comes first, and how every call ends."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import cast

import click

from pipeline.cli.command import Command
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.failures import tell_failure
from pipeline.cli.terminal import never_fail_on_encoding, say
from pipeline.domain.errors import UsageError

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Start": {
        "init": "Look at a folder of pictures and write a manifest for it.",
        "check": "Check every picture of a manifest; needs no network.",
        "schema": "Print the JSON Schema of manifests or of results.",
    },
    "Work": {
        "plan": "Show what a run would do, and what it costs.",
        "run": "Turn image sets into meshes; again: carry on, redo nothing.",
        "status": "Tell what the ledger knows; also while a run is going.",
        "verify": "Compare the files on disk with the results manifest.",
    },
    "Mend": {
        "reconcile": "Find what became of lost submissions, or of a lost ledger.",
        "retry": "Let the next run try failed items again.",
    },
    "Service": {
        "serve": "Run the local generation service on its own.",
    },
}
"""Every command with its short help, so that ``mvmesh --help`` imports none of them."""

EXAMPLES = (
    ("mvmesh init pictures/", "write mvmesh.yaml for a folder of pictures"),
    ("mvmesh plan mvmesh.yaml", "see what would be done and what it costs"),
    ("mvmesh run mvmesh.yaml --yes", "do it without asking: for scripts"),
)

EXIT_CODES: Mapping[ExitCode, str] = {
    ExitCode.OK: "all delivered, or nothing to do",
    ExitCode.INCOMPLETE: "some sets failed, were refused or are held",
    ExitCode.USAGE: "wrong call or manifest; would spend, and nobody said yes",
    ExitCode.CREDENTIALS: "credentials missing or refused",
    ExitCode.UNREACHABLE: "the service cannot be reached",
    ExitCode.OUT_OF_TIME: "the time window is over; running again carries on",
    ExitCode.OVER_BUDGET: "the budget is reached; running again carries on",
    ExitCode.UNCERTAIN: "a submission's answer was lost; running again looks",
    ExitCode.LOCAL_IO: "disk full, permission, damaged ledger",
    ExitCode.BUG: "a bug in mvmesh",
    ExitCode.LOCKED: "another run works on the state folder",
    ExitCode.INTERRUPTED: "interrupted; running again carries on",
}

FIRST_MESH = """\
mvmesh turns folders of multiview pictures into textured 3D meshes.

The shortest way to a first mesh, with no account and no network:

  mvmesh init pictures/       a folder with a folder of views for each object
  mvmesh run mvmesh.yaml      front.png, left.png, back.png ... become a .glb

mvmesh --help lists all commands, mvmesh run --help explains one."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        return cast("Command", import_module(f"pipeline.cli.{cmd_name}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(_unknown_command(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_max=10)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            formatter.write_dl(list(EXAMPLES))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in EXIT_CODES.items()])


def _unknown_command(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no command {name!r}; {hint}"


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if not wanted:
        return
    from importlib.metadata import version  # noqa: PLC0415 - slow, and seldom asked for

    say(f"mvmesh {version('mvmesh')}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
@click.pass_context
def mvmesh(ctx: click.Context) -> None:
    """Turn whole libraries of multiview pictures into 3D meshes, unattended, without losing or paying twice for a
    result.
    """
    if ctx.invoked_subcommand is None:
        say(FIRST_MESH)


def run(args: Sequence[str]) -> int:
    """Carry out one call and say with which code it ends."""
    never_fail_on_encoding()
    try:
        return int(mvmesh.main(list(args), prog_name="mvmesh", standalone_mode=False) or ExitCode.OK)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told, and the exit code says what it was
        return tell_failure(_ours(error), as_json="--json" in args)


def _ours(error: BaseException) -> BaseException:
    """Click's own errors in our words."""
    match error:
        case click.Abort():
            return KeyboardInterrupt()
        case click.UsageError():
            where = error.ctx.command_path if error.ctx else "mvmesh"
            return UsageError(error.format_message(), mend=f"see {where} --help")
        case click.ClickException():
            return UsageError(error.format_message())
        case _:
            return error
