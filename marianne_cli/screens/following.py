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
_UNTOLD = frozenset(
    {
        *("attempt.started", "hook.started", "skip.asked", "job.submitted"),
        *("job.completed", "job.failed", "job.cancelled"),
        "sheet.completed",
    }
)
"""Events that say nothing here: the output does, or the last line, or the attempt's end before them."""
_BY_THEMSELVES = frozenset({"job.running", "job.queued"})
"""Events that say nothing here unless somebody asked for them."""
_STARTS = frozenset({"attempt.started", "hook.started"})
_PATIENCE = 2.0


def _key(source: outputs.Source) -> _Stream:
    return (source.sheet, source.hook), source.attempt, source.stream


def _waiting(waits: Sequence[Mapping[str, Any]]) -> str:
    """Say that a sheet, a hook or several of a kind wait, and until when; of several how many they are."""
    from marianne_cli.times import soon

    kind = "hook" if waits[0].get("hook") else "sheet"
    why = waits[0]["waiting_for"].replace("_", " ")
    untils = sorted(wait["until_at"] for wait in waits if wait["until_at"])
    if len(waits) == 1:
        return f"{kind} {waits[0][kind]} waits: {why}{f' until {soon(untils[0])}' if untils else ''}"
    until = f", the first until {soon(untils[0])}" if untils else ""
    return f"{plural(len(waits), kind)} wait: {why}{until}"


class Facts:
    """Tells what happens to a job, a line each; of an attempt not before all that it printed is shown."""

    def __init__(self, call: Invocation, job_id: str, named: set[Place] | None) -> None:
        self._call = call
        self._job_id = job_id
        self._named = named
        self._untold: deque[Mapping[str, Any]] = deque()
        self._open: set[_Stream] = set()
        self._last: object = None
        self._asks: RawClient | None = None

    def begin(self, job: Mapping[str, Any]) -> None:
        """Say where a job stands that does not simply run."""
        from marianne_cli.screens.jobs import standing

        if job["status"] not in {"running", "completed", "failed", "cancelled"}:
            self.say(f"{job['job_id']}: {standing(job)}")
        same: dict[tuple[str, bool], list[Mapping[str, Any]]] = {}
        for wait in job["waiting"]:
            same.setdefault((wait["waiting_for"], bool(wait.get("hook"))), []).append(wait)
        for waits in same.values():
            self.say(_waiting(waits))

    def opened(self, source: outputs.Source) -> None:
        """Know that a stream has begun."""
        self._open.add(_key(source))

    def ended(self, source: outputs.Source) -> None:
        """Know that a stream has come to its end: what waited for that is told."""
        self._open.discard(_key(source))
        self._tell()

    def heard(self, event: dict[str, Any], streams: Sequence[str]) -> None:
        """Take an event; it is told when what came before it is shown."""
        if event["type"] in _STARTS:
            place = event["sheet"] if event.get("hook") is None else None, event.get("hook")
            self._open |= {(place, event["attempt"], stream) for stream in streams}
        self._untold.append(terminal.reply(event))
        self._tell()

    def finish(self) -> None:
        """Tell what is left."""
        self._open.clear()
        self._tell()
        if self._asks is not None:
            self._asks.close()

    def say(self, said: str) -> None:
        """Print a line that is no output: on stderr, so that stdout is what was printed and nothing else."""
        self._call.note(f"-- {said}")

    def _tell(self) -> None:
        while self._untold and not self._waits(self._untold[0]):
            self._line(self._untold.popleft())

    def _waits(self, event: Mapping[str, Any]) -> bool:
        place = event["sheet"] if event.get("hook") is None else None, event.get("hook")
        return event["attempt"] is not None and any(
            key[:2] == (place, event["attempt"]) for key in self._open
        )

    def _line(self, event: Mapping[str, Any]) -> None:
        from marianne_cli.screens.render import event_line

        place = event["sheet"], event.get("hook")
        silent = event["type"] in _UNTOLD or (event["type"] in _BY_THEMSELVES and event["caller"] is None)
        repeats = event["type"] == "sheet.failed" and self._last == place
        others = self._named is not None and place != (None, None) and place not in self._named
        if silent or repeats or others:
            return
        self._last = place
        self.say(f"{event_line(event)}{self._more(event)}")

    def _more(self, event: Mapping[str, Any]) -> str:
        """Say what an event leaves open: of a hold whose it is, of a wait when it ends."""
        from marianne_cli.screens.jobs import standing
        from marianne_cli.times import soon

        if event["type"] == "job.paused" and event["caller"] is None:
            job = self._job()
            return standing(job).removeprefix("paused") if job and job["status"] == "paused" else ""
        if event["type"] in {"sheet.waiting", "hook.waiting"}:
            job = self._job()
            for wait in job["waiting"] if job else ():
                if (wait["sheet"], wait.get("hook")) == (event["sheet"], event.get("hook")):
                    return f", at {soon(wait['until_at'])}" if wait["until_at"] else ""
        return ""

    def _job(self) -> dict[str, Any] | None:
        """Ask where the job stands, on a line of its own; null: it can't be asked now."""
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


