"""`mzt why`: why a job does not move, or why it failed."""

from collections.abc import Mapping
from typing import Any

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation


@options.command(
    "why",
    "mzt why release-notes",
    "mzt why release-notes 3 -v",
    "mzt why release-notes -j",
    paged=True,
    watched=True,
)
@options.job_argument
@options.sheets_argument
def command(call: Invocation, *, job: str, sheets: str | None) -> CommandOutcome:
    """Show what a job waits for, since when, and what unblocks it; and show why failed sheets failed."""
    result = call.ask("job.why", job_id=job, sheets=sheets)
    if call.as_json:
        return CommandOutcome(result)
    call.note_warnings(result)
    from marianne_cli.commands.status import job_details
    from marianne_cli.screens import outputs, render, why

    every = job_details(call, job)["sheets"] if result["errors"] else []
    _note_missing_in_daemon(call, result)
    shown = why.failures(result, every, named=sheets is not None)
    evident = len(shown) if call.verbose else why.SHEETS_MOST
    told = [{**error, "stdout_tail": outputs.readable_tail(call, job, error)} for error in shown[:evident]]
    shown = [*told, *shown[evident:]]
    if shown:
        numbers = ",".join(str(error["sheet"]) for error in shown)
        detailed = {sheet["sheet"]: sheet for sheet in job_details(call, job, numbers)["sheets"]}
        every = [detailed.get(sheet["sheet"], sheet) for sheet in every]
    lines = why.why_screen(result, every, shown, unfolded=call.verbose)
    return CommandOutcome(result, text=render.fit_lines(lines, rows=None, hang=why.hanging_indent(lines)))


def _note_missing_in_daemon(call: Invocation, why: Mapping[str, Any]) -> None:
    """Say what the daemon lacks of what this shell has, where that is why an instrument does not play."""
    used = {
        error["instrument"]
        for error in why["errors"]
        if error["error_category"] in {"auth", "unavailable", "config"}
    }
    if used and any(reason["unblocked_by"] == "caller" for reason in why["reasons"]):
        from marianne_cli.service import missing_in_daemon

        missing_in_daemon.note_missing(call, used, why["job_name"])
