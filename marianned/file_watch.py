"""What the kernel tells of files: that one was deleted, moved, replaced or closed to us (inotify).

It tells nothing where a file system is unmounted, or where others serve it: so files are looked at now and
then all the same.
"""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import anyio

_LOOK_SECONDS = 60.0
"""How often it is looked at files of which the kernel would tell."""
_UNTOLD_SECONDS = 5.0
"""And where it tells nothing: one of them is not there, or no more can be asked for."""

_ATTRIBUTES, _GONE, _MOVED = 0x4, 0x400, 0x800
"""IN_ATTRIB (a name less is one), IN_DELETE_SELF, IN_MOVE_SELF. Source: inotify(7)."""


class FileWatch:
    """Hears of the files to which these paths lead when the block begins, until it ends."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = paths
        self._descriptor = -1
        self._is_told = False

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        wanted = _ATTRIBUTES | _GONE | _MOVED
        self._is_told = self._descriptor >= 0 and all(
            libc.inotify_add_watch(self._descriptor, os.fsencode(path), wanted) >= 0 for path in self._paths
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    async def touched(self) -> None:
        """Wait until there is a reason to look at the files."""
        if not self._is_told:
            await anyio.sleep(_UNTOLD_SECONDS)
            return
        with anyio.move_on_after(_LOOK_SECONDS), suppress(BlockingIOError):
            await anyio.wait_readable(self._descriptor)
            os.read(self._descriptor, 4096)
