"""`mzt pause`: pause a job at its next sheet boundary."""

import click

from marianne_cli import options
from marianne_cli.invocation import Answer, Invocation


@options.command(
    "pause",
    "mzt pause release-notes",
    'mzt pause release-notes --wait --reason "deploy first"',
    "mzt pause --all --wait -t 10m",
    changes=True,
)
@options.jobs_argument
@options.wait_option
@options.timeout_option(60.0)
@click.option("--force", "-f", is_flag=True, help="End it now instead: cancel, to the letter.")
@options.all_option
def command(
    call: Invocation, *, jobs: tuple[str, ...], wait: bool, timeout: float, force: bool, every: bool
) -> Answer:
    """Pause a job at its next sheet boundary.

    What is in flight ends as it would; nothing new starts until somebody resumes the job.
    """
    statuses = ("queued", "running", "pausing")
    return options.each_until(
        call,
        options.targets(call, jobs, every, statuses),
        timeout,
        lambda job, rest: call.requested("job.pause", job_id=job, wait=wait, timeout=rest, force=force),
    )
