"""Room on the disk: below `min_free_disk` no slots are granted; with room, work goes on by itself.

Source: docs/design/durability.md "Faults and what must hold".
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from marianned.conductor.capacity.slots import Scheduler
from marianned.protocol import Obstacle

_LOOK_SECONDS = 1.0
MIB = 1024**2


class Disk:
    """Looks at some file systems, at most once a second, and only when a slot is asked for.

    `trouble`: why slots are refused: less than `minimum` bytes of room, or a place that can't be looked at,
    where nothing could be written either; null: they are not.
    """

    def __init__(self, directories: Sequence[Path], minimum: int, scheduler: Scheduler) -> None:
        self._directories = directories
        self.minimum = minimum
        self._scheduler = scheduler
        self._looked = -_LOOK_SECONDS
        self.trouble: str | None = None
        self._found_low = anyio.Event()

    def check(self) -> None:
        """Close the scheduler when there is too little room."""
        moment = time.monotonic()
        if moment - self._looked < _LOOK_SECONDS:
            return
        self._looked = moment
        if self.trouble is None and (trouble := self._look()) is not None:
            self.trouble = trouble
            self._scheduler.close(Obstacle.DISK)
            self._found_low.set()

    async def watch(self, reopened: Callable[[], None]) -> None:
        """Open the scheduler again when there is room; sleeps without end while all is well."""
        while True:
            await self._found_low.wait()
            while (trouble := self._look()) is not None:
                self.trouble = trouble
                await anyio.sleep(_LOOK_SECONDS)  # no file system tells of room
            self._found_low = anyio.Event()
            self.trouble = None
            self._scheduler.open(Obstacle.DISK)
            reopened()

    def _look(self) -> str | None:
        """Return what keeps slots from being granted, as it is now."""
        found = (shortage(directory, self.minimum) for directory in self._directories)
        return next((trouble for trouble in found if trouble is not None), None)


def shortage(directory: Path, minimum: int) -> str | None:
    """Say what keeps work from starting in a directory: fewer than `minimum` bytes are free; else null."""
    try:
        found = os.statvfs(directory)
    except OSError as error:
        return f"'{directory}' can't be looked at: {error.strerror}; bring it back"
    free = found.f_bavail * found.f_frsize
    if free >= minimum:
        return None
    room = f"{free // MIB} MiB free at '{directory}'"
    return f"the disk is nearly full: {room}, min_free_disk is {minimum // MIB} MiB"
