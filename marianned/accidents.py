"""Accidents of our own helpers: never an outcome of the user's work, and tried again until it works.

A helper is whatever the daemon needs beside the work itself: worker processes, the supervisors of checks,
forks, descriptors, our files. One that fails raises Accident, and is called through `until_it_works`, which
repeats it with growing pauses. Only what remains when there is no Accident may become an outcome. Source:
docs/design/durability.md "One supervisor for whatever runs".
"""

import errno
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import chain, repeat
from typing import TypeVar

import anyio

from marianned.errors import Unavailable

SCARCE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM),
)
"""What passes: disk, memory, descriptors or processes run short."""

SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
"""What is short of the machine itself: it says nothing of the file that was to be read."""

REQUEST_SECONDS = 20.0
"""How long a request waits for a helper; what is in flight waits for ever."""

_PAUSES = (0.2, 1.0, 3.0, 5.0, 10.0)
"""Seconds between the tries; the last one is repeated."""

_LOST_PAUSES = (1.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds after the losses of one command; the last one is repeated. Mostly the first was all."""
_REPORTED_EACH = 3
"""How many losses of a command are told one by one; of more every second, fourth, eighth, and so on."""

T = TypeVar("T")


class Accident(Exception):
    """A helper of ours failed, which says nothing of the work: `message` is what has to pass.

    `pause` is the seconds after which it is tried again; None: as usual.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.pause = pause


class LossCounter:
    """Counts how often one command was lost: ended, or its supervisor, by somebody who is not its job.

    That says nothing of the work either, however often it happens, so there is no last time. What ends itself
    so is waited for until somebody changes it, with growing pauses.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """Count one more."""
        self.count += 1

    @property
    def pause(self) -> float:
        """Seconds after which the command runs again."""
        return _LOST_PAUSES[min(self.count, len(_LOST_PAUSES)) - 1]

    @property
    def many(self) -> bool:
        """Whether it may be the command that ends itself."""
        return self.count >= _REPORTED_EACH

    @property
    def is_reported(self) -> bool:
        """Whether this loss is worth a line in the journal."""
        return self.count <= _REPORTED_EACH or self.count.bit_count() == 1


class FlightAbandoned(Exception):
    """A flight is to end while it waits for a helper: its work is neither done nor failed."""


class HelperWait:
    """The wait of one flight while a helper of ours fails; `abandon` ends it, now or later."""

    def __init__(self) -> None:
        self.waits_for: str | None = None
        self._abandoned = False
        self._scope: anyio.CancelScope | None = None

    def abandon(self) -> None:
        """End the wait; a flight that meets no accident goes on."""
        self._abandoned = True
        self._cancel()

    def note(self, waits_for: str | None) -> None:
        """Note what is waited for; None: nothing any more."""
        self.waits_for = waits_for
        self._cancel()

    def _cancel(self) -> None:
        if self._abandoned and self.waits_for is not None and self._scope is not None:
            self._scope.cancel()

    async def run(self, once: Callable[[], Awaitable[T]]) -> T:
        """Await `once`, in a scope that `abandon` can end.

        Raises:
            FlightAbandoned: it was ended.
        """
        if self._scope is not None:
            return await once()
        try:
            with anyio.CancelScope() as self._scope:
                return await once()
        finally:
            self._scope, self.waits_for = None, None
        raise FlightAbandoned


current_wait: ContextVar[HelperWait | None] = ContextVar("marianne_helper_wait", default=None)
"""The wait of the flight that this task runs; None: it works for a request, whose client waits."""


def note_wait(waits_for: str) -> None:
    """Note in the wait of this task's flight, if it runs one, what it waits for."""
    wait = current_wait.get()
    if wait is not None:
        wait.note(waits_for)


async def until_it_works(once: Callable[[], Awaitable[T]]) -> T:
    """Call a helper, and again after each Accident: in a flight until it works or the flight is given up.

    Raises:
        FlightAbandoned: the flight is to end; the helper has not done its work.
        Unavailable: this is no flight, and it has not worked for REQUEST_SECONDS.
    """
    wait = current_wait.get()
    if wait is None:
        return await _repeat(once, REQUEST_SECONDS, None)
    return await wait.run(lambda: _repeat(once, float("inf"), wait))


async def _repeat(once: Callable[[], Awaitable[T]], seconds: float, wait: HelperWait | None) -> T:
    end = anyio.current_time() + seconds
    for usual in chain(_PAUSES, repeat(_PAUSES[-1])):
        try:
            done = await once()
        except Accident as accident:
            pause = usual if accident.pause is None else accident.pause
            if anyio.current_time() + pause > end:
                raise Unavailable(f"{accident.message}; nothing has changed, try it again") from None
            if wait is not None:
                wait.note(accident.message)
        else:
            if wait is not None:
                wait.note(None)
            return done
        await anyio.sleep(pause)
    raise AssertionError("the pauses never end")


def is_scarcity(error: OSError) -> bool:
    """Tell whether disk, memory, descriptors or processes ran short: that passes."""
    return error.errno in SCARCE


def runs_short(reason: str | None) -> bool:
    """Tell whether a start failed because disk, memory, descriptors or processes ran short.

    Nothing has run then, and the shortage passes. It stands at the end, behind the name of what it met, for a
    name can read like that, too.
    """
    return reason is not None and reason.endswith(tuple(map(os.strerror, SCARCE)))
