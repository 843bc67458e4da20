"""The memory of this process: what large messages took goes back to the system, and nobody else reads it."""

import ctypes

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
