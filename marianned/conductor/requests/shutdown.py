"""Stopping: what is in flight goes on without the daemon, is waited for, or is interrupted first.

Source: docs/design/control.md §7.
"""

import os

import anyio
from anyio.abc import TaskGroup

from marianned.conductor.capacity.slots import DRAINING, STOPPING
from marianned.conductor.core.registry import Conductor
from marianned.errors import WrongStatus
from marianned.protocol import Caller, Stop, Stopping
from marianned.systemd.heart import Heart


class Stopper:
    """Carries a stop out; `ready` is set when nothing keeps the daemon any more."""

    def __init__(self, conductor: Conductor, tasks: TaskGroup, heart: Heart) -> None:
        self.ready = anyio.Event()
        self._conductor = conductor
        self._scheduler = conductor.house.scheduler
        self._tasks = tasks
        self._heart = heart
        self._draining: anyio.CancelScope | None = None

    async def stop(self, _caller: Caller, params: Stop) -> Stopping:
        """Begin to stop, or give a drain up; the reply tells how many attempts are in flight."""
        if self._scheduler.closed_for == STOPPING:
            raise WrongStatus("the daemon is stopping already", status=STOPPING)
        flying = self._conductor.in_flight()
        if params.mode == "stay":
            self._stay()
            return self._said("ready", "is ready", flying)
        if params.mode == "drain":
            self._scheduler.close(DRAINING)
            if self._draining is None:
                self._draining = anyio.CancelScope()
                self._tasks.start_soon(self._drain, self._draining)
            return self._said(DRAINING, f"draining{_attempts(flying, 'waited for')}", flying)
        self._scheduler.close(STOPPING)
        if params.mode == "kill":
            self._conductor.interrupt_all()
            self._tasks.start_soon(self._drain, anyio.CancelScope())
            return self._said(STOPPING, f"stopping{_attempts(flying, 'interrupted')}", flying)
        return self._said(STOPPING, f"stopping{_going_on(flying)}", flying)

    def _stay(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
        self._scheduler.open(DRAINING)
        self._heart.busy(busy=False)
        self._heart.changed()
        self._conductor.grant()

    async def _drain(self, scope: anyio.CancelScope) -> None:
        self._heart.busy(busy=True)
        self._heart.changed()
        with scope:
            await self._conductor.rested()
            self.ready.set()

    def _said(self, status: str, said: str, flying: int) -> Stopping:
        return Stopping(
            status=status,
            message=f"marianned (pid {os.getpid()}): {said}",
            pid=os.getpid(),
            attempts_in_flight=flying,
            event=self._conductor.house.store.last_event,
        )


def _attempts(count: int, what: str) -> str:
    if not count:
        return ""
    return f"; {count} attempt{' is' if count == 1 else 's are'} {what}"


def _going_on(count: int) -> str:
    if not count:
        return ""
    return f"; {count} attempt{' goes' if count == 1 else 's go'} on without it"
