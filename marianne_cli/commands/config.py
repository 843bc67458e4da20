"""`mzt config`: the daemon's settings, and where each comes from."""

import re
from typing import Any

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianned.errors import CheckFailed

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<said>.*)", re.DOTALL)


@options.command("config", "mzt config", "mzt config check")
@options.argument("action", kind=kinds.OneOf("show", "check"), default="show")
def command(call: Invocation, *, action: str) -> CommandOutcome:  # noqa: ARG001  the daemon's program reads them
    """Show the settings and where each comes from, or check them; `mzt rpc daemon.reload` reloads them."""
    from marianne_cli.screens import render
    from marianne_cli.service.installation import daemon_check_report
    from marianned.formatting import plural

    found = daemon_check_report()
    settings, wrong = found["settings"], found["settings_problems"]
    given = sum(one["source"] != "default" for one in settings)
    message = (
        f"{plural(len(wrong), 'error')}" if wrong else f"{given} set, {len(settings) - given} by default"
    )
    lines = list(wrong)
    if action == "show" and not wrong:
        rows = [(one["name"], _value_text(one["value"]), one["source"]) for one in settings]
        lines += render.table([("SETTING", "VALUE", "FROM"), *rows])
    return CommandOutcome(
        {
            "message": message,
            "settings": settings,
            "hints": [],
            "problems": [_problem(said) for said in wrong],
        },
        text=render.fit_lines([*lines, message]),
        finding="E516" if wrong else None,
    )


def _problem(said: str) -> dict[str, Any]:
    """Return what is wrong with a setting as a PROBLEM; its place is what its text begins with."""
    placed = _PLACE.match(said)
    message, _, hint = (placed["said"] if placed else said).partition("\n")
    return {
        "code": CheckFailed.code,
        "severity": "error",
        "message": message,
        "file": placed["file"] if placed else "",
        "line": int(placed["line"]) if placed else None,
        "column": int(placed["column"]) if placed else None,
        "path": None,
        "sheets": [],
        "names": [],
        "hint": hint.strip() or None,
    }


def _value_text(value: object) -> str:
    return "-" if value is None else str(value)
