"""`mzt remove`: forget ended runs, their history and output."""

import sys

import click

from marianne_cli import options
from marianne_cli.context import Answer, Invocation
from marianned.formatting import duration, listing


@options.command(
    "remove",
    "mzt remove release-notes",
    "mzt remove release-notes@1 -y",
    "mzt remove --older-than 30d",
    changes=True,
)
@options.jobs_argument
@click.option(
    "--older-than",
    metavar="DURATION",
    type=options.Duration(),
    help="Only runs that ended longer ago; without JOB: all such runs.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def command(call: Invocation, *, jobs: tuple[str, ...], older_than: float | None, yes: bool) -> Answer:
    """Delete ended runs, with their history and output; workspaces stay. This can't be undone."""
    if not jobs and older_than is None:
        raise click.UsageError("name a JOB, or say --older-than")
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        _ask(jobs, older_than)
    if not jobs:
        return Answer(call.change("job.remove", older_than=older_than), short="")

    def one(job: str) -> Answer:
        return Answer(call.change("job.remove", job_id=job, older_than=older_than), short="")

    return options.each(call, list(jobs), one)


def _ask(jobs: tuple[str, ...], older_than: float | None) -> None:
    """Ask the one question of `mzt`.

    Raises:
        click.Abort: the answer is not yes.
    """
    what = listing([f"'{job}'" for job in jobs]) if jobs else "every run"
    before = "" if older_than is None else f" that ended more than {duration(older_than)} ago"
    sys.stderr.write(f"mzt: forget {what}{before}, with history and output? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise click.Abort
