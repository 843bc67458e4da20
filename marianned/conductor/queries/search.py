"""Searches an output for a text, line by line: whatever its size, in bounded time and memory."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from anyio import to_thread

from marianned import files
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.output import find_output
from marianned.executors.output import read_piece
from marianned.formatting import plural
from marianned.protocol import Caller, Match, Matches, SearchOutput

_PIECE_BYTES = 1024 * 1024
"""So much is read at once; a line that is longer is cut there."""
_SECONDS = 0.5
"""How long one request searches; the next goes on where it has ended."""
_TEXT_MOST = 1_000
_BEFORE_MOST = 200
"""Characters before the first match that are told of a longer line."""


class SearchQueries:
    """Answers log.search, with what JobQueries reads."""

    def __init__(self, queries: JobQueries) -> None:
        self._queries = queries

    async def log_search(self, _caller: Caller, params: SearchOutput) -> Matches:
        """Return the lines of an attempt's output that have a text."""
        services = self._queries.services
        state = await self._queries.state(params.job_id)
        printed = await find_output(services, state, params)
        search = _OutputSearch(printed.directory / params.stream, params)
        await to_thread.run_sync(search.run, abandon_on_cancel=True)
        lines = plural(len(search.matches), "line")
        return Matches(
            job_id=params.job_id,
            status=state.run.status,
            message=f"{state.run.job_name}: {lines} of {printed.name}, attempt {printed.attempt}",
            hook=printed.hook,
            sheet=printed.sheet,
            attempt=printed.attempt,
            stream=params.stream,
            matches=search.matches,
            more=search.more,
            offset=search.offset,
            lines=search.lines,
            size=search.size,
            ended=printed.ended,
            event=services.store.last_event,
        )


class _OutputSearch:
    """A search: `offset` is up to where it has come, `lines` how many lines lie before that."""

    def __init__(self, path: Path, params: SearchOutput) -> None:
        self._path = path
        self._wanted = re.compile(re.escape(params.text), re.IGNORECASE if params.ignore_case else 0)
        self._start = params.offset
        self._limit = params.limit
        self.matches: list[Match] = []
        self.more = False
        self.offset = params.offset
        self.lines = 0
        self.size = 0

    def run(self) -> None:
        """Search until the end, or until it has taken long enough or found enough."""
        until = None
        try:
            self.size = self._path.stat().st_size
            for offset, data in _read_lines(self._path):
                until = until or time.monotonic() + _SECONDS
                before = min(len(data), max(0, self._start - offset))
                self.lines += data.count(b"\n", 0, before)
                if before < len(data) and not self._search_lines(offset + before, data[before:]):
                    return
                if before < len(data) and time.monotonic() > until:
                    self.more = self.offset < self.size
                    return
        except (FileNotFoundError, files.UnsuitableFile):
            return

    def _search_lines(self, offset: int, data: bytes) -> bool:
        """Search whole lines; false: enough is found."""
        text = data.decode(errors="surrogateescape")
        self.offset, at = offset, 0
        while (found := self._wanted.search(text, at)) is not None:
            begin = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", found.end())
            end = len(text) if end < 0 else end
            passed = text[at:begin]
            self.lines += passed.count("\n")
            self.offset += _length(passed)
            if len(self.matches) == self._limit:
                self.more = True
                return False
            shown = _excerpt(text, begin, found.start(), end)
            self.matches.append(Match(offset=self.offset, line=self.lines + 1, text=shown))
            rest = min(len(text), end + 1)
            self.lines += text.count("\n", begin, rest)
            self.offset += _length(text[begin:rest])
            at = rest
        self.lines += text.count("\n", at)
        self.offset = offset + len(data)
        return True


def _read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the whole lines of a file, some at a time, each time with their offset; holes are passed over."""
    offset, carry = 0, b""
    while True:
        data, skipped = read_piece(path, offset, _PIECE_BYTES)
        if skipped and carry:
            yield offset - len(carry), carry
            carry = b""
        offset += skipped
        if not data:
            break
        whole = carry + data
        offset += len(data)
        cut = whole.rfind(b"\n") + 1
        if not cut and len(whole) >= _PIECE_BYTES:
            cut = len(whole)
        if cut:
            yield offset - len(whole), whole[:cut]
        carry = whole[cut:]
    if carry:
        yield offset - len(carry), carry


def _length(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))


def _excerpt(text: str, begin: int, found: int, end: int) -> str:
    """Return a line, of a longer one the part around what was found; bytes that are no text as `\ufffd`."""
    start = begin if end - begin <= _TEXT_MOST else max(begin, found - _BEFORE_MOST)
    line = text[start : min(end, start + _TEXT_MOST)]
    return line.encode(errors="surrogateescape").decode(errors="replace").rstrip("\r")
