"""Waiting for a job: one job.wait, the job's events meanwhile, and the outcome of the job's end."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from marianne_cli import terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianned.errors import WaitOverridden

OnJobEvent = Callable[[Mapping[str, Any]], None]


def wait_until(
    call: Invocation,
    job_id: str,
    words: list[str],
    *,
    timeout: float | None,
    after: int | None = None,
    tell: OnJobEvent | None = None,
    since: int | None = None,
) -> dict[str, Any]:
    """Wait until the job reaches a word; `tell` each event that comes meanwhile, from `since` on."""
    call.waiting_on = job_id
    params = {"job_id": job_id, "words": words, "timeout": timeout, "after": after}
    watch = None if tell is None else lambda event: tell(terminal.reply(event))
    result = call.client.request("job.wait", params, watch=watch, after=since)
    call.waiting_on = None
    return call.for_people("job.wait", result)


def end_outcome(result: Mapping[str, Any]) -> CommandOutcome:
    """Return the outcome for a job that has ended: exit code 0 for completed, 1 for failed (E515).

    Raises:
        WaitOverridden: it was cancelled.
    """
    if result["status"] == "cancelled":
        raise WaitOverridden(
            result["message"], job_id=result["job_id"], status="cancelled", hints=result["hints"]
        )
    return CommandOutcome(result, finding="E515" if result["status"] == "failed" else None)


def hold_notifier(call: Invocation, job_id: str) -> OnJobEvent:
    """Return a callback for events that notes, whenever the job is paused, who can let it go on."""
    told: set[int] = set()
    causes: set[str] = set()

    def tell(event: Mapping[str, Any]) -> None:
        if event["type"] == "hold.added":
            causes.add(event["cause"])
        elif event["status"] in {"queued", "running"}:
            causes.clear()
        if event["status"] == "paused" and event["type"].startswith("job.") and event["event"] not in told:
            told.add(event["event"])
            note_hold(call, job_id, event["caller"], event["reason"], causes)

    return tell


def note_hold(
    call: Invocation, job_id: str, owner: Mapping[str, Any] | None, reason: str | None, causes: Iterable[str]
) -> None:
    """Note on stderr that a job is held, by whom, and what lets it go on: `causes` are those of its holds."""
    from marianne_cli.people import holder_text
    from marianned.protocol import lifted_by

    by = holder_text({"owner": owner, "reason": reason})
    call.note(f"mzt: '{job_id}' is paused{by}; to let it go on: {lifted_by(causes, job_id)}")


class LiveLine:
    """A line on a terminal's stderr that is drawn over with each event of the job."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._started = time.monotonic()

    def draw(self, event: Mapping[str, Any]) -> None:
        """Draw the event over the one before."""
        from marianned.formatting import duration

        age = duration(time.monotonic() - self._started)
        said = event["text"] or event["type"]
        line = f"{self._job_id}: {event['status']}; {said} ({age})"
        sys.stderr.write(f"\r\x1b[K{line[: _columns() or None]}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _columns() -> int:
    import os

    return os.get_terminal_size(sys.stderr.fileno()).columns
