r"""What may reach a terminal: the one place through which texts of agents, servers, scores and people go.

A terminal obeys what it is sent: it writes the clipboard, clears the screen, hides words, turns them round.
So control characters are shown as escapes (`\x1b`), tab and newline excepted, and so are those that turn the
direction of text. What belongs in one line (names, labels, reasons, messages) has its newlines shown, too: no
text of somebody else's begins a line of a screen. `--raw`, and a score's text as stored, are bytes by design.
"""

import re
from typing import Any

_DIRECTIONS = "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONS}]|\n")
_OURS = re.compile(r"(\x1b\[[0-9]{1,2}m)")
"""Colours, which screens put in: of somebody else's they would be harmless, but none come so far."""
_BEYOND_JSON = re.compile(f"[\x7f-\x9f{_DIRECTIONS}]")
_SHORT = {"\n": "\\n", "\r": "\\r"}

WHOLE_TEXTS = frozenset({"stdout_tail", "stderr_tail", "output", "prompt", "profile", "instrument_config"})
"""Keys of replies whose texts have lines of their own; screens set them off from what is ours."""


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) <= 0xFF else f"\\u{ord(char):04x}")  # noqa: PLR2004


def text(said: str) -> str:
    """Return a text of several lines as it may be shown."""
    return "\n".join(_CONTROL.sub(_escaped, line) for line in said.replace("\r\n", "\n").split("\n"))


def line(said: str) -> str:
    """Return a text that belongs in one line as it may be shown."""
    return _CONTROL.sub(_escaped, said)


def screen(said: str, *, coloured: bool) -> str:
    """Return what a screen is made of as it may be shown; `coloured`: with the colours we put in."""
    if not coloured:
        return text(said)
    return "".join(part if _OURS.fullmatch(part) else text(part) for part in _OURS.split(said))


def reply(value: Any) -> Any:
    """Return a reply or an event with each of its texts in one line, but for those that have several."""
    if isinstance(value, str):
        return line(value)
    if isinstance(value, list):
        return [reply(one) for one in value]
    if isinstance(value, dict):
        return {key: one if key in WHOLE_TEXTS else reply(one) for key, one in value.items()}
    return value


def json(said: str) -> str:
    """Return JSON with the characters escaped that JSON lets through and a terminal obeys."""
    return _BEYOND_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", said)
