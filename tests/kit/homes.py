"""Where the homes of daemons lie: in memory, if there is room, where none of their syncs waits for a disk.

Whoever says where temporary files belong (TMPDIR) has homes there, on a disk for instance.
"""

import os
import tempfile
from functools import cache
from pathlib import Path

MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes that have to be free: hundreds of homes of a few hundred KiB, and a few tests that write a lot."""


def new_home():
    """Make one, that nobody else may enter."""
    usual = tempfile.gettempdir() == "/tmp"
    return Path(tempfile.mkdtemp(prefix="mar", dir=MEMORY if usual and _can_be_used() else None))


@cache
def _can_be_used():
    """Tell whether programs can be kept there, and enough of them."""
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    closed = found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) or not os.access(MEMORY, os.W_OK)
    return not closed and found.f_bavail * found.f_frsize >= _ROOM
