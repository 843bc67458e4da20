r"""What may reach a terminal: the one place through which texts of agents, servers, scores and people go.

A terminal obeys what it is sent: it writes the clipboard, clears the screen, hides words, turns them round.
So control characters are shown as escapes (`\x1b`), tab and newline excepted, and so are those that turn the
direction of text. What belongs in one line (names, labels, reasons, messages) has its newlines and tabs
shown, too: no text of somebody else's begins a line of a screen. `--raw`, and a score's text as stored, are
bytes by design.
"""

import re
from typing import Any

from marianned.formatting import CONTROLS, escaped
from marianned.formatting import visible as text
from marianned.formatting import visible_json as json

__all__ = ["json", "line", "reply", "screen", "text"]

_CONTROL = re.compile(f"[{CONTROLS}\t\n]")
_OURS = re.compile(r"(\x1b\[[0-9]{1,2}m)")
"""Colours, which screens put in: of somebody else's they would be harmless, but none come so far."""
WHOLE_TEXTS = frozenset({"stdout_tail", "stderr_tail", "output", "prompt", "profile", "instrument_config"})
"""Keys of replies whose texts have lines of their own; screens set them off from what is ours."""


def line(said: str) -> str:
    """Return a text that belongs in one line as it may be shown."""
    return _CONTROL.sub(escaped, said)


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
