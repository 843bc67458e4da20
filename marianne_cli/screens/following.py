"""`mzt logs -F`: what a job prints as it comes, and between it, a line each, what happens to the job."""

import codecs
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marianne_cli import exits, terminal
from marianne_cli.client.blocking import RawClient
from marianne_cli.context import Invocation
from marianne_cli.screens import outputs
from marianned.errors import MarianneError
from marianned.formatting import plural

if TYPE_CHECKING:
    from marianne_cli.screens.transcript import Transcript

Place = tuple[int | None, int | None]
"""A sheet's number and a hook's: one of them."""
_Stream = tuple[Place, int, str]
_NOT_REPORTED = frozenset(
    {
        *("attempt.started", "hook.started", "skip.asked", "job.submitted"),
        *("job.completed", "job.failed", "job.cancelled"),
        "sheet.completed",
    }
)
"""Events that say nothing here: the output does, or the last line, or the attempt's end before them."""
_REPORTED_IF_ASKED = frozenset({"job.running", "job.queued"})
"""Events that say nothing here unless somebody asked for them."""
_STARTS = frozenset({"attempt.started", "hook.started"})
_PATIENCE = 2.0


def _key(source: outputs.TrackedOutput) -> _Stream:
    return (source.sheet, source.hook), source.attempt, source.stream


def _wait_text(waits: Sequence[Mapping[str, Any]]) -> str:
    """Return that a sheet, a hook, or so many of a kind wait, and until when."""
    from marianne_cli.times import soon

    kind = "hook" if waits[0].get("hook") else "sheet"
    why = waits[0]["waiting_for"].replace("_", " ")
    untils = sorted(wait["until_at"] for wait in waits if wait["until_at"])
    if len(waits) == 1:
        return f"{kind} {waits[0][kind]} waits: {why}{f' until {soon(untils[0])}' if untils else ''}"
    until = f", the first until {soon(untils[0])}" if untils else ""
    return f"{plural(len(waits), kind)} wait: {why}{until}"


class EventReporter:
    """Reports a job's events, a line each; an attempt's events only once all its output is shown."""

    def __init__(self, call: Invocation, job_id: str, named: set[Place] | None) -> None:
        self._call = call
        self._job_id = job_id
        self._named = named
        self._untold: deque[Mapping[str, Any]] = deque()
        self._open: set[_Stream] = set()
        self._last: object = None
        self._asks: RawClient | None = None

    def report_state(self, job: Mapping[str, Any]) -> None:
        """Report the state of a job, unless it simply runs, and what its sheets and hooks wait for."""
        from marianne_cli.screens.jobs import state_text

        if job["status"] not in {"running", "completed", "failed", "cancelled"}:
            self.print_line(f"{job['job_id']}: {state_text(job)}")
        same: dict[tuple[str, bool], list[Mapping[str, Any]]] = {}
        for wait in job["waiting"]:
            same.setdefault((wait["waiting_for"], bool(wait.get("hook"))), []).append(wait)
        for waits in same.values():
            self.print_line(_wait_text(waits))

    def stream_began(self, source: outputs.TrackedOutput) -> None:
        """Note that a stream has begun: events of its attempt are held back until its end."""
        self._open.add(_key(source))

    def stream_ended(self, source: outputs.TrackedOutput) -> None:
        """Note that a stream has ended, and report the events that waited for that."""
        self._open.discard(_key(source))
        self._report_due()

    def add_event(self, event: dict[str, Any], streams: Sequence[str]) -> None:
        """Add an event; it is reported when the output before it is shown."""
        if event["type"] in _STARTS:
            place = event["sheet"] if event.get("hook") is None else None, event.get("hook")
            self._open |= {(place, event["attempt"], stream) for stream in streams}
        self._untold.append(terminal.reply(event))
        self._report_due()

    def finish(self) -> None:
        """Report all events that are left."""
        self._open.clear()
        self._report_due()
        if self._asks is not None:
            self._asks.close()

    def print_line(self, said: str) -> None:
        """Print a line that is no output: on stderr, so that stdout is what was printed and nothing else."""
        self._call.note(f"-- {said}")

    def _report_due(self) -> None:
        while self._untold and not self._is_held_back(self._untold[0]):
            self._report(self._untold.popleft())

    def _is_held_back(self, event: Mapping[str, Any]) -> bool:
        place = event["sheet"] if event.get("hook") is None else None, event.get("hook")
        return event["attempt"] is not None and any(
            key[:2] == (place, event["attempt"]) for key in self._open
        )

    def _report(self, event: Mapping[str, Any]) -> None:
        from marianne_cli.screens.render import event_line

        place = event["sheet"], event.get("hook")
        silent = event["type"] in _NOT_REPORTED or (
            event["type"] in _REPORTED_IF_ASKED and event["caller"] is None
        )
        repeats = event["type"] == "sheet.failed" and self._last == place
        others = self._named is not None and place != (None, None) and place not in self._named
        if silent or repeats or others:
            return
        self._last = place
        self.print_line(f"{event_line(event)}{self._details(event)}")

    def _details(self, event: Mapping[str, Any]) -> str:
        """Return what an event does not tell: who holds the job, or when a wait ends."""
        from marianne_cli.screens.jobs import state_text
        from marianne_cli.times import soon

        if event["type"] == "job.paused" and event["caller"] is None:
            job = self._read_job()
            return state_text(job).removeprefix("paused") if job and job["status"] == "paused" else ""
        if event["type"] in {"sheet.waiting", "hook.waiting"}:
            job = self._read_job()
            for wait in job["waiting"] if job else ():
                if (wait["sheet"], wait.get("hook")) == (event["sheet"], event.get("hook")):
                    return f", at {soon(wait['until_at'])}" if wait["until_at"] else ""
        return ""

    def _read_job(self) -> dict[str, Any] | None:
        """Read the job's status over a connection of its own; null: the daemon can't be asked now."""
        try:
            if self._asks is None:
                self._asks = self._call.connect(timeout=_PATIENCE)
            asked = self._asks.request("job.status", {"job_id": self._job_id, "limit": 1}, once=True)
        except (MarianneError, OSError):
            if self._asks is not None:
                self._asks.close()
            self._asks = None
            return None
        return dict(terminal.reply(asked))


