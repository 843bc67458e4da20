"""What `ps` shows of this process: its arguments, without the values that were typed behind --env.

The kernel reads them out of the process's own memory, for everybody on the host and for as long as it runs.
So they are written over there, before anything else is done: Python has its own copy by then.
"""

import re
import sys
from collections.abc import Sequence

_SHOWN = "***"
_OPTION = re.compile(r"--env|-[a-zA-Z]*e", re.ASCII)
_JOINED = re.compile(r"((?:--env=|-[a-zA-Z]*?e)[A-Za-z_][A-Za-z0-9_]*)=", re.ASCII)
_START, _END = 45, 46
"""Where /proc/self/stat has the addresses of the arguments, counted behind the program's name."""


def hide_values(arguments: Sequence[str]) -> None:
    """Take the values of --env out of what others can see of this process's arguments; by best effort."""
    shown = [shown_as(before, one) for before, one in zip(("", *arguments), arguments, strict=False)]
    if shown == list(arguments):
        return
    try:
        _show([*[None] * (len(sys.orig_argv) - len(arguments)), *shown])
    except (OSError, ValueError):
        return  # /proc is not there: nobody can look either


def shown_as(before: str, argument: str) -> str:
    """Return an argument without the value of a variable; `before` is the one that stands before it."""
    found = _JOINED.match(argument)
    named = found[1] if found else argument.partition("=")[0] if _OPTION.fullmatch(before) else None
    if named is None or named == argument:
        return argument
    value = argument[len(named) + 1 :]
    return f"{named}={_SHOWN[: len(value)]}"  # never longer: there is no more room than before


def _show(shown: Sequence[str | None]) -> None:
    """Write over the arguments that the kernel shows of this process; None: as it is."""
    import ctypes

    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123  pathlib is not wanted for this
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[_START]), int(fields[_END])
    known = ctypes.string_at(start, end - start).removesuffix(b"\0").split(b"\0")
    if len(known) != len(shown):
        return
    changed = [
        old if new is None else new.encode(errors="surrogateescape")
        for old, new in zip(known, shown, strict=True)
    ]
    text = b"\0".join(changed)
    if len(text) < end - start:  # what others than Python have put there may be of any form
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
