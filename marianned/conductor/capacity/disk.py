"""Room on the disk, and the place of attempts: without either no slots are granted; with both, work goes on.

Source: docs/design/durability.md "Faults and what must hold".
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio

from marianned.conductor.capacity.incarnation_directory import IncarnationDirectory
from marianned.conductor.capacity.slots import Scheduler
from marianned.protocol import Obstacle

_LOOK_SECONDS = 1.0
_GRAVEST = (Obstacle.DISK, Obstacle.AWAY)


class SlotRefusal(NamedTuple):
    """Why slots are refused: the obstacle, in words, and the place that has it."""

    obstacle: Obstacle
    text: str
    place: Path


MIB = 1024**2


class DiskMonitor:
    """Looks at some file systems, at most once a second, and only when a slot is asked for.

    They are refused for less than `minimum` bytes of room, or for a place that can't be looked at, or is away
    (see IncarnationDirectory), where nothing could be written either.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        minimum: int,
        scheduler: Scheduler,
        incarnation_directory: IncarnationDirectory | None = None,
    ) -> None:
        self._incarnation_directory = incarnation_directory
        self._directories = directories
        self.minimum = minimum
        self._scheduler = scheduler
        self._looked = -_LOOK_SECONDS
        self._found: SlotRefusal | None = None
        self._found_low = anyio.Event()

    @property
    def trouble(self) -> str | None:
        """Why slots are refused; null: they are not."""
        return None if self._found is None else self._found.text

    @property
    def away(self) -> SlotRefusal | None:
        """What is away, where that is why slots are refused."""
        return self._found if self._found is not None and self._found.obstacle is Obstacle.AWAY else None

    def check(self) -> None:
        """Close the scheduler when there is too little room."""
        moment = time.monotonic()
        if moment - self._looked < _LOOK_SECONDS:
            return
        self._looked = moment
        if self.trouble is None and self._update() is not None:
            self._found_low.set()

    async def watch(self, reopened: Callable[[], None]) -> None:
        """Open the scheduler again when there is room; sleeps without end while all is well."""
        while True:
            await self._found_low.wait()
            while self._update() is not None:  # noqa: ASYNC110  no file system tells of room
                await anyio.sleep(_LOOK_SECONDS)
            self._found_low = anyio.Event()
            reopened()

    def _update(self) -> str | None:
        """Return what keeps slots from being granted, as it is now; let the scheduler know."""
        before = self._found
        self._found = min(self._refusals(), key=lambda one: _GRAVEST.index(one.obstacle), default=None)
        if before is not None:
            self._scheduler.open(before.obstacle)
        if self._found is not None:
            self._scheduler.close(self._found.obstacle)
        return self.trouble

    def _refusals(self) -> Iterator[SlotRefusal]:
        if (
            self._incarnation_directory is not None
            and (missing := self._incarnation_directory.why_missing()) is not None
        ):
            yield SlotRefusal(Obstacle.AWAY, missing, self._incarnation_directory.attempts)
        for directory in self._directories:
            if (trouble := _refusal_for(directory, self.minimum)) is not None:
                yield trouble


def shortage(directory: Path, minimum: int) -> str | None:
    """Say what keeps work from starting in a directory: fewer than `minimum` bytes are free; else null."""
    trouble = _refusal_for(directory, minimum)
    return None if trouble is None else trouble.text


def _refusal_for(directory: Path, minimum: int) -> SlotRefusal | None:
    try:
        found = os.statvfs(directory)
    except OSError as error:
        text = f"'{directory}' can't be looked at: {error.strerror}; bring it back"
        return SlotRefusal(Obstacle.AWAY, text, directory)
    free = found.f_bavail * found.f_frsize
    if free >= minimum:
        return None
    room = f"{free // MIB} MiB free at '{directory}'"
    text = f"the disk is nearly full: {room}, min_free_disk is {minimum // MIB} MiB"
    return SlotRefusal(Obstacle.DISK, text, directory)
