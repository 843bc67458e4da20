"""`mzt revisions`: the versions of a job's score, and their plans."""

from marianne_cli import exits, options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render


@options.command(
    "revisions",
    "mzt revisions release-notes",
    "mzt revisions release-notes 1 > old.yaml",
    "mzt revisions a -v",
)
@options.job_argument
@options.argument("revision", metavar="[INT]", required=False, kind=kinds.WholeNumber(1))
def command(call: Invocation, *, job: str, revision: int | None) -> CommandOutcome:
    """List the versions of a job's score, oldest first; with INT print the text of that revision."""
    result = call.ask("job.revisions", job_id=job, revision=revision)
    longest = max(told.get("plan_total", 0) for told in result["revisions"])
    while (offset := max(len(told["plan"]) for told in result["revisions"])) < longest:
        page = call.ask("job.revisions", job_id=job, revision=revision, offset=offset)["revisions"]
        for told, more in zip(result["revisions"], page, strict=False):
            told["plan"] += more["plan"]
    if revision is None or call.as_json:
        lines = screens.revisions_screen(result["revisions"], unfolded=call.verbose)
        return CommandOutcome(result, text=render.fit_lines(lines))
    exits.write(result["text"].encode())
    return CommandOutcome(result, printed=True)
