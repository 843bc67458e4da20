"""The memory of this process: what large messages took goes back to the system, and nobody else reads it.

The garbage collector walks through all objects that could be in a cycle, and everybody waits: 10,000 sheets
with their plan took it 90 ms each time, many times in one modify. So sheets, their rows and plan lines are
none of its affair (gc=False), what a daemon has loaded at its start is not walked through again, and while a
large decision is made it rests.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_M_MMAP_THRESHOLD = -3
_PR_SET_DUMPABLE = 4
_LARGE_BYTES = 128 * 1024


def give_back_large_blocks() -> None:
    """Let glibc map each large block by itself; elsewhere this does nothing.

    By itself it raises the size that counts as large with each block that is freed, up to 32 MiB: a few
    requests of 8 MiB at once then stay in the heap for good. Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def keep_to_ourselves() -> None:
    """Leave no core dump, and close /proc/PID/environ and ptrace to other processes of the user.

    All secrets of the daemon are in its memory. What it executes is readable again: attempts are known by
    their environment. So is the nursery, which does this again; workers are forked from it, and inherit it.
    Source: PR_SET_DUMPABLE(2const).
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def spare_what_is_loaded() -> None:
    """Let the garbage collector leave out all that there is now, for it stays; it runs from now on.

    What little is garbage stays, too: to look for it takes a tenth of a start.
    """
    gc.freeze()
    gc.enable()


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let the garbage collector rest: what is made here goes by itself, being in no cycle."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
