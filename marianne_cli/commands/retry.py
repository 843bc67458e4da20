"""`mzt retry`: try now what waits for its next attempt."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation


@options.command("retry", "mzt retry release-notes", "mzt retry release-notes 3", changes=True)
@options.job_argument
@options.sheets_argument
def command(call: Invocation, *, job: str, sheets: str | None) -> CommandOutcome:
    """End waits between two attempts now; no try is used, and nothing starts in a paused job.

    What waits for a rate limit goes on waiting: see `mzt clear-rate-limits`.
    """
    return call.request_for_job("job.retry", job_id=job, sheets=sheets)
