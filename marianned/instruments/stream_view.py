"""An agent's stream as people read it: JSON lines become text, tool calls, results, errors, usage.

The rules are the profile's `cli.output.live`. Lines that are not JSON are shown as they are, events that no
rule names are left out. Nothing that is printed makes this fail.

Source: docs/reference/score-format.md §23.3.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from marianned.formatting import dollars
from marianned.instruments import json_path, printed_json
from marianned.instruments.output import read_output
from marianned.instruments.profile import CliInstrument, DisplayRule, OutputFormat, Profile, ToolCommand

LINE_BYTES = 8 * 1024 * 1024
"""A longer line, or document, is passed over, and said to be."""

_WIDTH = 160
_RESULT_LINES = 3
_TELLING = (
    *("command", "cmd", "file_path", "filePath", "path", "pattern", "query", "url", "description"),
    *("prompt", "title", "name"),
)
"""Which argument of a tool call says most of it, best first."""
_MARKS = {"text": "", "piece": "", "tool": "→ ", "result": "  ", "note": "· ", "error": "! ", "plain": ""}


class StreamLine(NamedTuple):
    """One thing an agent said; `kind` is text, tool, result, note, error, or plain: what is no event.

    `text` may have several lines, and whatever control characters the agent has put there.
    """

    kind: str
    text: str


class StreamReader:
    """Reads one attempt's standard output, piece by piece, wherever the pieces are cut."""

    def __init__(self, output: OutputFormat) -> None:
        self._output = output
        self._whole = output.format == "json"
        self._pending: list[bytes] = []
        self._length = 0
        self._torn = False
        self._said: StreamLine | None = None
        self._used: dict[str, float] = {}
        self._piece = ""

    def feed(self, data: bytes) -> Iterator[StreamLine]:
        """Yield the lines that a piece completes."""
        if self._whole:
            self._append(data)
            return
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._append(part)
            yield from self._complete_line()
        self._append(rest)

    def gap(self, size: int) -> Iterator[StreamLine]:
        """Yield a note about bytes that are gone; the line that they were part of is left out."""
        self._pending, self._length, self._torn = [], 0, True
        yield StreamLine("note", f"{_MARKS['note']}{size:,} bytes are gone")

    def finish(self) -> Iterator[StreamLine]:
        """Yield what the end of the output completes: the last line, the document, and the usage."""
        yield from self._complete_document() if self._whole else self._complete_line()
        yield from self._complete_pieces()
        used = _usage_text(self._used)
        if used:
            yield StreamLine("note", _MARKS["note"] + used)
            self._used = {}

    def _append(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= LINE_BYTES:
            self._pending.append(data)
        else:
            self._pending = []

    def _take_pending(self) -> tuple[bytes, int]:
        data, length = b"".join(self._pending), self._length
        self._pending, self._length = [], 0
        return data, length

    def _complete_line(self) -> Iterator[StreamLine]:
        data, length = self._take_pending()
        if self._torn:
            self._torn = False
        elif length > LINE_BYTES:
            yield StreamLine("note", f"{_MARKS['note']}a line of {length:,} bytes is left out")
        elif data:
            parts = printed_json.without_noise(data).split(b"\n") if b"{" in data else []
            found = [json_path.decode_json(part) if part.startswith(b"{") else None for part in parts]
            if any(isinstance(event, dict) for event in found):
                for part, event in zip(parts, found, strict=True):
                    yield from self._event_lines(event) if isinstance(event, dict) else self._plain_line(part)
            else:
                yield from self._plain_line(data)

    def _plain_line(self, data: bytes) -> Iterator[StreamLine]:
        if data:
            yield from self._complete_pieces()
            yield StreamLine("plain", data.decode(errors="replace"))

    def _complete_document(self) -> Iterator[StreamLine]:
        data, length = self._take_pending()
        if self._torn or length > LINE_BYTES:
            yield StreamLine("note", f"{_MARKS['note']}a document of {length:,} bytes is left out")
            return
        found = json_path.decode_json(data)
        if isinstance(found, list) and self._output.live:
            for event in found:
                yield from self._event_lines(event)
            return
        profile = Profile(
            name="", kind="cli", cli=CliInstrument(command=ToolCommand(executable=""), output=self._output)
        )
        read = read_output(profile, {}, data, b"")
        error = read.error if read.failed else None
        if read.result and read.result != error:
            yield StreamLine("text" if read.parsed else "plain", read.result)
        if error:
            yield _mark_lines("error", error.split("\n"))
        found_amounts = {"in": read.input_tokens, "out": read.output_tokens, "cost": read.cost_usd}
        self._used = {key: value for key, value in found_amounts.items() if value is not None}

    def _event_lines(self, event: Any) -> Iterator[StreamLine]:
        self._count_usage(event)
        for rule in self._output.live:
            if rule.event is not None and json_path.matches(event, "type") != [rule.event]:
                continue
            for part in json_path.matches(event, rule.each) if rule.each else [event]:
                if all(json_path.matches(part, path)[:1] == [value] for path, value in rule.where.items()):
                    line = _display(rule, part)
                    # some tools tell their error twice, as it comes and as their end
                    if line is None or (line.kind == "error" and line == self._said):
                        continue
                    self._said = line
                    if line.kind == "piece":
                        yield from self._complete_pieces(line.text)
                    else:
                        yield from self._complete_pieces()
                        yield line

    def _complete_pieces(self, more: str | None = None) -> Iterator[StreamLine]:
        """Yield the lines that another piece ends; without one, what is left of the text."""
        text = self._piece + (more or "")
        whole, self._piece = (text, "") if more is None else _up_to_line(text)
        if whole.strip():
            yield StreamLine("text", whole.rstrip())

    def _count_usage(self, event: Any) -> None:
        paths = {
            "in": self._output.input_tokens_path,
            "out": self._output.output_tokens_path,
            "cost": self._output.cost_path,
        }
        for key, path in paths.items():
            each = (json_path.matching_numbers(event, one) for one in (path or "").split())
            found = next((numbers for numbers in each if numbers), [])
            if found and self._output.aggregate_tokens:
                self._used[key] = self._used.get(key, 0) + sum(found)
            elif found:
                self._used[key] = found[-1]


def _up_to_line(text: str) -> tuple[str, str]:
    """Split behind the last line that is whole; a line that grows too long is one."""
    end = text.rfind("\n") + 1
    return (text, "") if len(text) - end > LINE_BYTES else (text[:end], text[end:])


def _display(rule: DisplayRule, part: Any) -> StreamLine | None:
    if rule.show == "tool":
        name = _texts_at_paths(part, rule.name or "") or "tool"
        given = next((value for path in rule.path.split() for value in json_path.matches(part, path)), None)
        said = _one_line(_argument_text(given))
        return StreamLine("tool", _MARKS["tool"] + _one_line(name) + (f": {said}" if said else ""))
    text = _texts_at_paths(part, rule.path)
    if rule.show == "piece":
        return StreamLine("piece", text) if text else None
    if not text.strip():
        return None
    if rule.show == "text":
        return StreamLine("text", text.rstrip())
    return _mark_lines(rule.show, _first_lines(text.strip("\n").split("\n")))


def _mark_lines(kind: str, lines: Iterable[str]) -> StreamLine:
    """Return lines, each with the mark of its kind: none passes for another kind's."""
    return StreamLine(kind, "\n".join(_MARKS[kind] + line for line in lines))


def _texts_at_paths(part: Any, paths: str) -> str:
    """Return the texts and numbers that the paths find: of one path a line each, of several side by side."""
    found = ([_value_words(value) for value in json_path.matches(part, path)] for path in paths.split())
    return " ".join(text for words in found if (text := "\n".join(word for word in words if word)))


def _value_words(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _argument_text(given: Any) -> str:
    if isinstance(given, dict):
        told = (given.get(key) for key in _TELLING)
        best = next((value for value in told if isinstance(value, str) and value), None)
        given = given if best is None else best
    if isinstance(given, str):
        return given
    return msgspec.json.encode(given).decode() if given else ""


def _one_line(text: str) -> str:
    """Return a text on one line, cut to what fits there."""
    line = " ".join(text[: 4 * _WIDTH].split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _first_lines(lines: list[str]) -> Iterable[str]:
    for line in lines[:_RESULT_LINES]:
        yield line.rstrip() if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
    more = len(lines) - _RESULT_LINES
    if more > 0:
        yield f"… {more:,} more {'line' if more == 1 else 'lines'}"


def _usage_text(used: dict[str, float]) -> str:
    tokens = [f"{used[way]:,.0f} {way}" for way in ("in", "out") if used.get(way)]
    said = [f"tokens: {', '.join(tokens)}"] if tokens else []
    if used.get("cost"):
        said.append(f"cost: {dollars(used['cost'], known=True)}")
    return " · ".join(said)
