"""What systemd hears while the daemon lives: that the event loop turns, and how many jobs there are.

It beats from the loop itself, so a loop that is blocked is noticed; between beats it sleeps.
"""

import math
from collections.abc import Callable

import anyio

from marianned.systemd.notify import Notifier

_BEATS = 2.5
"""How many come in the time after which systemd gives a silent daemon up."""
_LONGER_SECONDS = 30.0
"""For how long more is asked, again and again, while a start or a stop takes its time."""
_BREATH_SECONDS = 0.5
"""The least time between two tellings of what has changed."""


class Watchdog:
    """Beats, asks for time while `busy` says that a start or stop goes on, and tells of changes."""

    def __init__(self, notifier: Notifier, said: Callable[[], str]) -> None:
        self._notifier = notifier
        self._said = said
        self._changed = anyio.Event()
        self._busy = anyio.Event()
        self._idle = anyio.Event()

    def changed(self, _what: object = None) -> None:
        """Take note that something may have changed."""
        self._changed.set()

    def busy(self, *, busy: bool) -> None:
        """Ask for time from now on, or no more."""
        if busy:
            self._idle = anyio.Event()
            self._busy.set()
        else:
            self._busy = anyio.Event()
            self._idle.set()

    async def run(self) -> None:
        """Send watchdog pings until cancelled; return at once where nobody listens."""
        if not self._notifier.wanted:
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._beat, self._notifier.watchdog_seconds or math.inf)
            tasks.start_soon(self._ask_for_time)
            tasks.start_soon(self._tell)

    async def _beat(self, patience: float) -> None:
        while patience < math.inf:
            self._notifier.beat()
            await anyio.sleep(patience / _BEATS)

    async def _ask_for_time(self) -> None:
        while True:
            await self._busy.wait()
            self._notifier.longer(_LONGER_SECONDS)
            with anyio.move_on_after(_LONGER_SECONDS / _BEATS):
                await self._idle.wait()  # so that the next to be busy is not kept waiting

    async def _tell(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            self._notifier.status(self._said())
            await anyio.sleep(_BREATH_SECONDS)
