"""`mzt diff`: what differs between two versions of a job's score."""

from collections.abc import Mapping, Sequence
from typing import Any

from marianne_cli import options, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianne_cli.screens.differences import numbers_not_dropped, unified_diff
from marianned.formatting import assignments


@options.command(
    "diff",
    "mzt diff release-notes",
    "mzt diff release-notes 1 3",
    "mzt diff release-notes -c new.yaml",
    paged=True,
)
@options.job_argument
@options.argument("a", metavar="[A]", required=False, kind=kinds.WholeNumber(1))
@options.argument("b", metavar="[B]", required=False, kind=kinds.WholeNumber(1))
@options.option(
    "--config",
    "-c",
    metavar="FILE",
    kind=options.FILE,
    help="Compare with this score instead of B; - is standard input.",
)
def command(
    call: Invocation, *, job: str, a: int | None, b: int | None, config: str | None
) -> CommandOutcome:
    """Show what differs from revision A (the one before) to B (the newest), or to FILE."""
    if config is not None and b is not None:
        raise Misuse("say B or --config FILE, not both")
    score = None if config is None else options.score_file(config)
    reply = call.ask("job.revisions", job_id=job)
    to = None if config is not None else b or newest(reply["revisions"])
    since = a or _version_before(reply["revisions"], to)
    texts = [call.ask("job.revisions", job_id=job, revision=since)["text"]]
    if score is not None:
        texts.append(score["text"])
    else:
        texts.append(call.ask("job.revisions", job_id=job, revision=to)["text"])
    name = reply["job_name"]
    text = unified_diff(
        texts[0],
        texts[1],
        f"{name} revision {since}",
        f"{name} revision {to}" if config is None else terminal.line(config),
    )
    words = [f"revision {since}", f"'{config}'" if config is not None else f"revision {to}"]
    values = _new_values(reply["revisions"], since, to)
    differ = "what differs" if text else "only values differ" if values else "nothing differs"
    message = f"{name}: {differ} between {words[0]} and {words[1]}{f': {values}' if values else ''}"
    if since == to and a is None:
        message = f"{name}: revision {to} is the first, there is none before it to compare it with"
    if values or not text:
        call.note(message)
    kept = {key: value for key, value in reply.items() if key != "revisions"}
    return CommandOutcome(
        {**kept, "message": message, "from_revision": since, "to_revision": to, "text": text}, text=text
    )


def _new_values(revisions: Sequence[Mapping[str, Any]], since: int, to: int | None) -> str:
    """Say which values the run was given from one version to another, as far as they are shown."""
    given = {told["revision"]: told.get("variables", {}) for told in revisions}
    old, new = given.get(since, {}), given.get(to, {})
    return assignments({name: value for name, value in new.items() if old.get(name) != value})


def newest(revisions: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of the newest version that counts: the staged one, else that in force."""
    return int(numbers_not_dropped(revisions)[-1])


def _version_before(revisions: Sequence[Mapping[str, Any]], to: int | None) -> int:
    """Return the number of the version before another (null: before a file); the first has itself."""
    earlier = [number for number in numbers_not_dropped(revisions) if to is None or number < to]
    return int(earlier[-1]) if earlier else int(to or 1)
