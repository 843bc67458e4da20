"""`mzt wait`: wait until a job has ended, or reaches a status."""

import time

from marianne_cli import options, waiting
from marianne_cli.context import GOES_ON, CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse

_WORDS = kinds.WordList(
    *("queued", "running", "pausing", "paused", "cancelling", "completed", "failed", "cancelled", "ended")
)


@options.command(
    "wait", "mzt wait release-notes", "mzt wait release-notes --for paused,ended -t 1h", "mzt wait a b c"
)
@options.jobs_argument("active", "held")
@options.option(
    "--for",
    "words",
    metavar="WORD,...",
    kind=_WORDS,
    default="ended",
    show_default=True,
    help="A status, or ended.",
)
@options.timeout_option(None, "Longest time to wait; by default no limit.")
@options.label_option
@options.option(
    "--after", metavar="EVENT", kind=kinds.WholeNumber(0), help="Count only what came after this event."
)
def command(
    call: Invocation,
    *,
    jobs: tuple[str, ...],
    words: str,
    timeout: float | None,
    labels: tuple[str, ...],
    after: int | None,
) -> CommandOutcome:
    """Wait until a job reaches a status, or has ended; returns at once if it has already."""
    if not jobs and not labels:
        raise Misuse("name a JOB, or say --label")
    wanted = [word.strip() for word in words.split(",")]
    if wrong := [word for word in wanted if word not in _WORDS.words]:
        raise Misuse(f"'{wrong[0]}' is neither a status nor 'ended'")
    ends = None if timeout is None else time.monotonic() + timeout
    call.stays = GOES_ON

    def one(job: str) -> CommandOutcome:
        rest = timeout if len(jobs) == 1 or ends is None else max(0.0, ends - time.monotonic())
        return _wait_for_job(call, job, wanted, rest, after)

    return options.run_each(call, options.target_jobs(call, jobs, False, ("active", "held"), labels), one)


def _wait_for_job(
    call: Invocation, job: str, wanted: list[str], timeout: float | None, after: int | None
) -> CommandOutcome:
    tell = None
    since = None
    if wanted == ["ended"]:
        now = call.ask("job.status", job_id=job, limit=1)
        since = now["event"]
        tell = waiting.hold_notifier(call, now["job_id"])
        if now["status"] == "paused" and now["holds"]:
            first = now["holds"][0]
            causes = [hold["cause"] for hold in now["holds"]]
            waiting.note_hold(call, now["job_id"], first["owner"], first["reason"], causes)
    result = waiting.wait_until(call, job, wanted, timeout=timeout, after=after, tell=tell, since=since)
    return waiting.end_outcome(result) if result["reached"] == "ended" else CommandOutcome(result)
