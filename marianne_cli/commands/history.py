"""`mzt history`: who asked what, when and why, and what followed."""

import click

from marianne_cli import options
from marianne_cli.context import Answer, Invocation

_MOST = 1_000


@options.command("history", "mzt history release-notes", "mzt history release-notes 2 --since 2h", paged=True)
@options.job_argument
@options.sheets_argument
@options.lines_option(50, _MOST)
@click.option(
    "--since", metavar="TIME", type=options.Since(), help="Only what came later: 2h (ago), 07:30, RFC 3339."
)
def command(call: Invocation, *, job: str, sheets: str | None, lines: int, since: str | None) -> Answer:
    """Show who asked what, when and why, and what followed; oldest first."""
    from marianne_cli.screens import jobs as screens
    from marianne_cli.screens import render

    result = call.ask("job.history", job_id=job, sheets=sheets, since=since, limit=lines)
    result.pop("total", None)
    return Answer(result, text=render.fitted(screens.history_screen(result["entries"])))