class OutputPrinter:
    """Prints output as it comes (JSON lines, raw bytes, or lines that name their sheet), and events."""

    def __init__(
        self,
        call: Invocation,
        named: set[Place] | None,
        reporter: EventReporter | None,
        streams: Sequence[str],
        *,
        raw: bool,
        several: bool,
    ) -> None:
        self.readable = not raw and not call.as_json
        self._call = call
        self._named = named
        self._reporter = reporter
        self._streams = streams
        self._several = several
        self._told: dict[_Stream, Transcript] = {}
        self._decoders: dict[_Stream, codecs.IncrementalDecoder] = {}

    def on_event(self, event: dict[str, Any]) -> None:
        """Take an event of the job."""
        if self._reporter is not None:
            self._reporter.add_event(event, self._streams)

    def print_last_lines(
        self, source: outputs.TrackedOutput, told: "Transcript", lines: Sequence[str]
    ) -> None:
        """Print the last lines of a stream, which is told on from the source's offset."""
        self._told[_key(source)] = told
        self.print_lines(source, lines)

    def on_piece(self, source: outputs.TrackedOutput, gone: int, data: bytes) -> None:
        """Print a piece."""
        if self._reporter is not None:
            self._reporter.stream_began(source)
        if self._named is not None and (source.sheet, source.hook) not in self._named:
            return
        if self._call.as_json:
            self._print_json(source, data)
        elif self.readable:
            self.print_lines(source, self._transcript(source).feed(gone, data))
        else:
            exits.write(data)

    def on_end(self, source: outputs.TrackedOutput) -> None:
        """Print what the end of a stream brings."""
        told = self._told.pop(_key(source), None)
        if told is not None:
            self.print_lines(source, told.finish())
        if self._reporter is not None:
            self._reporter.stream_ended(source)

    def print_lines(self, source: outputs.TrackedOutput, lines: Sequence[str]) -> None:
        """Print lines of a stream."""
        from marianne_cli.screens.render import named_place

        if lines:
            prefix = f"{named_place(source.place(), source.name)}| " if self._several else ""
            prefix += outputs.stderr_mark(self._streams, source.stream)
            exits.print_text("".join(f"{prefix}{line}\n" for line in lines))

    def _print_json(self, source: outputs.TrackedOutput, data: bytes) -> None:
        decoder = self._decoders.setdefault(_key(source), codecs.getincrementaldecoder("utf-8")("replace"))
        at = {"attempt": source.attempt, "stream": source.stream, "offset": source.offset - len(data)}
        exits.print_json_object(self._call, {**source.place(), **at, "text": decoder.decode(data)})

    def _transcript(self, source: outputs.TrackedOutput) -> "Transcript":
        from marianne_cli.screens.transcript import Transcript

        key = _key(source)
        if key not in self._told:
            self._told[key] = Transcript(source.reads)
        return self._told[key]