class Teller:
    """Prints pieces as they come: JSON lines, raw bytes, or whole lines that name their sheet, and facts."""

    def __init__(
        self,
        call: Invocation,
        named: set[Place] | None,
        facts: Facts | None,
        streams: Sequence[str],
        *,
        raw: bool,
        several: bool,
    ) -> None:
        self.readable = not raw and not call.as_json
        self._call = call
        self._named = named
        self._facts = facts
        self._streams = streams
        self._several = several
        self._told: dict[_Stream, Transcript] = {}
        self._decoders: dict[_Stream, codecs.IncrementalDecoder] = {}

    def heard(self, event: dict[str, Any]) -> None:
        """Take an event of the job."""
        if self._facts is not None:
            self._facts.heard(event, self._streams)

    def begun(self, source: outputs.Source, told: "Transcript", lines: Sequence[str]) -> None:
        """Print the last lines of a stream, which is told on from the source's offset."""
        self._told[_key(source)] = told
        self.lines(source, lines)

    def tell(self, source: outputs.Source, gone: int, data: bytes) -> None:
        """Print a piece."""
        if self._facts is not None:
            self._facts.opened(source)
        if self._named is not None and (source.sheet, source.hook) not in self._named:
            return
        if self._call.as_json:
            self._json(source, data)
        elif self.readable:
            self.lines(source, self._transcript(source).feed(gone, data))
        else:
            exits.write(data)

    def ended(self, source: outputs.Source) -> None:
        """Print what the end of a stream brings."""
        told = self._told.pop(_key(source), None)
        if told is not None:
            self.lines(source, told.finish())
        if self._facts is not None:
            self._facts.ended(source)

    def lines(self, source: outputs.Source, lines: Sequence[str]) -> None:
        """Print lines of a stream."""
        from marianne_cli.screens.render import named_place

        if lines:
            prefix = f"{named_place(source.place(), source.name)}| " if self._several else ""
            prefix += outputs.mark(self._streams, source.stream)
            exits.print_text("".join(f"{prefix}{line}\n" for line in lines))

    def _json(self, source: outputs.Source, data: bytes) -> None:
        decoder = self._decoders.setdefault(_key(source), codecs.getincrementaldecoder("utf-8")("replace"))
        at = {"attempt": source.attempt, "stream": source.stream, "offset": source.offset - len(data)}
        exits.print_json_object(self._call, {**source.place(), **at, "text": decoder.decode(data)})

    def _transcript(self, source: outputs.Source) -> "Transcript":
        from marianne_cli.screens.transcript import Transcript

        key = _key(source)
        if key not in self._told:
            self._told[key] = Transcript(source.reads)
        return self._told[key]
