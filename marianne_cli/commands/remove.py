"""`mzt remove`: forget ended runs, their history and output."""

from datetime import UTC, datetime

import click

from marianne_cli import options
from marianne_cli.context import Answer, Invocation
from marianned.formatting import duration, listing, plural


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
@click.option("--dry-run", is_flag=True, help="Show which runs would be removed; remove nothing.")
@options.yes_option
def command(
    call: Invocation, *, jobs: tuple[str, ...], older_than: float | None, dry_run: bool, yes: bool
) -> Answer:
    """Delete ended runs, with their history and output; workspaces stay. This can't be undone."""
    if not jobs and older_than is None:
        raise click.UsageError("name a JOB, or say --older-than")
    if dry_run:
        runs = _chosen(call, jobs, older_than)
        said = f"{plural(len(runs), 'run')} would be removed"
        return Answer({"message": said, "hints": [], "would_remove": runs}, text="\n".join([said, *runs]))
    if older_than is not None and not yes:
        count = plural(len(_chosen(call, jobs, older_than)), "run")
        whose = f" of {listing([repr(job) for job in jobs])}" if jobs else ""
        before = f"that ended more than {duration(older_than)} ago"
        options.confirm(f"forget {count}{whose} {before}, with history and output", yes=yes)
    if not jobs:
        return Answer(call.change("job.remove", older_than=older_than), short="")

    def one(job: str) -> Answer:
        return Answer(call.change("job.remove", job_id=job, older_than=older_than), short="")

    return options.each(call, list(jobs), one)


def _chosen(call: Invocation, jobs: tuple[str, ...], older_than: float | None) -> list[str]:
    """Return the ended runs, as `name@run`, that would be removed by now."""
    runs = options.job_list(call, runs=True, statuses=["ended"])["jobs"]
    newest: dict[str, int] = {}
    for run in options.job_list(call, runs=True)["jobs"] if jobs else ():
        newest[run["job_name"]] = max(run["run"], newest.get(run["job_name"], 0))
    named = {job if "@" in job else f"{job}@{newest.get(job, 0)}" for job in jobs}
    return [
        name
        for run in runs
        if (name := f"{run['job_name']}@{run['run']}") in named or not jobs
        if older_than is None or _age(run["timing"]["completed_at"]) > older_than
    ]


def _age(moment: str) -> float:
    """Return the seconds since a moment of the protocol."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
