"""What all attempts of a job print, in the order in which it comes, as one output."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from marianne_cli.client import AsyncClient, FollowedOutput
from marianne_cli.screens.transcript import Transcript
from marianned.protocol import ReadOutput

LINES_EACH = 100
"""Last lines shown of each attempt that is in flight at the start."""
_STREAMS = ("stdout", "stderr")

OnLines = Callable[[FollowedOutput, list[tuple[str, str]]], Awaitable[None]]


async def follow_job(
    client: AsyncClient, job_id: str, begun: Callable[[], Awaitable[None]], tell: OnLines
) -> None:
    """Pass the lines of each output, kind and text, to `tell` until the job ends; `begun` is called first.

    Raises:
        MarianneError: the daemon refuses it, or is gone.
    """
    job = await client.status(job_id, limit=1)
    outputs = []
    for item in msgspec.to_builtins(job.in_flight):
        if not item["job_id"] and item["attempt"]:  # its own, and no skip rules
            outputs += [FollowedOutput.of(item, item["attempt"], stream) for stream in _STREAMS]
    for output in outputs:
        output.offset = (
            await client.ask(_read_request(job_id, output, tail_lines=LINES_EACH, limit=1))
        ).offset
    await begun()
    told: dict[FollowedOutput, Transcript] = {}
    async with client.follow_job(job_id, streams=_STREAMS, outputs=outputs) as pieces:
        async for piece in pieces:
            output = piece.output
            if output not in told:
                reads = (await client.ask(_read_request(job_id, output, reads=True, limit=1))).reads
                told[output] = Transcript(reads if output.stream == "stdout" else None)
            transcript = told[output]
            lines = (
                transcript.finish_with_kinds()
                if piece.ended
                else transcript.feed_with_kinds(piece.skipped, piece.data)
            )
            if piece.ended:
                del told[output]
            if lines:
                await tell(output, [(kind, f"{_line_prefix(output)}| {text}") for kind, text in lines])


def _line_prefix(output: FollowedOutput) -> str:
    return f"hook {output.hook}" if output.hook else f"{output.sheet}"


def _read_request(job_id: str, output: FollowedOutput, **others: Any) -> ReadOutput:
    given = {key: value for key, value in output.params(job_id).items() if key != "offset"}
    return msgspec.convert({**given, **others}, ReadOutput)
