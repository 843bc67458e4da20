"""`mzt history`: who asked what, when and why, and what followed."""

from collections import deque
from typing import Any

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianned.clock import milliseconds

_MOST = 1_000


@options.command(
    "history",
    "mzt history release-notes",
    "mzt history release-notes 2 --since 2h",
    "mzt history release-notes --all",
    paged=True,
)
@options.job_argument
@options.sheets_argument
@options.lines_option(50, _MOST)
@options.option(
    "--since", metavar="TIME", kind=kinds.PastTime(), help="Only what came later: 2h (ago), 07:30, RFC 3339."
)
@options.flag("--all", "-a", "every", help="Of all runs of the job, also of removed ones.")
def command(
    call: Invocation, *, job: str, sheets: str | None, lines: int, since: str | None, every: bool
) -> CommandOutcome:
    """Show who asked what, when and why, and what followed; oldest first."""
    from marianne_cli.screens import jobs as screens
    from marianne_cli.screens import render

    if every:
        options.exclude("--all", {"SHEETS": sheets})
        name = job.partition("@")[0]
        result = _entries_of_all_runs(call, name, lines, since)
        if not result["entries"]:
            call.note(f"the journal has nothing of '{name}'")
        return CommandOutcome(
            result,
            text=render.fit_lines(screens.history_screen(result["entries"], runs=True), rows=None, hang=10),
        )
    result = call.ask("job.history", job_id=job, sheets=sheets, since=since, limit=lines)
    result.pop("total", None)
    return CommandOutcome(
        result, text=render.fit_lines(screens.history_screen(result["entries"]), rows=None, hang=10)
    )


def _entries_of_all_runs(call: Invocation, name: str, lines: int, since: str | None) -> dict[str, Any]:
    """Return the newest entries of all runs of a job; what was removed has left its last line."""
    kept: deque[dict[str, Any]] = deque(maxlen=lines)
    after, total = 0, 0
    while page := call.ask("events.read", job_name=name, after=after)["events"]:
        after = page[-1]["event"]
        told = [
            event
            for event in page
            if since is None or milliseconds(event["recorded_at"]) >= milliseconds(since)
        ]
        total += len(told)
        kept.extend(told)
    return {"message": f"{name}: {len(kept)} of {total} entries of all runs", "entries": [*kept]}
