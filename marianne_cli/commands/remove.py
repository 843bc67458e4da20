"""`mzt remove`: forget ended runs, their history and output."""

import click

from marianne_cli import options
from marianne_cli.context import Answer, Invocation
from marianned.formatting import duration, listing


@options.command(
    "remove",
    "mzt remove release-notes",
    "mzt remove release-notes@1",
    "mzt remove --older-than 30d -y",
    changes=True,
)
@options.jobs_argument
@click.option(
    "--older-than",
    metavar="DURATION",
    type=options.Duration(),
    help="Only runs that ended longer ago; without JOB: all such runs.",
)
@options.yes_option
def command(call: Invocation, *, jobs: tuple[str, ...], older_than: float | None, yes: bool) -> Answer:
    """Delete ended runs, with their history and output; workspaces stay. This can't be undone."""
    if not jobs and older_than is None:
        raise click.UsageError("name a JOB, or say --older-than")
    if older_than is not None:
        whose = listing([f"'{job}'" for job in jobs]) if jobs else "every run"
        before = f"that ended more than {duration(older_than)} ago"
        options.confirm(f"forget {whose} {before}, with history and output", yes=yes)
    if not jobs:
        return Answer(call.change("job.remove", older_than=older_than), short="")

    def one(job: str) -> Answer:
        return Answer(call.change("job.remove", job_id=job, older_than=older_than), short="")

    return options.each(call, list(jobs), one)
