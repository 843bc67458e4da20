"""`mzt cancel`: end a job now."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianned.formatting import plural


@options.command(
    "cancel", "mzt cancel release-notes --wait", 'mzt cancel --all -y --reason "wrong model"', changes=True
)
@options.jobs_argument("active", "held")
@options.wait_option
@options.timeout_option(60.0)
@options.all_option
@options.label_option
@options.yes_option("--all and --label ask first")
def command(
    call: Invocation,
    *,
    jobs: tuple[str, ...],
    wait: bool,
    timeout: float,
    every: bool,
    labels: tuple[str, ...],
    yes: bool,
) -> CommandOutcome:
    """End a job now, and what is in flight for it; `mzt resume` can still pick it up again."""
    chosen = options.target_jobs(call, jobs, every, ("active", "held"), labels)
    if not jobs and chosen:
        options.confirm(f"cancel {plural(len(chosen), 'job')}{options.label_text(labels)}", yes=yes)
    return options.run_each_until(
        call,
        chosen,
        timeout,
        lambda job, rest: call.request_for_job("job.cancel", job_id=job, wait=wait, timeout=rest),
    )
