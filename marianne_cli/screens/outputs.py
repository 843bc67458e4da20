"""What attempts printed: read in pieces and joined, its last lines alone, or followed until the job ends."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from marianne_cli.client.blocking import RawClient
from marianne_cli.client.streams import FollowedOutput, decode_data
from marianne_cli.context import Invocation
from marianned.errors import MarianneError

if TYPE_CHECKING:
    from marianne_cli.screens.transcript import Transcript

_FURTHER = 8
"""Where the last lines of an agent's stream come to less text than wanted, so many times more are read."""


class OutputListener(Protocol):
    """Receives what is followed; `readable`: it also needs to know how an agent's lines are read."""

    readable: bool

    def on_event(self, event: dict[str, Any]) -> None:
        """Take an event of the job."""

    def on_piece(self, source: "TrackedOutput", gone: int, data: bytes) -> None:
        """Take the piece that ends at the source's offset; `gone` is how many bytes before it are no more."""

    def on_end(self, source: "TrackedOutput") -> None:
        """Take the end of a stream."""


class TrackedOutput(FollowedOutput):
    """One stream of one attempt, how far it was read, how its lines are read, and its stage's name."""

    reads: Mapping[str, Any] | None = None
    name: str | None = None


def read_pieces(
    call: Invocation, job_id: str, source: TrackedOutput, lines: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield a stream's pieces to its present end, each with how many bytes before it are gone.

    `lines`: from where the last so many begin, else from the source's offset. The first piece tells the
    source how its lines are to be read, and its stage's name.
    """
    asked: dict[str, object] = {"reads": True}
    if lines is not None:
        asked["tail_lines"] = lines
    while True:
        reply = call.ask("log.read", **source.params(job_id), **asked)
        if asked:
            source.reads, source.name, asked = reply.get("reads"), reply.get("name"), {}
            source.offset = reply["offset"]
        data = decode_data(reply)
        yield reply["skipped"], data
        source.offset = reply["offset"] + reply["skipped"] + len(data)
        if source.offset >= reply["size"] or not (data or reply["skipped"]):
            return


def read_output(
    call: Invocation, job_id: str, source: TrackedOutput, lines: int | None = None
) -> tuple[bytes, int]:
    """Read a stream, or its last so many lines, to its present end; return the bytes, and their offset."""
    found = []
    begin = None
    for gone, data in read_pieces(call, job_id, source, lines):
        begin = source.offset + gone if begin is None else begin
        found.append(data)
    return b"".join(found), begin or 0


def last_lines(
    call: Invocation, job_id: str, source: TrackedOutput, lines: int | None
) -> tuple["Transcript", list[str]]:
    """Read a stream's last so many lines (null: all) as people read them, to its present end.

    Return them, without one that has no end yet, and the transcript, which goes on at the source's offset.
    """
    from marianne_cli.screens.transcript import Transcript

    wanted = lines
    while True:
        told: Transcript | None = None
        begin = source.offset = 0
        shown: deque[str] = deque(maxlen=lines)
        for gone, data in read_pieces(call, job_id, source, wanted):
            if told is None:
                begin = source.offset
                told = Transcript(source.reads if source.stream == "stdout" else None)
            shown += told.feed(gone, data)
        assert told is not None, "a stream has a first piece, be it empty"
        enough = wanted is None or lines is None or len(shown) >= lines
        if not begin or (enough and not told.is_one_document):
            return told, list(shown)
        wanted = None if wanted is None or told.is_one_document else wanted * _FURTHER


def readable_tail(call: Invocation, job_id: str, error: Mapping[str, Any]) -> str:
    """Return the last output of a failed attempt as people read it, if that has any text.

    The daemon's quote is masked, and may begin within a line.
    """
    from marianne_cli.screens.transcript import Transcript

    tail = str(error["stdout_tail"])
    if '{"' not in tail or not error["sheet"]:
        return tail
    place = {"sheet": error["sheet"], "attempt": error["attempt"], "stream": "stdout"}
    try:
        reads = call.ask("log.read", job_id=job_id, **place, offset=0, limit=1, reads=True).get("reads")
    except MarianneError:
        return tail
    if reads is None or reads.get("format") != "jsonl":
        return tail
    whole = tail if tail.startswith("{") else tail.partition("\n")[2]
    told = Transcript(reads)
    shown = [*told.feed(0, whole.encode(errors="surrogateescape")), *told.finish()]
    return "\n".join(shown) if any(line.strip() for line in shown) else tail


def stderr_mark(streams: Sequence[str], stream: str) -> str:
    """Return the mark before lines of stderr, where a terminal shows both streams; else nothing."""
    return "! " if stream == "stderr" and len(streams) > 1 and sys.stdout.isatty() else ""


def follow_outputs(
    client: RawClient,
    job_id: str,
    sources: list[TrackedOutput],
    streams: tuple[str, ...],
    listener: OutputListener,
) -> None:
    """Pass on each piece that the sources, and attempts that start meanwhile, print until the job ends."""
    told: dict[FollowedOutput, TrackedOutput] = {}
    heard: Callable[[dict[str, Any]], None] = listener.on_event
    for output, data, skipped, ended in client.follow_job(
        job_id, streams=streams, outputs=sources, heard=heard
    ):
        if output not in told:
            told[output] = _track(client, job_id, output, listener)
        source = told[output]
        source.offset = output.offset
        if ended:
            listener.on_end(source)
        else:
            listener.on_piece(source, skipped, data)


def _track(client: RawClient, job_id: str, output: FollowedOutput, listener: OutputListener) -> TrackedOutput:
    """Return an output as a source that knows how its lines are read, and what its stage is called."""
    source = (
        output
        if isinstance(output, TrackedOutput)
        else TrackedOutput.of(output.place(), output.attempt, output.stream)
    )
    if listener.readable:
        asked = {**source.params(job_id), "offset": 0, "limit": 1, "reads": source.stream == "stdout"}
        reply = client.request("log.read", asked)
        source.reads, source.name = reply.get("reads"), reply.get("name")
    return source
