"""`--watch`: a screen shown again whenever something changes; on a terminal drawn over, every second."""

import os
import sys
import time
from collections.abc import Callable

from marianne_cli import exits, terminal
from marianne_cli.context import CommandOutcome, Invocation, wants_colours
from marianned.errors import NoDaemon

_SECONDS = 1.0
_ENDED = {"completed", "failed", "cancelled"}
_REDRAW = "\x1b[H\x1b[2J"


def watch_until_end(call: Invocation, work: Callable[[], CommandOutcome]) -> int:
    """Show the outcome again and again until its job has ended; return the exit code of the last one.

    A terminal is drawn over; elsewhere an answer is printed when something has happened since the one
    before. A daemon that stops is waited for.

    Raises:
        MarianneError: the first time it is refused, or later for another reason than that nobody answers.
    """
    seen: object = None
    call.paged = False
    drawn = not call.as_json and sys.stdout.isatty()
    while True:
        try:
            answer = work()
        except NoDaemon as error:
            if seen is None:
                raise
            call.close()
            if drawn:
                _draw(f"{error.message}; waiting for it")
            time.sleep(_SECONDS)
            continue
        ended = bool(answer.result.get("job_id")) and answer.result.get("status") in _ENDED
        if drawn and not ended:
            _draw(terminal.line(answer.result["message"]) if answer.text is None else answer.text)
        elif ended or answer.result["event"] != seen:
            exits.write(_REDRAW if drawn else "")
            code = exits.print_outcome(call, answer)
            if ended:
                return code
        seen = answer.result["event"]
        time.sleep(_SECONDS)


def _draw(text: str) -> None:
    """Draw over the terminal, cut to its height."""
    rows = os.get_terminal_size(sys.stdout.fileno()).lines
    lines = text.split("\n")
    if 2 < rows <= len(lines):  # noqa: PLR2004  else there is no room, or nobody knows how much
        lines = [*lines[: rows - 2], f"and {len(lines) - rows + 2} more lines"]
    said = terminal.screen("\n".join(lines), coloured=wants_colours(sys.stdout))
    exits.write(f"{_REDRAW}{said}\n")
