"""What an attempt prints, for a tab: its last lines at once, then what comes, in order, as people read it."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec

from marianne_cli.client import AsyncClient, FollowedOutput
from marianne_cli.screens import merged_output
from marianne_cli.screens.transcript import Transcript
from marianned.errors import MarianneError
from marianned.formatting import visible
from marianned.protocol import ReadOutput

LINES_FIRST = 1_000
"""Lines that are shown at once; what is before them is a look of its own."""
LINE_MOST = 4_000
"""Characters of a line: what a screen can show, and what is kept of it."""
_FURTHER = 8
"""Where the last lines of an agent's stream come to less text than wanted, so many times more are read."""
SendLines = Callable[[list[list[str]]], Awaitable[None]]


class OutputRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which output a tab asks for: a sheet's or a hook's; of neither: all that is or comes in flight."""

    job_id: str
    sheet: int | None = None
    hook: int | None = None
    attempt: int | None = None
    """Number of the attempt; null: the newest."""
    lines: int = LINES_FIRST

    def page_request(self, stream: str, **others: Any) -> ReadOutput:
        """Return the request for a piece of one stream, stdout or stderr."""
        return ReadOutput(
            self.job_id,
            sheet=self.sheet,
            hook=self.hook,
            attempt=self.attempt,
            stream=stream,  # type: ignore[arg-type]  # one of its own
            **others,
        )


class OutputHead(msgspec.Struct, frozen=True):
    """What is known of an output before its lines."""

    attempt: int
    whole: bool
    """Whether nothing is before the first line."""
    size: int
    """Bytes of its stdout so far."""


async def follow(
    client: AsyncClient,
    wanted: OutputRequest,
    begun: Callable[[OutputHead], Awaitable[None]],
    tell: SendLines,
) -> None:
    """Send an attempt's output until it ends; each line is [kind, text], on stderr its kind is `stderr`.

    Raises:
        MarianneError: the daemon refuses it, or is gone.
    """
    first = await client.ask(wanted.page_request("stdout", reads=True, limit=1, tail_lines=1))
    fixed = msgspec.structs.replace(wanted, attempt=first.attempt)
    told, lines, offset, whole = await _read_tail(client, fixed, "stdout", first.reads)
    errors, error_lines, error_offset, errors_whole = await _read_tail(client, fixed, "stderr", None)
    await begun(OutputHead(first.attempt, whole and errors_whole, offset))
    await tell([*lines, *(["stderr", text] for _, text in error_lines)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow_rest, client, fixed, "stdout", told, offset, tell)
        tasks.start_soon(_follow_rest, client, fixed, "stderr", errors, error_offset, tell)


async def follow_job(
    client: AsyncClient, job_id: str, begun: Callable[[OutputHead], Awaitable[None]], tell: SendLines
) -> None:
    """Send what all attempts of a job print until it ends, each line with its sheet before it.

    Raises:
        MarianneError: the daemon refuses it, or is gone.
    """

    async def begins() -> None:
        await begun(OutputHead(0, whole=False, size=0))

    async def comes(output: FollowedOutput, lines: list[tuple[str, str]]) -> None:
        await tell(_cut_lines(lines, output.stream))

    await merged_output.follow_job(client, job_id, begins, comes)


async def _follow_rest(
    client: AsyncClient, wanted: OutputRequest, stream: str, told: Transcript, offset: int, tell: SendLines
) -> None:
    place = {"sheet": wanted.sheet, "hook": wanted.hook, "attempt": wanted.attempt}
    async with client.follow(wanted.job_id, **place, stream=stream, offset=offset) as pieces:
        async for piece in pieces:
            if lines := told.feed_with_kinds(0, piece):
                await tell(_cut_lines(lines, stream))
    if lines := told.finish_with_kinds():
        await tell(_cut_lines(lines, stream))


async def _read_tail(
    client: AsyncClient, wanted: OutputRequest, stream: str, reads: dict[str, Any] | None
) -> tuple[Transcript, list[list[str]], int, bool]:
    """Return the last lines to the present end; the transcript goes on at the offset behind them."""
    far = wanted.lines
    while True:
        told = Transcript(reads)
        shown: list[tuple[str, str]] = []
        reply = await client.ask(wanted.page_request(stream, tail_lines=far))
        begin = reply.offset
        while True:
            shown += told.feed_with_kinds(reply.skipped, reply.data)
            del shown[: -wanted.lines]
            offset = reply.offset + reply.skipped + len(reply.data)
            if offset >= reply.size or not (reply.data or reply.skipped):
                break
            reply = await client.ask(wanted.page_request(stream, offset=offset))
        if not begin or (len(shown) >= wanted.lines and not told.is_one_document):
            return told, _cut_lines(shown, stream), offset, not begin
        if reads is None:  # the lines of a text are lines of the screen: there are no more
            return told, _cut_lines(shown, stream), offset, False
        far = far * _FURTHER


def _cut_lines(lines: list[tuple[str, str]], stream: str) -> list[list[str]]:
    kept = []
    for kind, text in lines:
        said = visible(text)
        if len(said) > LINE_MOST:
            said = f"{said[:LINE_MOST]} … ({len(said) - LINE_MOST} more characters)"
        kept.append([kind if stream == "stdout" else stream, said])
    return kept


def error_object(error: MarianneError) -> dict[str, Any]:
    """Return an error as the JSON object that the page gets."""
    return {
        "code": error.code,
        "message": error.message,
        "hints": error.hints,
        "job_id": error.job_id,
        "status": error.status,
        "problems": msgspec.to_builtins(error.problems),
    }
