"""The supervisors of an attempt on this host, keeper and runner: found, signalled, looked up now and then.

They are who the attempt's directory says, or who it has said before, if they carry the attempt's mark. All
attempts that are waited for are looked up in turn, some at a time in one thread: stopped ones are woken,
files that are gone are told of, and where none has anything of its attempt any more, the wait ends. The more
attempts there are, the rarer a look at each of them is; all looks together cost no more.
"""

import errno
import logging
import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import anyio
from anyio.to_thread import run_sync

from marianned.executors import attempt_files, shim
from marianned.executors.base import AttemptPlace, SupervisorIdentity
from marianned.executors.host import traces
from marianned.moment import boot_id

SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What a look fails with where descriptors or memory are short: it tells nothing."""

_LOOK_SECONDS = 5.0
"""How often each is looked up, as long as there are few."""
_AT_ONCE, _LEAST_SECONDS = 50, 0.5
"""How many at a time, and how long it is from then to the next ones at least."""

_logger = logging.getLogger(__name__)


class SupervisorProcess(NamedTuple):
    """A keeper or a runner; `started` is its start time (traces.start_time)."""

    pid: int
    started: int
    stopped: bool


class _LookResult(NamedTuple):
    """What a look has found: whether nothing of it is left with them, and what is to be said of its files."""

    over: bool
    trouble: str | None = None


def living(place: AttemptPlace, known: SupervisorIdentity | None) -> list[SupervisorProcess]:
    """Return keeper and runner, in this order, as far as they live; each can end it alone; blocks."""
    return _living_of(place, known, _read_identity(place))


def _read_identity(place: AttemptPlace) -> SupervisorIdentity | None:
    return attempt_files.read(place.directory / shim.IDENTITY, SupervisorIdentity)


def _living_of(
    place: AttemptPlace, known: SupervisorIdentity | None, said: SupervisorIdentity | None
) -> list[SupervisorProcess]:
    mark = traces.trace_of(place.id).mark
    for running in [said] if said == known else [said, known]:
        if running is None or running.boot_id != boot_id():
            continue
        alive = []
        for pid, started in (
            (running.pid, running.start_time),
            (running.runner_pid, running.runner_start_time),
        ):
            found = traces.process_state(pid)
            if found is not None and found.start_time == started and traces.has_mark(pid, mark):
                alive.append(SupervisorProcess(pid, started, found.stopped))
        if alive:
            return alive
    return []


def identity_of(found: Sequence[tuple[int, int]]) -> SupervisorIdentity:
    """Return who looks after it, of the processes (pid, start time) that were found, the keeper first."""
    (pid, start_time), (runner, runner_start_time) = found[0], found[-1]
    return SupervisorIdentity(
        pid=pid,
        start_time=start_time,
        runner_pid=runner,
        runner_start_time=runner_start_time,
        boot_id=boot_id(),
    )


def send(place: AttemptPlace, known: SupervisorIdentity | None, number: int) -> None:
    """Send a signal to the first supervisor that lives, CONT to both; blocks."""
    with traces.reassigning:
        found = living(place, known)
        for process in found if number == signal.SIGCONT else found[:1]:
            opened = traces.open_process(process.pid, process.started)
            if opened is None:
                continue
            try:
                signal.pidfd_send_signal(opened, number)
            except ProcessLookupError:
                pass
            finally:
                os.close(opened)


def _look_up(place: AttemptPlace, known: SupervisorIdentity | None) -> _LookResult:
    said = _read_identity(place)
    alive = _living_of(place, known, said)
    if not alive:
        return _LookResult(over=True)
    if any(process.stopped for process in alive):
        send(place, known, signal.SIGCONT)
    if said is not None or (place.directory / shim.IDENTITY).exists():
        return _LookResult(over=False)
    who = known.pid if known is not None else "unknown"
    gone = f"its files in '{place.directory}' are gone; it runs on and is waited for (pid {who})"
    return _LookResult(over=False, trouble=gone)


def _look_up_all(
    asked: Sequence[tuple[AttemptPlace, SupervisorIdentity | None]],
) -> list[_LookResult | OSError]:
    found: list[_LookResult | OSError] = []
    for place, known in asked:
        try:
            found.append(_look_up(place, known))
        except OSError as error:
            found.append(error)
    return found


class _Waiter:
    """Somebody who waits for an attempt, with what the looks have found of it."""

    def __init__(self, place: AttemptPlace, say: Callable[[str], None]) -> None:
        self.place = place
        self.say = say
        self.scope = anyio.CancelScope()
        self.failed: OSError | None = None


class AttemptPoller:
    """Looks up all attempts that somebody waits for, as long as `serve` runs.

    `known` tells who is remembered to look after an attempt, by its id.
    """

    def __init__(self, known: Callable[[str], SupervisorIdentity | None]) -> None:
        self._known = known
        self._waiters: dict[_Waiter, None] = {}
        """The one that was looked up last stands last."""
        self._some = anyio.Event()

    @contextmanager
    def watching(self, place: AttemptPlace, say: Callable[[str], None]) -> Iterator[None]:
        """Look an attempt up while the block waits for it; once nothing of it is left, that is cancelled.

        Raises:
            OSError: it can't be looked up, for a reason that won't pass.
        """
        waiter = _Waiter(place, say)
        self._waiters[waiter] = None
        self._some.set()
        try:
            with waiter.scope:
                yield
        finally:
            self._waiters.pop(waiter, None)
        if waiter.failed is not None:
            raise waiter.failed

    async def serve(self) -> None:
        """Look without an end; sleep while nobody waits."""
        while True:
            if not self._waiters:
                self._some = anyio.Event()
                await self._some.wait()
            turns = math.ceil(len(self._waiters) / _AT_ONCE)
            await anyio.sleep(max(_LOOK_SECONDS / max(turns, 1), min(_LEAST_SECONDS, _LOOK_SECONDS)))
            try:
                await self._look_at_the_next()
            except Exception:  # a fault of ours must not take the daemon, and all other attempts, along
                _logger.exception("attempts can't be looked up; it is tried again")

    async def _look_at_the_next(self) -> None:
        asked = list(self._waiters)[:_AT_ONCE]
        found = await run_sync(_look_up_all, [(one.place, self._known(one.place.id)) for one in asked])
        for waiter, seen in zip(asked, found, strict=True):
            if waiter not in self._waiters:
                continue
            del self._waiters[waiter]
            self._waiters[waiter] = None
            if isinstance(seen, OSError):
                if seen.errno in SCARCE:
                    continue
                waiter.failed = seen
                waiter.scope.cancel()
            elif seen.over:
                waiter.scope.cancel()
            elif seen.trouble is not None:
                waiter.say(seen.trouble)
