"""An attempt's output as people read it: an agent's stream is told, all else shown as it is, line by line."""

import codecs
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from marianne_cli.context import wants_colours
from marianne_cli.screens.render import strip_escapes
from marianned.instruments.profile import OutputFormat
from marianned.instruments.stream_view import StreamLine, StreamReader

_COLOURS = {"tool": 36, "result": 2, "note": 2, "error": 31}


class Transcript:
    """One stream of one attempt; `reads` is how the lines of an agent's are read, null: they are text."""

    def __init__(self, reads: Mapping[str, Any] | None) -> None:
        self._reader = _stream_reader(reads)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.is_one_document = self._reader is not None and (reads or {}).get("format") == "json"
        """Whether a part of the stream says nothing."""
        self._begun: list[str] = []
        """The line that has no end yet, in pieces: joined each time, a long one would take quadratic time."""

    @property
    def unfinished_line(self) -> str:
        """The line of a text that has no end yet, as it is so far; of an agent's stream nothing."""
        return strip_escapes("".join(self._begun))

    def feed(self, gone: int, data: bytes) -> list[str]:
        """Return the lines that a piece ends; `gone` is how many bytes before it are no more."""
        return _colour_lines(self.feed_with_kinds(gone, data))

    def finish(self) -> list[str]:
        """Return what the end of the stream brings."""
        return _colour_lines(self.finish_with_kinds())

    def feed_with_kinds(self, gone: int, data: bytes) -> list[tuple[str, str]]:
        """Return what `feed` does, each line with its kind (`StreamLine`); of a text it is `plain`."""
        if self._reader is not None:
            return _readable_lines([*(self._reader.gap(gone) if gone else ()), *self._reader.feed(data)])
        first, *others = self._decoder.decode(data).split("\n")
        self._begun.append(first)
        if not others:
            return []
        *ended, rest = ["".join(self._begun), *others]
        self._begun = [rest]
        return [("plain", strip_escapes(f"{line}\n")[:-1]) for line in ended]

    def finish_with_kinds(self) -> list[tuple[str, str]]:
        """Return what `finish` does, each line with its kind."""
        if self._reader is not None:
            return _readable_lines(self._reader.finish())
        rest = "".join([*self._begun, self._decoder.decode(b"", final=True)])
        self._begun = []
        return [("plain", strip_escapes(rest))] if rest else []


def _stream_reader(reads: Mapping[str, Any] | None) -> StreamReader | None:
    """Return what reads the stream; none where its profile doesn't say, or says it in a way of later days."""
    if reads is None:
        return None
    try:
        output = msgspec.convert(reads, OutputFormat)
    except msgspec.ValidationError:
        return None
    return StreamReader(output) if output.live or output.format == "json" else None


def _readable_lines(said: Iterable[StreamLine]) -> list[tuple[str, str]]:
    """Return lines that nothing of an agent's is left in but text, each with its kind."""
    return [(line.kind, text) for line in said for text in strip_escapes(line.text).split("\n")]


def _colour_lines(told: list[tuple[str, str]]) -> list[str]:
    """Return the lines, coloured by their kind on a terminal."""
    if not wants_colours(sys.stdout):
        return [text for _, text in told]
    return [f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if kind in _COLOURS else text for kind, text in told]
