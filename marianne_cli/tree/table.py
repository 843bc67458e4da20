"""The command table: names, one line of help each, and the module that is imported when one is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

from marianne_cli.lines.forms import CommandForm

COMPLETION_VARIABLE = "_MZT_COMPLETE"
"""By which a shell asks for completion."""


class CommandEntry(NamedTuple):
    """A command: its line in the help, and its module."""

    help: str
    module: str


TABLE: Mapping[str, Mapping[str, CommandEntry]] = {
    "Jobs": {
        "run": CommandEntry("run a score (starts the daemon if none runs)", "run"),
        "list": CommandEntry("list the jobs: active, paused, ended within a day", "list_jobs"),
        "status": CommandEntry("show what a job does, what is safe, what comes next", "status"),
        "logs": CommandEntry("show what sheets printed", "logs"),
        "wait": CommandEntry("wait until a job has ended, or reaches a status", "wait"),
        "remove": CommandEntry("delete ended runs, with their history and output", "remove"),
    },
    "Control": {
        "pause": CommandEntry("pause a job at its next sheet boundary", "pause"),
        "resume": CommandEntry("continue a paused, failed or cancelled job", "resume"),
        "modify": CommandEntry("give a job a new score; finished sheets stay finished", "modify"),
        "edit": CommandEntry("modify a job in your editor", "edit"),
        "retry": CommandEntry("try now what waits for its next attempt", "retry"),
        "cancel": CommandEntry("end a job now", "cancel"),
    },
    "Look": {
        "top": CommandEntry("watch all jobs live, and act, in the terminal", "top"),
        "why": CommandEntry("say why a job does not move, or why it failed", "why"),
        "history": CommandEntry("show who asked what, when and why, and what followed", "history"),
        "dashboard": CommandEntry("show the jobs in the browser", "dashboard"),
        "mcp": CommandEntry("let an agent look after jobs, by the Model Context Protocol", "mcp"),
        "report": CommandEntry("tell what ran, stopped and cost since a time", "report"),
        "revisions": CommandEntry("list the versions of a job's score, and their plans", "revisions"),
        "diff": CommandEntry("show what differs between two revisions", "diff"),
    },
    "Scores": {
        "demo": CommandEntry("watch pause, modify and resume work, in 15 seconds", "demo"),
        "init": CommandEntry("write a first score", "init"),
        "validate": CommandEntry("check a score without running it", "validate"),
        "instruments": CommandEntry("list, show, check or add the tools that play sheets", "instruments"),
        "clear-rate-limits": CommandEntry("stop waiting for a rate limit", "clear_rate_limits"),
    },
    "Daemon": {
        "start": CommandEntry("start the daemon; returns when it answers", "start"),
        "stop": CommandEntry("stop the daemon; attempts in flight go on without it", "stop"),
        "restart": CommandEntry("stop and start the daemon; attempts in flight go on", "restart"),
        "service": CommandEntry("run the daemon under systemd: status, install, uninstall", "service"),
        "config": CommandEntry("show or check the settings, and where each comes from", "config"),
        "doctor": CommandEntry("check this installation", "doctor"),
        "backup": CommandEntry("copy the database while the daemon runs", "backup"),
        "bug-report": CommandEntry("write what a report of a fault needs, secrets masked", "bug_report"),
    },
    "Scripts": {
        "events": CommandEntry("print the journal, once or as a stream", "events"),
        "rpc": CommandEntry("call a method of the socket; alone: list them", "rpc"),
        "completion": CommandEntry("print shell completion for bash, zsh or fish", "completion"),
    },
    "Help": {
        "help": CommandEntry("show the help of a command, or of a topic", "help_page"),
        "version": CommandEntry("print the versions of mzt and of the daemon that runs", "version"),
    },
}
MODULES = {name: entry.module for entries in TABLE.values() for name, entry in entries.items()}
ALIASES = {"ls": "list"}
"""What is typed by habit; no help lists it."""


def form_of(name: str) -> CommandForm | None:
    """Import a command; null: there is none of that name."""
    module = MODULES.get(ALIASES.get(name, name))
    if module is None:
        return None
    made: CommandForm = import_module(f"marianne_cli.commands.{module}").command
    return made
