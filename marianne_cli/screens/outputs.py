"""What attempts printed: read in pieces and joined, or followed until the job ends."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from marianne_cli.client.blocking import RawClient
from marianne_cli.client.streams import Output, piece
from marianne_cli.context import Invocation


class Listener(Protocol):
    """Who is told what comes; `readable`: and how an agent's lines are read."""

    readable: bool

    def tell(self, source: "Source", gone: int, data: bytes) -> None:
        """Take the piece that ends at the source's offset; `gone` is how many bytes before it are no more."""

    def ended(self, source: "Source") -> None:
        """Hear that a stream has come to its end."""


class Source(Output):
    """One stream of one attempt, how far it was read, and how its lines are read."""

    reads: Mapping[str, Any] | None = None


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
    client: RawClient, job_id: str, sources: list[Source], streams: tuple[str, ...], listener: Listener
) -> None:
    """Tell each piece that the sources, and the attempts that start meanwhile, print until the job ends."""
    told: dict[Output, Source] = {}
    for output, data, skipped, ended in client.follow_job(job_id, streams=streams, outputs=sources):
        if output not in told:
            told[output] = _readable(client, job_id, output, listener)
        source = told[output]
        source.offset = output.offset
        if ended:
            listener.ended(source)
        else:
            listener.tell(source, skipped, data)


def _readable(client: RawClient, job_id: str, output: Output, listener: Listener) -> Source:
    """Return an output as a source that knows how its lines are read."""
    source = (
        output if isinstance(output, Source) else Source.of(output.place(), output.attempt, output.stream)
    )
    if listener.readable and source.stream == "stdout":
        asked = {**source.params(job_id), "offset": 0, "limit": 1, "reads": True}
        source.reads = client.request("log.read", asked).get("reads")
    return source
