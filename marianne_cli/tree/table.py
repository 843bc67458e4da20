"""The command table: names, one line of help each, and the module that is imported when one is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

from marianne_cli.lines.forms import Form

COMPLETION_VARIABLE = "_MZT_COMPLETE"
"""By which a shell asks for completion."""


class Entry(NamedTuple):
    """A command: what --help says of it, and where it is."""

    help: str
    module: str


TABLE: Mapping[str, Mapping[str, Entry]] = {
    "Jobs": {
        "run": Entry("run a score (starts the daemon if none runs)", "run"),
        "list": Entry("list the jobs: active, paused, ended within a day", "list_jobs"),
        "status": Entry("show what a job does, what is safe, what comes next", "status"),
        "logs": Entry("show what sheets printed", "logs"),
        "wait": Entry("wait until a job has ended, or reaches a status", "wait"),
        "remove": Entry("delete ended runs, with their history and output", "remove"),
    },
    "Control": {
        "pause": Entry("pause a job at its next sheet boundary", "pause"),
        "resume": Entry("continue a paused, failed or cancelled job", "resume"),
        "modify": Entry("give a job a new score; finished sheets stay finished", "modify"),
        "edit": Entry("modify a job in your editor", "edit"),
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
        "diff": Entry("show what differs between two revisions", "diff"),
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
        "config": Entry("show or check the settings, and where each comes from", "config"),
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
MODULES = {name: entry.module for entries in TABLE.values() for name, entry in entries.items()}
ALIASES = {"ls": "list"}
"""What is typed by habit; no help lists it."""


def form_of(name: str) -> Form | None:
    """Import a command; null: there is none of that name."""
    module = MODULES.get(ALIASES.get(name, name))
    if module is None:
        return None
    made: Form = import_module(f"marianne_cli.commands.{module}").command
    return made
