"""Whether a command only hangs behind its final event; loaded by the runner where an attempt has one.

An agent may print its result and never exit. Its final event, with which it says that it is done, is a line
of JSON on its stdout; it counts once no more output has come for a while. The spec has the rule as `final`,
and the record of an end by it says `final` too. Like shim.py it imports nothing of ours, runs with `-I -S`,
and does with the private core of json: json and re are more than all else that a fork server loads. Nothing
here depends on the time of day. Source: docs/reference/score-format.md §23.3.
"""

import _json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_BYTES = 32 * 1024 * 1024
"""How much of what has come since the last look is read: its end."""
_MARK = b"\xef\xbb\xbf"
_OF_COLOURS = b"0123456789;?"

_LOOKS = 10
"""How often it is looked within the time of silence; so exact is its end."""


class _LenientJSON:
    strict = False
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


class FinalEventWatch:
    """Looks when it is `due` (monotonic clock) whether the final event is there, and nothing behind it."""

    def __init__(
        self,
        grace: float,
        event: str,
        where: "dict[str, Any]",
        goes_on: list[str],
        path: str,
        idle: tuple[str, ...] | list[str] = (),
    ) -> None:
        self.grace, self.event, self.where, self.goes_on = grace, event, where, goes_on
        self.passed_over = idle
        self.file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.size = self.read = 0
        self.came = False
        self.changed = time.monotonic()
        self.due = self.changed + grace / _LOOKS

    def poll(self) -> bool:
        """Look when it is time for that; False: its final event has come, and it has been silent since."""
        now = time.monotonic()
        if now < self.due:
            return True
        self.due = now + self.grace / _LOOKS
        size = os.fstat(self.file).st_size
        if size != self.size:
            self.size = size
            if not self.passed_over or self._read():  # idle events may come for ever
                self.changed = now
        elif now >= self.changed + self.grace:
            self._read()
        return not (self.came and now >= self.changed + self.grace)

    def has_come(self) -> bool:
        """Tell whether the final event stands there by now, be it ever so new."""
        self.size = os.fstat(self.file).st_size
        self._read()
        return self.came

    def _read(self) -> bool:
        """Read what has come since the last time, of which the last counts; tell whether it is output."""
        if self.read == self.size:
            return False
        start = max(self.read, self.size - _MOST_BYTES)
        data = os.pread(self.file, self.size - start, start)
        self.read = start + data.rfind(b"\n") + 1  # a line without an end is read again with it
        is_output = False
        for line in reversed(data.replace(b"\r", b"\n").split(b"\n")):
            kind, said = self._parse_line(line)
            is_output = is_output or (bool(line.strip()) and kind not in self.passed_over)
            if said is not None:
                self.came = said
                break
        return is_output

    def _parse_line(self, line: bytes) -> tuple[str | None, bool | None]:
        """Return the type of a line's event, and whether it is the final one (False: it takes that back)."""
        line = _without_prefix(line.replace(b"\0", b""))
        if not line.startswith(b"{"):
            return None, None
        try:
            event = _read_object(line.decode(errors="replace"))
        except (ValueError, RecursionError, StopIteration, SystemError):
            # StopIteration: a value is wanted where none is; SystemError: whatever else is wrong, the core
            # wants to raise an error of `json`, which is not loaded here
            return None, None
        kind = event.get("type")
        if not isinstance(kind, str):
            return None, None
        if kind == self.event and all(_value_at(event, path) == self.where[path] for path in self.where):
            return kind, True
        return kind, False if kind in self.goes_on else None


def _without_prefix(line: bytes) -> bytes:
    """Return a line without what may stand in front of an event: a byte order mark, blanks, colours, titles.

    marianned/instruments/printed_json.py has the same as a pattern.
    """
    while True:
        rest = line.removeprefix(_MARK).lstrip(b" \t")
        if rest.startswith(b"\x1b["):
            rest = rest[2:].lstrip(_OF_COLOURS)
            rest = rest[1:] if rest[:1].isalpha() else b""
        elif rest.startswith(b"\x1b]"):
            rest = rest.partition(b"\x07")[2]
        if rest == line:
            return line
        line = rest


def _read_object(text: str) -> "dict[str, Any]":
    """Return the object that a text is, as json.loads does where it is not strict."""
    value: dict[str, Any]
    value, end = _json.make_scanner(_LenientJSON)(text, 0)  # type: ignore[arg-type]
    if text[end:].strip(" \t\r\n"):
        raise ValueError("more stands behind it")
    return value


def _value_at(value: "Any", path: str) -> "Any":
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
