"""What one attempt prints, as lines: its end first, then what comes; searched and filtered."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from marianne_cli import terminal
from marianne_cli.client import AsyncClient, FollowedOutput
from marianne_cli.screens import merged_output
from marianne_cli.screens.transcript import Transcript
from marianned.protocol import PAGE_LIMIT, Output, ReadOutput, SearchOutput

TAIL_LINES = 1_000
"""So many lines of the end are read first."""
KEPT_LINES = 20_000
"""So many lines are kept of what is followed; `mzt logs` has all."""
_SLACK = 2_000
_COUNTED_MOST = 10_000
StreamName = Literal["stdout", "stderr", "prompt", "result"]
STREAMS: tuple[StreamName, ...] = ("stdout", "stderr", "prompt", "result")
_FOLLOWED = ("stdout", "stderr")
_OPTIONS = {"stdout": [], "stderr": ["--stderr"], "prompt": ["--prompt"], "result": ["--result"]}


class OutputSelection(NamedTuple):
    """Which output is shown: a stream of an attempt of a sheet or hook; attempt null: the newest."""

    job_id: str
    sheet: int | None
    hook: int | None = None
    attempt: int | None = None
    stream: StreamName = "stdout"
    whole: bool = False
    """All that the job prints, whatever runs; of no sheet then."""

    def arguments(self) -> list[str]:
        """Return the arguments of `mzt` that print all of it."""
        of = [] if self.sheet is None else [str(self.sheet)]
        attempt = [] if self.attempt is None else ["--attempt", str(self.attempt)]
        return ["logs", self.job_id, *of, *attempt, *_OPTIONS[self.stream]]

    def line(self) -> str:
        """Return the `mzt` line that prints all of it."""
        return shlex.join(["mzt", *self.arguments()])


class OutputLine(NamedTuple):
    """A line as it is shown; `kind` is that of a `StreamLine`: text, tool, result, note, error or plain."""

    kind: str
    text: str


class OutputBuffer:
    """The lines of an output that have been read, and how much of the output they are."""

    def __init__(self) -> None:
        self.lines: list[OutputLine] = []
        self.begun: str = ""
        """A last line that has no end yet."""
        self.before = 0
        """How many bytes before the first line were not read."""
        self.dropped = 0
        """How many lines were read and are no longer kept."""
        self.attempt: int | None = None
        self.size = 0
        self.ended = False
        self.failed: str | None = None
        """Why nothing can be shown; null: nothing is wrong."""

    def add(self, told: Iterable[tuple[str, str]]) -> None:
        """Take further lines, each made harmless; drop the first where there are too many."""
        self.lines += [OutputLine(kind, terminal.line(text.expandtabs(8))) for kind, text in told]
        if len(self.lines) > KEPT_LINES + _SLACK:
            gone = len(self.lines) - KEPT_LINES
            del self.lines[:gone]
            self.dropped += gone

    @property
    def earlier(self) -> str:
        """Say what lies before the first line; empty: nothing."""
        if self.dropped:
            return f"{self.dropped:,} earlier lines are no longer kept here; L: all of it in the pager"
        if self.before:
            return f"{size_text(self.before)} before this; <: read further back, L: all of it in the pager"
        return ""


def size_text(count: int) -> str:
    """Say how many bytes: `812 B`, `1.2 KB`, `3.4 MB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


async def follow_output(
    client: AsyncClient,
    source: OutputSelection,
    output: OutputBuffer,
    changed: Callable[[], None],
    lines: int = TAIL_LINES,
) -> None:
    """Read the last lines, then follow until the attempt has ended; `changed` is called when lines came.

    Raises:
        MarianneError: it is refused, or nobody answers any more.
    """
    if source.whole:
        await _follow_job_output(client, source.job_id, output, changed)
        return
    transcript, offset, first = await _read_tail(client, source, output, lines)
    changed()
    output.attempt, output.size, output.ended = first.attempt, first.size, first.ended
    if source.stream in _FOLLOWED and not first.ended:
        follow = client.follow(
            source.job_id,
            source.sheet,
            hook=source.hook,
            attempt=first.attempt,
            stream=source.stream,
            offset=offset,
        )
        async with follow as pieces:
            async for data in pieces:
                offset += len(data)
                _add_data(output, transcript, 0, data)
                output.size = offset
                changed()
    output.add(transcript.finish_with_kinds())
    output.begun, output.ended = "", True
    changed()


async def _follow_job_output(
    client: AsyncClient, job_id: str, output: OutputBuffer, changed: Callable[[], None]
) -> None:
    async def begun() -> None:
        output.attempt = 0
        changed()

    async def tell(of: FollowedOutput, lines: list[tuple[str, str]]) -> None:
        output.add((kind if of.stream == "stdout" else "error", text) for kind, text in lines)
        output.size += sum(len(text) for _, text in lines)
        changed()

    await merged_output.follow_job(client, job_id, begun, tell)
    output.ended = True
    changed()


async def _read_tail(
    client: AsyncClient, source: OutputSelection, output: OutputBuffer, lines: int
) -> tuple[Transcript, int, Output]:
    """Read the last lines to the present end; what is one document is read from its beginning."""
    ask = ReadOutput(
        job_id=source.job_id,
        sheet=source.sheet,
        hook=source.hook,
        attempt=source.attempt,
        stream=source.stream,
        tail_lines=lines,
        reads=True,
    )
    piece = first = await client.ask(ask)
    transcript = Transcript(piece.reads if source.stream == "stdout" else None)
    if transcript.is_one_document and piece.offset:
        piece = first = await client.ask(_page_request(ask, piece.attempt, 0))
        transcript = Transcript(piece.reads)
    output.before = piece.offset
    output.attempt = piece.attempt
    while True:
        offset = piece.offset + piece.skipped + len(piece.data)
        _add_data(output, transcript, piece.skipped, piece.data)
        if offset >= piece.size or not (piece.data or piece.skipped):
            return transcript, offset, first
        piece = await client.ask(_page_request(ask, piece.attempt, offset))


def _page_request(ask: ReadOutput, attempt: int, offset: int) -> ReadOutput:
    return ReadOutput(
        job_id=ask.job_id,
        sheet=ask.sheet,
        hook=ask.hook,
        attempt=attempt,
        stream=ask.stream,
        offset=offset,
        reads=not offset,
    )


def _add_data(output: OutputBuffer, transcript: Transcript, gone: int, data: bytes) -> None:
    output.add(transcript.feed_with_kinds(gone, data))
    output.begun = terminal.line(transcript.unfinished_line.expandtabs(8))


class SearchPattern(NamedTuple):
    """A text that is searched for; its case counts only if it has capitals."""

    text: str

    def spans(self, line: str) -> Iterator[tuple[int, int]]:
        """Yield where the text stands in a line."""
        if not self.text:
            return
        if self.ignores_case:
            line = line.lower()
        at = line.find(self.text)
        while at >= 0:
            yield at, at + len(self.text)
            at = line.find(self.text, at + len(self.text))

    def is_in(self, line: str) -> bool:
        """Tell whether a line has the text."""
        return next(self.spans(line), None) is not None

    @property
    def ignores_case(self) -> bool:
        """Whether upper and lower case are the same."""
        return self.text == self.text.lower()


async def count_matches(
    client: AsyncClient, source: OutputSelection, attempt: int | None, pattern: SearchPattern
) -> str:
    """Count the lines of a whole output that match: `214`, or `1,000 or more`.

    Raises:
        MarianneError: it is refused, or nobody answers.
    """
    found = offset = 0
    while True:
        page = await client.ask(
            SearchOutput(
                source.job_id,
                text=pattern.text,
                ignore_case=pattern.ignores_case,
                sheet=source.sheet,
                hook=source.hook,
                attempt=attempt,
                stream="stderr" if source.stream == "stderr" else "stdout",
                offset=offset,
                limit=PAGE_LIMIT,
            )
        )
        found += len(page.matches)
        if not page.more:
            return f"{found:,}"
        if found >= _COUNTED_MOST or page.offset <= offset:
            return f"{found:,} or more"
        offset = page.offset
