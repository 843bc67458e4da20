"""What Ctrl-C does to `mzt`: it ends the program, without a word in the middle of an import.

An exception there leaves half a module behind: whatever is imported on its base then fails with a traceback,
and an extension may crash. So in an import the program ends at once. Elsewhere KeyboardInterrupt lets a
command say where its job stands; a second Ctrl-C does not wait for that. Where SIGINT is ignored, as in the
background jobs of a shell, it stays so.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from types import FrameType
    from typing import NoReturn
else:
    import _signal as signal  # loaded with Python: to load `signal` takes as long as a Ctrl-C needs to come

EXIT = 130
"""The exit code of a program that was interrupted, as marianned.errors has it, without an import."""
_IMPORTING = "<frozen importlib"


def handle() -> None:
    """Take SIGINT over from Python."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def leave_to_asyncio() -> None:
    """Give it back: a loop has a handler of its own, if it finds Python's."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore() -> None:
    """Let what is done be done: nothing but the end of the program comes now."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_number: int, frame: "FrameType | None") -> "NoReturn":
    if _is_importing(frame):
        os._exit(EXIT)
    signal.signal(signal.SIGINT, _end)
    raise KeyboardInterrupt


def _end(_number: int, _frame: object) -> "NoReturn":
    os._exit(EXIT)


def _is_importing(frame: "FrameType | None") -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False
