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
        self._obstacle: Obstacle | None = None
        self._found_low = anyio.Event()

    def check(self) -> None:
        """Close the scheduler when there is too little room."""
        moment = time.monotonic()
        if moment - self._looked < _LOOK_SECONDS:
            return
        self._looked = moment
        if self.trouble is None and self._look() is not None:
            self._found_low.set()

    async def watch(self, reopened: Callable[[], None]) -> None:
        """Open the scheduler again when there is room; sleeps without end while all is well."""
        while True:
            await self._found_low.wait()
            while self._look() is not None:  # noqa: ASYNC110  no file system tells of room
                await anyio.sleep(_LOOK_SECONDS)
            self._found_low = anyio.Event()
            reopened()

    def _look(self) -> str | None:
        """Return what keeps slots from being granted, as it is now; let the scheduler know."""
        found = (_trouble(directory, self.minimum) for directory in self._directories)
        obstacle, self.trouble = next((trouble for trouble in found if trouble is not None), (None, None))
        if obstacle is not self._obstacle:
            if self._obstacle is not None:
                self._scheduler.open(self._obstacle)
            if obstacle is not None:
                self._scheduler.close(obstacle)
            self._obstacle = obstacle
        return self.trouble


def shortage(directory: Path, minimum: int) -> str | None:
    """Say what keeps work from starting in a directory: fewer than `minimum` bytes are free; else null."""
    trouble = _trouble(directory, minimum)
    return None if trouble is None else trouble[1]


def _trouble(directory: Path, minimum: int) -> tuple[Obstacle, str] | None:
    try:
        found = os.statvfs(directory)
    except OSError as error:
        return Obstacle.AWAY, f"'{directory}' can't be looked at: {error.strerror}; bring it back"
    free = found.f_bavail * found.f_frsize
    if free >= minimum:
        return None
    room = f"{free // MIB} MiB free at '{directory}'"
    return Obstacle.DISK, f"the disk is nearly full: {room}, min_free_disk is {minimum // MIB} MiB"
