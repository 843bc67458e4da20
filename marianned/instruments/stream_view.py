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
from marianned.instruments.profile import Cli, Command, OutputFormat, Profile, Shown

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


class ShownLine(NamedTuple):
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
        self._said: ShownLine | None = None
        self._used: dict[str, float] = {}
        self._piece = ""

    def feed(self, data: bytes) -> Iterator[ShownLine]:
        """Yield what a piece brings to an end."""
        if self._whole:
            self._keep(data)
            return
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._keep(part)
            yield from self._line()
        self._keep(rest)

    def gap(self, size: int) -> Iterator[ShownLine]:
        """Yield what is to be said of bytes that are gone; the line they stood in is passed over."""
        self._pending, self._length, self._torn = [], 0, True
        yield ShownLine("note", f"{_MARKS['note']}{size:,} bytes are gone")

    def finish(self) -> Iterator[ShownLine]:
        """Yield what the end of the output brings: the line without an end, the document, what was used."""
        yield from self._document() if self._whole else self._line()
        yield from self._pieces()
        used = _usage(self._used)
        if used:
            yield ShownLine("note", _MARKS["note"] + used)
            self._used = {}

    def _keep(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= LINE_BYTES:
            self._pending.append(data)
        else:
            self._pending = []

    def _taken(self) -> tuple[bytes, int]:
        data, length = b"".join(self._pending), self._length
        self._pending, self._length = [], 0
        return data, length

    def _line(self) -> Iterator[ShownLine]:
        data, length = self._taken()
        if self._torn:
            self._torn = False
        elif length > LINE_BYTES:
            yield ShownLine("note", f"{_MARKS['note']}a line of {length:,} bytes is left out")
        elif data:
            parts = printed_json.without_noise(data).split(b"\n") if b"{" in data else []
            found = [json_path.decoded(part) if part.startswith(b"{") else None for part in parts]
            if any(isinstance(event, dict) for event in found):
                for part, event in zip(parts, found, strict=True):
                    yield from self._event(event) if isinstance(event, dict) else self._plain(part)
            else:
                yield from self._plain(data)

    def _plain(self, data: bytes) -> Iterator[ShownLine]:
        if data:
            yield from self._pieces()
            yield ShownLine("plain", data.decode(errors="replace"))

    def _document(self) -> Iterator[ShownLine]:
        data, length = self._taken()
        if self._torn or length > LINE_BYTES:
            yield ShownLine("note", f"{_MARKS['note']}a document of {length:,} bytes is left out")
            return
        found = json_path.decoded(data)
        if isinstance(found, list) and self._output.live:
            for event in found:
                yield from self._event(event)
            return
        profile = Profile(name="", kind="cli", cli=Cli(command=Command(executable=""), output=self._output))
        read = read_output(profile, {}, data, b"")
        error = read.error if read.failed else None
        if read.result and read.result != error:
            yield ShownLine("text" if read.parsed else "plain", read.result)
        if error:
            yield _marked("error", error.split("\n"))
        found_amounts = {"in": read.input_tokens, "out": read.output_tokens, "cost": read.cost_usd}
        self._used = {key: value for key, value in found_amounts.items() if value is not None}

    def _event(self, event: Any) -> Iterator[ShownLine]:
        self._count(event)
        for rule in self._output.live:
            if rule.event is not None and json_path.matches(event, "type") != [rule.event]:
                continue
            for part in json_path.matches(event, rule.each) if rule.each else [event]:
                if all(json_path.matches(part, path)[:1] == [value] for path, value in rule.where.items()):
                    line = _shown(rule, part)
                    # some tools tell their error twice, as it comes and as their end
                    if line is None or (line.kind == "error" and line == self._said):
                        continue
                    self._said = line
                    if line.kind == "piece":
                        yield from self._pieces(line.text)
                    else:
                        yield from self._pieces()
                        yield line

    def _pieces(self, more: str | None = None) -> Iterator[ShownLine]:
        """Yield the lines that another piece ends; without one, what is left of the text."""
        text = self._piece + (more or "")
        whole, self._piece = (text, "") if more is None else _up_to_line(text)
        if whole.strip():
            yield ShownLine("text", whole.rstrip())

    def _count(self, event: Any) -> None:
        paths = {
            "in": self._output.input_tokens_path,
            "out": self._output.output_tokens_path,
            "cost": self._output.cost_path,
        }
        for key, path in paths.items():
            each = (json_path.numbers(event, one) for one in (path or "").split())
            found = next((numbers for numbers in each if numbers), [])
            if found and self._output.aggregate_tokens:
                self._used[key] = self._used.get(key, 0) + sum(found)
            elif found:
                self._used[key] = found[-1]


def _up_to_line(text: str) -> tuple[str, str]:
    """Split behind the last line that is whole; a line that grows too long is one."""
    end = text.rfind("\n") + 1
    return (text, "") if len(text) - end > LINE_BYTES else (text[:end], text[end:])


def _shown(rule: Shown, part: Any) -> ShownLine | None:
    if rule.show == "tool":
        name = _texts(part, rule.name or "") or "tool"
        given = next((value for path in rule.path.split() for value in json_path.matches(part, path)), None)
        said = _short(_argument(given))
        return ShownLine("tool", _MARKS["tool"] + _short(name) + (f": {said}" if said else ""))
    text = _texts(part, rule.path)
    if rule.show == "piece":
        return ShownLine("piece", text) if text else None
    if not text.strip():
        return None
    if rule.show == "text":
        return ShownLine("text", text.rstrip())
    return _marked(rule.show, _first(text.strip("\n").split("\n")))


def _marked(kind: str, lines: Iterable[str]) -> ShownLine:
    """Return lines, each with the mark of its kind: none passes for another kind's."""
    return ShownLine(kind, "\n".join(_MARKS[kind] + line for line in lines))


def _texts(part: Any, paths: str) -> str:
    """Return the texts and numbers that the paths find: of one path a line each, of several side by side."""
    found = ([_words(value) for value in json_path.matches(part, path)] for path in paths.split())
    return " ".join(text for words in found if (text := "\n".join(word for word in words if word)))


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _argument(given: Any) -> str:
    if isinstance(given, dict):
        told = (given.get(key) for key in _TELLING)
        best = next((value for value in told if isinstance(value, str) and value), None)
        given = given if best is None else best
    if isinstance(given, str):
        return given
    return msgspec.json.encode(given).decode() if given else ""


def _short(text: str) -> str:
    """Return a text on one line, cut to what fits there."""
    line = " ".join(text[: 4 * _WIDTH].split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _first(lines: list[str]) -> Iterable[str]:
    for line in lines[:_RESULT_LINES]:
        yield line.rstrip() if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
    more = len(lines) - _RESULT_LINES
    if more > 0:
        yield f"… {more:,} more {'line' if more == 1 else 'lines'}"


def _usage(used: dict[str, float]) -> str:
    tokens = [f"{used[way]:,.0f} {way}" for way in ("in", "out") if used.get(way)]
    said = [f"tokens: {', '.join(tokens)}"] if tokens else []
    if used.get("cost"):
        said.append(f"cost: {dollars(used['cost'], known=True)}")
    return " · ".join(said)
