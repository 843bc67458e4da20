"""What a limit of time or silence was raised to while its command runs; loaded by the runner once it is over.

The daemon writes it into the attempt's directory (local.py), where the command can write as well: so it is a
claim, which is believed only where it is a small regular file of this user that names this very attempt, and
only if it asks for more. Like shim.py it imports nothing of ours, and runs with `-I -S`.
Source: docs/design/control.md §5 "Live limits".
"""

import os
import stat

NAME = "limit"
SILENCE = "silence"
_MOST_BYTES = 300
_MOST_DIGITS = 15
"""Milliseconds: thirty thousand years."""


def text(attempt: str, seconds: float) -> bytes:
    """Return what is written: the attempt's id, and its limit from its start, in milliseconds."""
    return f"{attempt} {round(seconds * 1000)}\n".encode()


def read(attempt: str, name: str = NAME) -> float:
    """Return the limit in seconds that the file in the working directory names; 0: none that counts."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0.0
    try:
        facts = os.fstat(file)
        ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
        data = os.read(file, _MOST_BYTES + 1) if ours and facts.st_size <= _MOST_BYTES else b""
    except OSError:
        return 0.0
    finally:
        os.close(file)
    named, _, digits = data.rstrip(b"\n").rpartition(b" ")
    if named != attempt.encode() or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        return 0.0
    return int(digits) / 1000
