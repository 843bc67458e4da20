"""`mzt list`: all jobs, a line each."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds

_WORDS = [
    "queued",
    "running",
    "pausing",
    "paused",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
    "active",
    "held",
    "ended",
]


@options.command("list", "mzt list", "mzt list -a -s failed", "mzt list -q -s held", watched=True)
@options.every_run_option
@options.option(
    "--status",
    "-s",
    "statuses",
    metavar="STATUS",
    multiple=True,
    kind=kinds.OneOf(*_WORDS),
    help="Only jobs in this status; active, held, ended: several.",
)
@options.label_option
@options.lines_option(None)
def command(
    call: Invocation, *, every: bool, statuses: tuple[str, ...], labels: tuple[str, ...], lines: int | None
) -> CommandOutcome:
    """List the jobs: active, paused, ended within a day; the newest change last."""
    from marianne_cli.screens import jobs as screens
    from marianne_cli.screens import render
    from marianned.formatting import plural

    asked = {"labels": list(labels)} if labels else {}
    reply = options.job_list(call, lines, runs=every, statuses=list(statuses), **asked)
    jobs = reply["jobs"][-lines:] if lines else reply["jobs"]
    if not jobs:
        narrowed = statuses or labels
        call.note(
            "no such job" if narrowed else "no jobs; mzt run FILE starts one, mzt init writes a first score"
        )
    return CommandOutcome(
        {**reply, "message": plural(len(jobs), "job"), "jobs": jobs},
        text=render.fit_lines(screens.jobs_table(jobs)),
        short="\n".join(job["job_id"] for job in jobs),
    )
