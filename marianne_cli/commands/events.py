"""`mzt events`: the journal, once or as a stream."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from marianne_cli import exits, options, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render
from marianned.formatting import plural


@options.command("events", "mzt events -n 20", "mzt events release-notes -F -j", "mzt events --since 2h")
@options.argument("job", metavar="[JOB]", required=False, kind=kinds.JobName())
@options.option("--after", metavar="EVENT", kind=kinds.WholeNumber(0), help="Only events after this one.")
@options.option(
    "--since", metavar="TIME", kind=kinds.PastTime(), help="Only what came later: 2h (ago), 07:30, RFC 3339."
)
@options.lines_option(None)
@options.flag("--follow", "-F", help="Keep printing new events.")
def command(
    call: Invocation,
    *,
    job: str | None,
    after: int | None,
    since: str | None,
    lines: int | None,
    follow: bool,
) -> CommandOutcome:
    """Print the journal of one job, or of all; oldest first."""
    if follow:
        return _follow(call, job, after=after, since=since, lines=lines)
    found = list(deque(_read_events(call, job, after or 0, since), maxlen=lines))
    message = plural(len(found), "event")
    return CommandOutcome(
        {"job_id": job, "message": message, "events": found},
        text=render.fit_lines(screens.events_lines(found)),
    )


def _read_events(
    call: Invocation, job: str | None, after: int, since: str | None
) -> Iterator[dict[str, Any]]:
    while page := call.ask("events.read", job_id=job, after=after)["events"]:
        after = page[-1]["event"]
        yield from (event for event in page if since is None or event["recorded_at"] >= since)


def _follow(
    call: Invocation, job: str | None, *, after: int | None, since: str | None, lines: int | None
) -> CommandOutcome:
    if lines is not None or since is not None:
        for event in (found := list(deque(_read_events(call, job, after or 0, since), maxlen=lines))):
            _print(call, event)
        after = found[-1]["event"] if found else after

    def lagged(number: int) -> None:
        call.note(
            f"the reader is slow: the daemon ended the stream after event {number}; it is taken up there"
        )

    for event in call.client.raw_events(after=after, job_id=job, lagged=lagged):
        _print(call, event)
    return CommandOutcome({}, text="")


def _print(call: Invocation, event: dict[str, Any]) -> None:
    if call.as_json:
        exits.print_json_object(call, event)
    else:
        exits.print_text(render.fit_lines(screens.events_lines([terminal.reply(event)])))
