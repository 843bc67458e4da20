"""What large messages took of memory goes back to the system as soon as they are done with."""

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 * 1024


def give_back_large_blocks() -> None:
    """Let glibc map each large block by itself; elsewhere this does nothing.

    By itself it raises the size that counts as large with each block that is freed, up to 32 MiB: a few
    requests of 8 MiB at once then stay in the heap for good. Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
