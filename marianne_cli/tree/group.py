"""`mzt` as Click has it: help, what is wrong with a line, completion, and the lines that are not plain."""

import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from marianne_cli.exits import usage_message
from marianne_cli.lines import kinds
from marianne_cli.tree import click_commands
from marianne_cli.tree.table import ALIASES, MODULES, TABLE, form_of
from marianned import __version__

_NAME_WIDTH = 17
_FORMER_COMMANDS = {
    "metrics": "mzt status --metrics",
    "clear": "mzt remove",
    "conductor-status": "mzt status",
    "diagnose": "mzt why",
    "limits": "mzt instruments",
    "errors": "mzt why",
    "recover": "mzt resume",
    "resolve": "mzt resume JOB --accept SHEETS, or --skip SHEETS,",
    "watch": "mzt status JOB --watch",
}
_DESTROYING = ("remove", "cancel", "stop", "clear-rate-limits")
_CUTOFF_DESTROYING = 0.8
"""How alike a word must be to a command that destroys something for that to be suggested."""
_FORMER_OPTIONS = {
    "--no-reload": (
        "no job reads its file again by itself: a new text comes with modify -c FILE",
        "mzt modify -h",
    ),
    "--reload": (
        "no job reads its file again by itself: a new text comes with modify -c FILE",
        "mzt modify -h",
    ),
    "--from-sheet": ("a job goes on where it stopped, without a number", "mzt help resume"),
    "--start-sheet": ("a job goes on where it stopped, without a number", "mzt help resume"),
    "--escalation": (
        "where a person is asked is for the score to say: sheet.triggers.N.on_fail, or on_failure: pause",
        "mzt validate FILE",
    ),
}
"""By an option of other programs for this format: what is so here, and what shows more."""


class CommandTree(click.Group):
    """A group whose commands are imported when they are called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  Click's signature
        """Return the names, in the table's order."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        form = form_of(cmd_name)
        return None if form is None else click_commands.click_command(form)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `--json=FIELD,...` before the command, as behind it."""
        first = next((place for place, word in enumerate(args) if not word.startswith("-")), len(args))
        if any(word.startswith("--json=") for word in args[:first]):
            args = [*click_commands.take_fields(ctx, args[:first]), *args[first:]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the near ones, and what took the place of one of old."""
        name = args[0]
        if (
            name not in MODULES
            and name not in ALIASES
            and not name.startswith("-")
            and not ctx.resilient_parsing
        ):
            if name in _FORMER_COMMANDS:
                raise click.UsageError(f"no command '{name}'; {_FORMER_COMMANDS[name]} does that", ctx)
            sure = get_close_matches(name, MODULES, cutoff=_CUTOFF_DESTROYING)
            likely = get_close_matches(name, MODULES)
            near = [one for one in likely if one in sure or one not in _DESTROYING]
            asked = f". Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
            raise click.UsageError(f"no such command '{name}'{asked}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, grouped, then the options of `mzt` itself."""
        formatter.write_paragraph()
        for title, entries in TABLE.items():
            formatter.write(f"{title}\n")
            for name, entry in entries.items():
                formatter.write(f"  {name:<{_NAME_WIDTH}}  {entry.help}\n")
        click.Command.format_options(self, ctx, formatter)


_VALUES = ("--var", "--vars-file")


def _modify_instead(arguments: Sequence[str]) -> str:
    """Return the modify that gives a run the values which were typed behind resume."""
    given, job, words = [], "JOB", iter(arguments[arguments.index("resume") + 1 :])
    for word in words:
        if word.partition("=")[0] in _VALUES:
            given += [word] if "=" in word else [word, next(words, "NAME=VALUE")]
        elif not word.startswith("-") and job == "JOB":
            job = word
    return shlex.join(["mzt", "modify", job, *given, "-r"])


def _unknown_option_text(error: click.NoSuchOption, context: click.Context) -> str:
    """Name the options that are near: Click suggests what is like it in its dashes, as --help."""
    words = [word for param in context.command.params for word in param.opts if word.startswith("--")]
    near = get_close_matches(error.option_name.lstrip("-"), [word.lstrip("-") for word in words], 1)
    asked = f"; did you mean '--{near[0]}'?" if near else ""
    return f"no such option '{error.option_name}'{asked}"


def usage_text(error: click.ClickException, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return what is wrong with a command line, in our manner, and what to type to know better."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = None if context is None or context.parent is None else context.info_name
    if (
        isinstance(error, click.NoSuchOption)
        and error.option_name == "-f"
        and command
        and _takes_follow(context)
    ):
        return f"{command} has no '-f'; follow is '-F', '-f' is force everywhere", [f"mzt {command} -h"]
    if isinstance(error, click.NoSuchOption) and command == "resume" and error.option_name in _VALUES:
        said = f"resume has no '{error.option_name}': the values of a run change with a revision"
        return said, [_modify_instead(arguments)]
    if isinstance(error, click.NoSuchOption) and command and error.option_name in _FORMER_OPTIONS:
        said, hint = _FORMER_OPTIONS[error.option_name]
        return f"{command} has no '{error.option_name}': {said}", [hint]
    if isinstance(error, click.NoSuchOption) and context is not None:
        return _unknown_option_text(error, context), [f"mzt {command} -h" if command else "mzt -h"]
    message, hints = usage_message(error.format_message(), command, arguments)
    if "unexpected extra argument" in message and _takes_score(context):
        extra = message.rpartition("(")[2].partition(")")[0]
        message += "; a score is given with -c FILE"
        if arguments.count(extra) == 1:
            at = list(arguments).index(extra)
            hints = [shlex.join(["mzt", *arguments[:at], "-c", *arguments[at:]])]
    return message, hints


def _takes_score(context: click.Context | None) -> bool:
    """Tell whether a command has -c for a score, which people type without it."""
    return context is not None and any("--config" in param.opts for param in context.command.params)


def _takes_follow(context: click.Context | None) -> bool:
    return context is not None and any("-F" in param.opts for param in context.command.params)


@click.group(
    cls=CommandTree,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--socket",
    metavar="PATH",
    type=click_commands.ClickKind(kinds.Name()),
    help="Where the daemon listens.  [default: $MARIANNE_SOCKET]",
)
@click.option("--json", "-j", "as_json", is_flag=True, help="As behind the command; so are -q and -v.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress and no notes.")
@click.option("--verbose", "-v", is_flag=True, help="Show every row; also socket and timing.")
@click.version_option(__version__, "--version", "-V", message="mzt %(version)s")
@click.pass_context
def mzt(ctx: click.Context, /, **_: Any) -> Any:  # commands read the options from the context
    """Run scores; pause them at a sheet boundary, change them, go on."""
    if ctx.invoked_subcommand is None:
        from marianne_cli.commands.status import without_command

        return without_command(ctx.params)
    return None
