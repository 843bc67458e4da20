"""What attempts printed: read in pieces and joined, or followed until the job ends."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from marianne_cli.client import PATIENCE_SECONDS, Client, StreamEnd, piece
from marianne_cli.invocation import Invocation
from marianned.errors import NoDaemon


class Listener(Protocol):
    """Who is told what comes; `readable`: and how an agent's lines are read."""

    readable: bool

    def tell(self, source: "Source", gone: int, data: bytes) -> None:
        """Take the piece that ends at the source's offset; `gone` is how many bytes before it are no more."""

    def ended(self, source: "Source") -> None:
        """Hear that a stream has come to its end."""


class Source:
    """One stream of one attempt, and how far it was read."""

    def __init__(self, sheet: Mapping[str, Any], attempt: int, stream: str) -> None:
        self.sheet: int | None = sheet["sheet"]
        self.stage: int | None = sheet["stage"]
        self.instance: int | None = sheet["instance"]
        self.hook: int | None = sheet.get("hook")
        self.attempt = attempt
        self.stream = stream
        self.offset = 0
        self.reads: Mapping[str, Any] | None = None

    def place(self) -> dict[str, int | None]:
        """Return whose stream it is, as JSON has it."""
        return {"sheet": self.sheet, "stage": self.stage, "instance": self.instance, "hook": self.hook}

    def params(self, job_id: str) -> dict[str, object]:
        """Ask for what comes next."""
        return {
            "job_id": job_id,
            **({"sheet": self.sheet} if self.hook is None else {"hook": self.hook}),
            "attempt": self.attempt,
            "stream": self.stream,
            "offset": self.offset,
        }


def pieces(call: Invocation, job_id: str, source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield a stream's pieces to its present end, each with how many bytes before it are gone.

    The first tells the source how its lines are to be read.
    """
    asked: dict[str, object] = {"reads": True}
    while True:
        reply = call.ask("log.read", **source.params(job_id), **asked)
        if asked:
            source.reads, asked = reply.get("reads"), {}
        data = piece(reply)
        yield reply["skipped"], data
        source.offset = reply["offset"] + reply["skipped"] + len(data)
        if source.offset >= reply["size"] or not (data or reply["skipped"]):
            return


def read(call: Invocation, job_id: str, source: Source) -> bytes:
    """Read a stream from its offset to its present end."""
    return b"".join(data for _, data in pieces(call, job_id, source))


def follow(
    client: Client, job_id: str, sources: list[Source], streams: tuple[str, ...], listener: Listener
) -> None:
    """Tell each piece that the sources, and the attempts that start meanwhile, print until the job ends.

    A broken connection is taken up again at the offsets reached.
    """
    follower = _Follower(client, job_id, sources, streams, listener)
    while True:
        try:
            follower.run()
        # a daemon that is just being killed may still take a connection, and then no request on it
        except (OSError, NoDaemon):
            client.reopen(PATIENCE_SECONDS)
        else:
            return


class _Follower:
    def __init__(
        self, client: Client, job_id: str, sources: list[Source], streams: tuple[str, ...], listener: Listener
    ) -> None:
        self._client = client
        self._job_id = job_id
        self._open: dict[int, Source] = {}
        self._sources = sources
        self._streams = streams
        self._listener = listener
        self._ended = False
        self._after: int | None = None

    def run(self) -> None:
        """Subscribe before looking, so that no attempt starts unseen; then read until all is ended.

        After a break the journal goes on where it ended: what started and ended meanwhile is in it.
        """
        journal = self._client.stream("events.subscribe", {"job_id": self._job_id, "after": self._after})
        if self._after is None:
            self._look()
        self._open = {}
        for source in self._sources:
            self._follow(source)
        if self._ended and not self._open:
            return
        for stream, item in self._client.arriving():
            if stream == journal:
                self._event(item)
            elif isinstance(item, StreamEnd):
                ended = self._open.pop(stream, None)
                if ended is not None:
                    self._sources.remove(ended)
                    self._listener.ended(ended)
            elif stream in self._open:
                self._piece(self._open[stream], item)
            if self._ended and not self._open:
                return

    def _look(self) -> None:
        job = self._client.request("job.status", {"job_id": self._job_id, "limit": 1}, once=True)
        self._after = job["event"]
        self._ended = job["timing"]["completed_at"] is not None
        for flight in job["in_flight"]:
            self._add(flight, flight["attempt"])

    def _add(self, sheet: Mapping[str, Any], attempt: int) -> list[Source]:
        known = {(source.sheet, source.hook, source.attempt) for source in self._sources}
        if (sheet["sheet"], sheet.get("hook"), attempt) in known:
            return []
        made = [Source(sheet, attempt, stream) for stream in self._streams]
        self._sources += made
        return made

    def _follow(self, source: Source) -> None:
        if self._listener.readable and source.stream == "stdout" and source.offset == 0:
            asked = {**source.params(self._job_id), "limit": 1, "reads": True}
            source.reads = self._client.request("log.read", asked, once=True).get("reads")
        self._open[self._client.stream("log.follow", source.params(self._job_id))] = source

    def _event(self, event: Mapping[str, Any] | StreamEnd) -> None:
        if isinstance(event, StreamEnd):
            raise ConnectionResetError("the journal's stream lagged")
        self._after = max(self._after or 0, event["event"])
        if event["type"] in {"attempt.started", "hook.started"}:
            for source in self._add(event, event["attempt"]):
                self._follow(source)
        if event["status"] in {"completed", "failed", "cancelled"}:
            self._ended = True

    def _piece(self, source: Source, item: Mapping[str, Any]) -> None:
        data = piece(item)
        at = int(item.get("offset", source.offset))
        gone = at - source.offset
        source.offset = at + len(data)
        self._listener.tell(source, gone, data)
