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


class Disk:
    """Looks at some file systems, at most once a second, and only when a slot is asked for.

    `low`: slots are refused for want of room, less than `minimum` bytes.
    """

    def __init__(self, directories: Sequence[Path], minimum: int, scheduler: Scheduler) -> None:
        self._directories = directories
        self.minimum = minimum
        self._scheduler = scheduler
        self._looked = -_LOOK_SECONDS
        self.low = False
        self._found_low = anyio.Event()

    def check(self) -> None:
        """Close the scheduler when there is too little room."""
        moment = time.monotonic()
        if moment - self._looked < _LOOK_SECONDS:
            return
        self._looked = moment
        if not self.low and self._free() < self.minimum:
            self.low = True
            self._scheduler.close(Obstacle.DISK)
            self._found_low.set()

    async def watch(self, reopened: Callable[[], None]) -> None:
        """Open the scheduler again when there is room; sleeps without end while all is well."""
        while True:
            await self._found_low.wait()
            while self._free() < self.minimum:  # noqa: ASYNC110  no file system tells of room
                await anyio.sleep(_LOOK_SECONDS)
            self._found_low = anyio.Event()
            self.low = False
            self._scheduler.open(Obstacle.DISK)
            reopened()

    def _free(self) -> int:
        try:
            found = [os.statvfs(directory) for directory in self._directories]
        except OSError:
            return 0
        return min(each.f_bavail * each.f_frsize for each in found)
