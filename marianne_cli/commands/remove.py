"""`mzt remove`: forget ended runs, their history and output."""

from contextlib import suppress

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianned.errors import MarianneError
from marianned.formatting import duration, listing, plural


@options.command(
    "remove",
    "mzt remove release-notes",
    "mzt remove release-notes@1",
    "mzt remove --older-than 30d -y",
    changes=True,
)
@options.jobs_argument("ended")
@options.option(
    "--older-than",
    metavar="DURATION",
    kind=kinds.Seconds(),
    help="Only runs that ended longer ago; without JOB: all such runs.",
)
@options.flag("--dry-run", help="Show which runs would be removed; remove nothing.")
@options.label_option
@options.yes_option("--older-than and --label ask first, runs that are named do not")
def command(
    call: Invocation,
    *,
    jobs: tuple[str, ...],
    older_than: float | None,
    dry_run: bool,
    labels: tuple[str, ...],
    yes: bool,
) -> CommandOutcome:
    """Delete ended runs, with their history and output; workspaces stay. This can't be undone.

    Runs that are named are deleted at once. With --older-than or --label it asks first.
    """
    if not jobs and older_than is None and not labels:
        raise Misuse("name a JOB, or say --older-than")
    if labels:
        return _remove_labelled(call, jobs, labels, older_than, dry_run=dry_run, yes=yes)
    if dry_run:
        return _dry_run(call, jobs, older_than)
    if older_than is not None and not yes:
        count = plural(_count(call, jobs, older_than), "run")
        whose = f" of {listing([repr(job) for job in jobs])}" if jobs else ""
        before = f"that ended more than {duration(older_than)} ago"
        options.confirm(f"forget {count}{whose} {before}, with history and output", yes=yes)
    if not jobs:
        return CommandOutcome(call.change("job.remove", older_than=older_than), short="")

    def one(job: str) -> CommandOutcome:
        return CommandOutcome(call.change("job.remove", job_id=job, older_than=older_than), short="")

    return options.run_each(call, list(jobs), one)


def _remove_labelled(
    call: Invocation,
    jobs: tuple[str, ...],
    labels: tuple[str, ...],
    older_than: float | None,
    *,
    dry_run: bool,
    yes: bool,
) -> CommandOutcome:
    """Remove all ended runs that have these labels; asked with their number."""
    options.exclude("--label", {"JOB": jobs or None, "--older-than": older_than})
    found = options.job_list(call, runs=True, statuses=["ended"], labels=list(labels))["jobs"]
    runs = tuple(f"{job['job_name']}@{job['run']}" for job in found)
    if dry_run:
        return (
            _dry_run(call, runs, None) if runs else CommandOutcome({"message": "0 runs", "would_remove": []})
        )
    if runs:
        said = f"{plural(len(runs), 'run')}{options.label_text(labels)}"
        options.confirm(f"forget {said}, with history and output", yes=yes)
    return options.run_each(
        call,
        list(runs),
        lambda run: CommandOutcome(call.change("job.remove", job_id=run, older_than=None), short=""),
    )


def _dry_run(call: Invocation, jobs: tuple[str, ...], older_than: float | None) -> CommandOutcome:
    """Return what the same request would do without --dry-run, with its refusals."""

    def one(job: str | None) -> CommandOutcome:
        told = call.ask("job.remove", job_id=job, older_than=older_than, plan=True)
        result = {key: told[key] for key in ("message", "hints", "would_remove")}
        return CommandOutcome(result, text="\n".join([told["message"], *told["would_remove"]]))

    return options.run_each(call, list(jobs), one) if jobs else one(None)


def _count(call: Invocation, jobs: tuple[str, ...], older_than: float) -> int:
    """Return how many runs would be removed; what will be refused is none."""
    count = 0
    for job in jobs or (None,):
        with suppress(MarianneError):
            told = call.ask("job.remove", job_id=job, older_than=older_than, plan=True)
            count += len(told["would_remove"])
    return count
