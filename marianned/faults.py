"""Named points between two steps, where tests stop the daemon exactly; without the variable, nothing.

MARIANNE_FAULT is `POINT`, `POINT:N` (the N-th time it is reached), `POINT:N:stop` or `POINT:N:block`. The
daemon is killed there with SIGKILL, with `stop` held by SIGSTOP until somebody continues it, or with `block`
it stays there and does nothing else.
Source: docs/design/durability.md "Faults and what must hold".
"""

import os
import signal
import time
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
"""Beside the sources alone: an installed daemon has no faults, whatever its environment says."""


def _parse_fault(given: str) -> list[str]:
    words = given.split(":")
    usable = bool(given) and _TESTS.is_dir() and all(word.isdecimal() for word in words[1:2])
    return words if usable else [""]


_FAULT = _parse_fault(os.environ.get("MARIANNE_FAULT", ""))
_NAME = _FAULT[0]
_SIGNAL = signal.SIGSTOP if _FAULT[2:] == ["stop"] else signal.SIGKILL
_FOR_EVER_SECONDS = 3600
_left = int(_FAULT[1]) if len(_FAULT) > 1 else 1


def point(name: str) -> None:
    """Be stopped here, if this is the point and the time that was asked for."""
    if _NAME and name == _NAME:
        _reached()


def _reached() -> None:
    global _left  # noqa: PLW0603  a process has one fault, and it is for tests
    _left -= 1
    if _left == 0 and _FAULT[2:] == ["block"]:
        time.sleep(_FOR_EVER_SECONDS)
    elif _left == 0:
        os.kill(os.getpid(), _SIGNAL)
