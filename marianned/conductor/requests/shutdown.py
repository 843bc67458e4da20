"""Stopping: what is in flight goes on without the daemon, is waited for, or is interrupted first.

Source: docs/design/control.md §7.
"""

import os
from contextlib import suppress
from typing import NoReturn

import anyio
from anyio.abc import TaskGroup

from marianned.conductor.core.conductor import Conductor
from marianned.errors import Unavailable, WaitOverridden, WaitTimeout, WrongStatus
from marianned.protocol import Caller, DaemonHealth, Obstacle, Stop, Stopping
from marianned.rows import RequestRow
from marianned.systemd.watchdog import Watchdog


class ShutdownCoordinator:
    """Carries a stop out; `ready` is set when nothing keeps the daemon any more."""

    def __init__(self, conductor: Conductor, tasks: TaskGroup, watchdog: Watchdog) -> None:
        self.ready = anyio.Event()
        self._conductor = conductor
        self._scheduler = conductor.services.scheduler
        self._tasks = tasks
        self._watchdog = watchdog
        self._draining: anyio.CancelScope | None = None
        self._called_off = anyio.Event()
        self._called_off_by = ""
        self._detaching = False

    async def stop(self, caller: Caller, params: Stop) -> Stopping:
        """Begin to stop, or give a drain up; the reply tells how many attempts are in flight.

        A key counts here as everywhere: repeated after the next start, it stops nobody.
        """
        keys = self._conductor.keys

        async def act(request: RequestRow) -> Stopping:
            reply = self._begin(caller, params)
            with suppress(Unavailable):  # a daemon that can't write any more can still be stopped
                await keys.keep(request, reply)
            return reply

        if params.wait and params.mode == "drain":
            await self._wait_until_called_off(params.timeout)
        return await keys.run(caller, params, Stopping, act)

    async def _wait_until_called_off(self, seconds: float) -> NoReturn:
        """Wait for what ends a drain without ending the daemon; its end ends the connection.

        Raises:
            WaitOverridden: somebody has called it off, or there is none.
            WaitTimeout: the time is up.
        """
        with anyio.move_on_after(seconds):
            if self._draining is not None:
                await self._called_off.wait()
            raise WaitOverridden(
                f"the daemon stays: its drain was called off{self._called_off_by}",
                hints=["mzt status", "mzt stop --drain"],
            )
        flying = self._conductor.in_flight()
        raise WaitTimeout(f"the daemon still drains{_attempts(flying, 'waited for')}")

    def _begin(self, caller: Caller, params: Stop) -> Stopping:
        if self._scheduler.closed_for == Obstacle.STOPPING:
            raise WrongStatus("the daemon is stopping already", status=DaemonHealth.STOPPING)
        displaced = self._conductor.services.store.displaced
        if displaced is not None and displaced.lost and params.mode != "stay" and not params.lose_jobs:
            raise Unavailable(
                f"the daemon is not stopped, its jobs would be lost: {displaced}", hints=displaced.hints
            )
        flying = self._conductor.in_flight()
        if params.mode == "stay":
            self._call_off(caller)
            return self._reply(DaemonHealth.READY, "is ready", flying)
        if params.mode == "drain":
            self._scheduler.close(Obstacle.DRAINING)
            self._conductor.withdraw_all()
            if self._draining is None:
                self._draining = anyio.CancelScope()
                self._tasks.start_soon(self._drain, self._draining)
            return self._reply(DaemonHealth.DRAINING, f"draining{_attempts(flying, 'waited for')}", flying)
        self._scheduler.close(Obstacle.STOPPING)
        if params.mode == "kill":
            self._conductor.interrupt_all()
            self._tasks.start_soon(self._drain, anyio.CancelScope())
            return self._reply(DaemonHealth.STOPPING, f"stopping{_attempts(flying, 'interrupted')}", flying)
        self._detaching = True
        return self._reply(DaemonHealth.STOPPING, f"stopping{_going_on_text(flying)}", flying)

    def answered(self) -> None:
        """Stop now, if a stop that waits for nothing is under way: its reply has left (or can't any more).

        A refused stop, and one that a key repeats, have their reply, too, and stop nobody.
        """
        if self._detaching:
            self.ready.set()

    def _call_off(self, caller: Caller) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
        self._called_off_by = f" by {caller.name or 'a client'} (uid {caller.uid})"
        self._called_off.set()
        self._called_off = anyio.Event()
        self._scheduler.open(Obstacle.DRAINING)
        self._watchdog.set_busy(busy=False)
        self._watchdog.note_change()
        self._conductor.grant()

    async def _drain(self, scope: anyio.CancelScope) -> None:
        self._watchdog.set_busy(busy=True)
        self._watchdog.note_change()
        with scope:
            await self._conductor.idle()
            self.ready.set()

    def _reply(self, status: DaemonHealth, said: str, flying: int) -> Stopping:
        return Stopping(
            status=status,
            message=f"marianned (pid {os.getpid()}): {said}",
            pid=os.getpid(),
            attempts_in_flight=flying,
            event=self._conductor.services.store.last_event,
        )


def _attempts(count: int, what: str) -> str:
    if not count:
        return ""
    return f"; {count} attempt{' is' if count == 1 else 's are'} {what}"


def _going_on_text(count: int) -> str:
    if not count:
        return ""
    return f"; {count} attempt{' goes' if count == 1 else 's go'} on without it"
