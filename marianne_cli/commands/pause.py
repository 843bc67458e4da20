"""`mzt pause`: pause a job at its next sheet boundary."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianned.formatting import plural


@options.command(
    "pause",
    "mzt pause my-job",
    "mzt pause my-job --wait --timeout 30",
    "mzt pause my-job --json",
    "mzt pause my-job --force",
    'mzt pause release-notes --wait --reason "deploy first"',
    "mzt pause release-notes --deadline 10m --for 2h",
    "mzt pause release-notes --before 3.all",
    "mzt pause --all --wait -t 10m",
    changes=True,
)
@options.jobs_argument("queued", "running", "pausing")
@options.wait_option
@options.timeout_option(60.0)
@options.flag("--force", "-f", help="End the job now instead; the same as `mzt cancel`.")
@options.flag("--now", help="Interrupt what is in flight; it runs again after the resume.")
@options.before_option
@options.flag("--clear", help="Clear all breakpoints, or those named by --before.")
@options.option(
    "--deadline",
    metavar="DURATION",
    kind=kinds.Seconds(),
    help="Interrupt what is still in flight after this time.",
)
@options.option(
    "--for", "lasts", metavar="DURATION", kind=kinds.Seconds(), help="Resume by itself after this time."
)
@options.all_option
@options.label_option
@options.yes_option("--force with --all or --label asks first")
def command(
    call: Invocation,
    *,
    jobs: tuple[str, ...],
    wait: bool,
    timeout: float,
    force: bool,
    now: bool,
    before: str | None,
    clear: bool,
    deadline: float | None,
    lasts: float | None,
    every: bool,
    labels: tuple[str, ...],
    yes: bool,
) -> CommandOutcome:
    """Pause a job at its next sheet boundary; `mzt resume` continues it.

    JOB is the name of the job to pause, its score's name. What is in flight finishes as usual; nothing new
    starts until somebody resumes the job. Its state is on disk before the command returns.
    """
    timed = {"--deadline": deadline, "--for": lasts}
    if force:
        options.exclude("--force", {"--now": now, "--before": before, "--clear": clear, **timed})
    if now:
        options.exclude("--now", {"--before": before, "--clear": clear})
    if clear:
        options.exclude("--clear", {"--wait": wait, **timed})
    if before is not None:
        options.exclude("--before", timed)
        if wait and "timeout" not in call.typed:
            raise Misuse("--before with --wait needs -t: how long the job may take to come there")
    asked = {"force": force, "now": now, "before": before, "clear": clear, "deadline": deadline, "for": lasts}
    chosen = options.target_jobs(call, jobs, every, ("queued", "running", "pausing"), labels)
    if force and not jobs and chosen:
        options.confirm(
            f"interrupt and pause {plural(len(chosen), 'job')}{options.label_text(labels)}", yes=yes
        )
    return options.run_each_until(
        call,
        chosen,
        timeout,
        lambda job, rest: call.request_for_job("job.pause", job_id=job, wait=wait, timeout=rest, **asked),
    )
