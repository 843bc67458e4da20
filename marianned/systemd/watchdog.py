"""What systemd is sent while the daemon lives: that the event loop turns, and how many jobs there are.

The pings come from the loop itself, so a blocked loop is noticed; between pings it sleeps.
"""

import math
from collections.abc import Callable

import anyio

from marianned.systemd.notify import Notifier

_PINGS_PER_TIMEOUT = 2.5
"""How many pings are sent in the time after which systemd gives a silent daemon up."""
_EXTENSION_SECONDS = 30.0
"""How much more time is asked for, again and again, while a start or a stop goes on."""
_STATUS_PAUSE_SECONDS = 0.5
"""The least time between two status lines."""


class Watchdog:
    """Sends pings and status lines, and asks for more time while a start or stop goes on (`set_busy`)."""

    def __init__(self, notifier: Notifier, status_text: Callable[[], str]) -> None:
        self._notifier = notifier
        self._status_text = status_text
        self._changed = anyio.Event()
        self._busy = anyio.Event()
        self._idle = anyio.Event()

    def note_change(self, _what: object = None) -> None:
        """Note that the status may have changed."""
        self._changed.set()

    def set_busy(self, *, busy: bool) -> None:
        """Ask for more time from now on, or no longer."""
        if busy:
            self._idle = anyio.Event()
            self._busy.set()
        else:
            self._busy = anyio.Event()
            self._idle.set()

    async def run(self) -> None:
        """Send watchdog pings until cancelled; return at once where nobody listens."""
        if not self._notifier.enabled:
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ping, self._notifier.watchdog_seconds or math.inf)
            tasks.start_soon(self._ask_for_time)
            tasks.start_soon(self._send_status)

    async def _ping(self, patience: float) -> None:
        while patience < math.inf:
            self._notifier.ping()
            await anyio.sleep(patience / _PINGS_PER_TIMEOUT)

    async def _ask_for_time(self) -> None:
        while True:
            await self._busy.wait()
            self._notifier.extend_timeout(_EXTENSION_SECONDS)
            with anyio.move_on_after(_EXTENSION_SECONDS / _PINGS_PER_TIMEOUT):
                await self._idle.wait()  # so that the next to be busy is not kept waiting

    async def _send_status(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            self._notifier.status(self._status_text())
            await anyio.sleep(_STATUS_PAUSE_SECONDS)
