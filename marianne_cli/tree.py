"""The command table: names, one line of help each, and the module that is imported when one is called."""

import importlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from marianned import __version__

COMPLETION_VARIABLE = "_MZT_COMPLETE"
_NAME_WIDTH = 17


class Entry(NamedTuple):
    """A command: what --help says of it, and where it is."""

    help: str
    module: str


TABLE: Mapping[str, Mapping[str, Entry]] = {
    "Jobs": {
        "run": Entry("run a score (starts the daemon if none runs)", "run"),
        "list": Entry("list the jobs: active, paused, ended within a day", "list_jobs"),
        "status": Entry("show what a job does, what is safe, what comes next", "status"),
        "logs": Entry("show what its sheets printed", "logs"),
        "wait": Entry("wait until a job is paused, ended, ...", "wait"),
        "remove": Entry("delete ended runs, with their history and output", "remove"),
    },
    "Control": {
        "pause": Entry("pause a job at its next sheet boundary", "pause"),
        "resume": Entry("continue a paused, failed or cancelled job", "resume"),
        "modify": Entry("give a job a new score; finished sheets stay finished", "modify"),
        "edit": Entry("modify it in your editor", "edit"),
        "retry": Entry("try now what waits for its next attempt", "retry"),
        "cancel": Entry("end a job now", "cancel"),
    },
    "Look": {
        "top": Entry("watch all jobs live, and act, in the terminal", "top"),
        "why": Entry("say why a job does not move, or why it failed", "why"),
        "history": Entry("show who asked what, when and why, and what followed", "history"),
        "dashboard": Entry("show the jobs in the browser", "dashboard"),
        "mcp": Entry("let an agent look after jobs, by the Model Context Protocol", "mcp"),
        "report": Entry("tell what ran, stopped and cost since a time", "report"),
        "revisions": Entry("list the versions of a job's score, and their plans", "revisions"),
        "diff": Entry("show what differs between two of them", "diff"),
    },
    "Scores": {
        "demo": Entry("watch pause, modify and resume work, in 15 seconds", "demo"),
        "init": Entry("write a first score", "init"),
        "validate": Entry("check a score without running it", "validate"),
        "instruments": Entry("list, show, check or add the tools that play sheets", "instruments"),
        "clear-rate-limits": Entry("stop waiting for a rate limit", "clear_rate_limits"),
    },
    "Daemon": {
        "start": Entry("start the daemon; returns when it answers", "start"),
        "stop": Entry("stop the daemon; attempts in flight go on without it", "stop"),
        "restart": Entry("stop and start the daemon; attempts in flight go on", "restart"),
        "service": Entry("run the daemon under systemd: status, install, uninstall", "service"),
        "config": Entry("show or check its settings, and where each comes from", "config"),
        "doctor": Entry("check this installation", "doctor"),
        "backup": Entry("copy the database while the daemon runs", "backup"),
        "bug-report": Entry("write what a report of a fault needs, secrets masked", "bug_report"),
    },
    "Scripts": {
        "events": Entry("print the journal, once or as a stream", "events"),
        "rpc": Entry("call a method of the socket; alone: list them", "rpc"),
        "completion": Entry("print shell completion for bash, zsh or fish", "completion"),
    },
    "Help": {
        "help": Entry("show the help of a command, or of a topic", "help_page"),
        "version": Entry("print the versions of mzt and of the daemon that runs", "version"),
    },
}
_MODULES = {name: entry.module for entries in TABLE.values() for name, entry in entries.items()}
_ALIASES = {"ls": "list"}
"""What is typed by habit; no help lists it."""
_OF_OLD = {
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
_SURELY = 0.8
"""How alike a word must be to a command that destroys something for that to be suggested."""
_OPTIONS_OF_OLD = {
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


class Tree(click.Group):
    """A group whose commands are imported when they are called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  Click's signature
        """Return the names, in the table's order."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"marianne_cli.commands.{_MODULES[cmd_name]}")
        made: click.Command = module.command
        return made

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `--json=FIELD,...` before the command, as behind it."""
        first = next((place for place, word in enumerate(args) if not word.startswith("-")), len(args))
        if any(word.startswith("--json=") for word in args[:first]):
            from marianne_cli.options import fields_taken

            args = [*fields_taken(ctx, args[:first]), *args[first:]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the near ones, and what took the place of one of old."""
        name = args[0]
        if (
            name not in _MODULES
            and name not in _ALIASES
            and not name.startswith("-")
            and not ctx.resilient_parsing
        ):
            if name in _OF_OLD:
                raise click.UsageError(f"no command '{name}'; {_OF_OLD[name]} does that", ctx)
            import difflib

            sure = difflib.get_close_matches(name, _MODULES, cutoff=_SURELY)
            likely = difflib.get_close_matches(name, _MODULES)
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


def usage_text(error: click.ClickException, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return what is wrong with a command line, in our manner, and what to type to know better."""
    from marianne_cli.faces.extras import MissingExtra

    context = error.ctx if isinstance(error, click.UsageError) else None
    command = None if context is None or context.parent is None else context.info_name
    asked = f"mzt {command} -h" if command else "mzt -h"
    if isinstance(error, click.NoSuchOption) and error.option_name == "-f" and command and _follows(context):
        return f"{command} has no '-f'; follow is '-F', '-f' is force everywhere", []
    if isinstance(error, click.NoSuchOption) and command == "resume" and error.option_name in _VALUES:
        said = f"resume has no '{error.option_name}': the values of a run change with a revision"
        return said, [_modify_instead(arguments)]
    if isinstance(error, click.NoSuchOption) and command and error.option_name in _OPTIONS_OF_OLD:
        said, hint = _OPTIONS_OF_OLD[error.option_name]
        return f"{command} has no '{error.option_name}': {said}", [hint]
    if isinstance(error, MissingExtra):
        return error.message, [error.hint]
    message = error.format_message().rstrip(".")
    if message.endswith(", add -y"):
        return message, [shlex.join(["mzt", *arguments, "-y"])]
    if "unexpected extra argument" in message and _takes_score(context):
        extra = message.rpartition("(")[2].partition(")")[0]
        message += "; a score is given with -c FILE"
        if arguments.count(extra) == 1:
            at = list(arguments).index(extra)
            asked = shlex.join(["mzt", *arguments[:at], "-c", *arguments[at:]])
    return message[:1].lower() + message[1:], [asked]


def _takes_score(context: click.Context | None) -> bool:
    """Tell whether a command has -c for a score, which people type without it."""
    return context is not None and any("--config" in param.opts for param in context.command.params)


def _follows(context: click.Context | None) -> bool:
    return context is not None and any("-F" in param.opts for param in context.command.params)


@click.group(
    cls=Tree,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--socket", metavar="PATH", help="Where the daemon listens.  [default: $MARIANNE_SOCKET]")
@click.option("--json", "-j", "as_json", is_flag=True, help="As behind the command; so are -q and -v.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress and no notes.")
@click.option("--verbose", "-v", is_flag=True, help="Show every row; also socket and timing.")
@click.version_option(__version__, "--version", "-V", message="mzt %(version)s")
@click.pass_context
def mzt(ctx: click.Context, /, **_: Any) -> Any:  # commands read the options from the context
    """Run scores; pause them at a sheet boundary, change them, go on."""
    if ctx.invoked_subcommand is None:
        from marianne_cli.commands.status import alone

        return alone(ctx)
    return None
