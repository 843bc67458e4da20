"""One job's loop: trigger, decide, one transaction, apply, actions; their results become triggers.

"Commit, act, commit" is written here once. When the transaction fails, nothing was applied and nothing
started: memory can't run ahead of the disk. Source: design/architecture.md "The core as data".
"""

import logging
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import TaskGroup

from marianned import faults, lifecycle
from marianned.clock import Instant
from marianned.conductor import pausefile
from marianned.conductor.attempt import Attempt, Given
from marianned.conductor.house import House
from marianned.conductor.now import now
from marianned.errors import MarianneError, WrongStatus
from marianned.executors.base import Presence
from marianned.lifecycle import Action
from marianned.progress.decide import could_use_slot, decide, to_be_ended
from marianned.progress.draft import Decision, apply
from marianned.progress.state import JobState
from marianned.progress.triggers import (
    Asked,
    Ending,
    GiveUp,
    Parked,
    PauseFile,
    SlotFree,
    TimeReached,
    Trigger,
)
from marianned.protocol import ENDED, JobStatus, Outcome, Reply
from marianned.rows import Account, AttemptRow, Changes, LimitRow
from marianned.store.writer import BrokenChanges

_AGAIN_SECONDS = 1.0
"""How long after a refused transaction an attempt's end is committed again."""

_SLEEP_SECONDS = 60.0
"""The longest sleep at a stretch while a moment is waited for."""

_logger = logging.getLogger(__name__)
Answer = Reply | MarianneError


class Waiter:
    """Somebody who waits for the answer of a request; `accepted` is set once it is on disk, or refused."""

    def __init__(self) -> None:
        self.accepted = anyio.Event()
        self.answered = anyio.Event()
        self.answer: Answer | None = None

    def give(self, answer: Answer) -> None:
        """Answer, once."""
        if self.answer is None:
            self.answer = answer
            self.accepted.set()
            self.answered.set()


class Job:
    """A run that is in memory: its state, and the one task that owns it."""

    def __init__(
        self, house: House, state: JobState, granted: Callable[[], None], retired: Callable[["Job"], None]
    ) -> None:
        self.house = house
        self.state = state
        self.status_event = 0
        self._granted = granted
        self._retired = retired
        self._send, self._receive = anyio.create_memory_object_stream[Trigger](math.inf)
        self._waiters: dict[str, Waiter] = {}
        self._watchers: list[Callable[[JobStatus, int], None]] = []
        self._attempts: dict[int, Attempt] = {}
        self._timer: anyio.CancelScope | None = None
        self._tasks: TaskGroup | None = None
        self._first_step = anyio.Event()
        self._gave_way = False
        state.limits = house.limits.rows

    @property
    def run_id(self) -> int:
        """The number of the run, which is also its age."""
        return self.state.run.run_id

    @property
    def status(self) -> JobStatus:
        """The status, of what is committed."""
        return lifecycle.status(self.state.facts)

    def pids(self) -> dict[int, int]:
        """Return the keeper's pid of each sheet (uid) in flight."""
        return {uid: attempt.pid for uid, attempt in self._attempts.items() if attempt.pid is not None}

    # --- from outside, on the same event loop ----------------------------------------------------------

    def fail(self, error: MarianneError) -> None:
        """Answer everybody who waits: the job's task has failed."""
        self._first_step.set()
        for waiter in self._waiters.values():
            waiter.give(error)
        self._waiters.clear()

    def poke(self) -> None:
        """Tell the job that a slot may be had."""
        self._send.send_nowait(SlotFree())

    async def begun(self) -> None:
        """Wait until the job has taken its first step, and so started what it may."""
        await self._first_step.wait()

    async def give_up(self, trigger: GiveUp) -> Answer | None:
        """Let this run make room, for the next one or for good."""
        waiter = self.wait_for(trigger.request)
        self._send.send_nowait(trigger)
        return await self.answer(trigger.request, waiter, None)

    async def ask(self, ask: Asked, patience: float | None) -> Answer | None:
        """Hand a request in and wait for its answer; None: the time ran out, the request stays in force.

        Whether it is refused is waited for in any case: a time that runs out says that it was not.
        """
        waiter = self.wait_for(ask.request.request)
        began = anyio.current_time()
        self._send.send_nowait(ask)
        await waiter.accepted.wait()
        left = patience - (anyio.current_time() - began) if ask.wait and patience is not None else None
        return await self.answer(ask.request.request, waiter, left)

    def wait_for(self, request: str) -> Waiter:
        """Return the waiter of a request; several who repeat it by its key share one."""
        return self._waiters.setdefault(request, Waiter())

    async def answer(self, request: str, waiter: Waiter, patience: float | None) -> Answer | None:
        """Wait for the answer of a request that has been handed in."""
        with anyio.move_on_after(math.inf if patience is None else patience):
            await waiter.answered.wait()
        if waiter.answer is None and request in self.state.requests and self._is_unkeyed(request):
            self._waiters.pop(request, None)
        return waiter.answer

    def _is_unkeyed(self, request: str) -> bool:
        return self.state.requests[request].key is None

    def watch(self, watcher: Callable[[JobStatus, int], None]) -> Callable[[], None]:
        """Call with the status and the event number of each commit; returns what ends that."""
        self._watchers.append(watcher)

        def leave() -> None:
            self._watchers.remove(watcher)
            if self.state.run.ended is not None:
                with suppress(anyio.ClosedResourceError):
                    self.poke()  # nobody may be left to keep the job in memory for

        return leave

    # --- the loop --------------------------------------------------------------------------------------

    async def serve(self, presences: dict[int, Presence]) -> None:
        """Own the state until the run has ended and nobody asks any more.

        `presences` are those of the attempts that were in flight when the state was read from disk.
        """
        async with self._receive, self._send, anyio.create_task_group() as self._tasks:
            self.house.scheduler.adopt(self.run_id, len(self.state.attempts))
            self.house.limits.settle(self.run_id, flying(self.state), now())
            for uid, presence in presences.items():
                self._play(self.state.attempts[uid], presence)
            for attempt in to_be_ended(self.state):
                self._interrupt(attempt)
            self._stand_for_slot()
            self.poke()
            async for trigger in self._receive:
                await self._step(trigger)
                self._first_step.set()
                if self._may_retire():
                    self._retired(self)
                    self._tasks.cancel_scope.cancel()

    def _may_retire(self) -> bool:
        idle = not self._waiters and not self._watchers and not self._receive.statistics().current_buffer_used
        return self.state.run.ended is not None and not self._attempts and idle

    async def _step(self, trigger: Trigger) -> None:
        try:
            if not isinstance(trigger, Asked | GiveUp):
                await self._look_for_pause_file()
            self._check_way(trigger)
            await self._decide(trigger)
        except MarianneError as error:
            self._refuse(trigger, error)
        except BrokenChanges:
            _logger.exception("a step of '%s' can't be stored", self.state.run.job_name)
            self._refuse(_bare(trigger), MarianneError("this can't be stored; the daemon's log has more"))
        except Exception:
            _logger.exception("a step of '%s' failed", self.state.run.job_name)
            self._refuse(trigger, MarianneError("a step of this job failed; the daemon's log has more"))

    def _check_way(self, trigger: Trigger) -> None:
        """Refuse what comes behind the run that took this one's place.

        Raises:
            WrongStatus: this run has made room.
        """
        if self._gave_way and isinstance(trigger, Asked | GiveUp):
            name = self.state.run.job_name
            raise WrongStatus(
                f"'{name}' has a newer run by now, or was removed; nothing has changed",
                job_id=f"{name}@{self.state.run.run}",
                status=self.status,
                hints=[f"mzt status {name}"],
            )

    def _refuse(self, trigger: Trigger, error: MarianneError) -> None:
        if isinstance(trigger, Asked | GiveUp):
            request = trigger.request if isinstance(trigger, GiveUp) else trigger.request.request
            waiter = self._waiters.pop(request, None)
            if waiter is not None:
                waiter.give(error)
        elif self._tasks is not None:
            self._tasks.start_soon(self._again, trigger)

    async def _again(self, trigger: Trigger) -> None:
        """Hand in once more what could not be committed: an end that has happened must be told."""
        await anyio.sleep(_AGAIN_SECONDS)
        self._send.send_nowait(trigger)

    async def _decide(self, trigger: Trigger) -> None:
        state = self.state
        scheduler = self.house.scheduler
        room = (
            state.score.parallel.max_concurrent - len(state.attempts) + isinstance(trigger, Ending | Parked)
        )
        self.house.disk.look()
        slots = scheduler.take(self.run_id, max(0, room))
        moment = now()
        rooms = self.house.limits.take(self.run_id, most_of(state), slots, moment)
        name = _name(trigger)
        faults.point(f"{name}.asked")
        event = self.house.store.last_event
        try:
            decision = decide(state, trigger, moment, slots, rooms)
            await self._before_commit(trigger, decision)
            changes = decision.changes
            if isinstance(trigger, GiveUp):
                changes = Changes(
                    rows=changes.rows + trigger.also.rows,
                    deleted=changes.deleted + trigger.also.deleted,
                    events=changes.events + trigger.also.events,
                )
            faults.point(f"{name}.decided")
            if changes:
                event = (await self.house.store.commit(changes)).event
        except BaseException:
            scheduler.give_back(self.run_id, slots)
            self.house.limits.settle(self.run_id, flying(state), now())
            self._granted()
            raise
        faults.point(f"{name}.committed")
        self._gave_way = self._gave_way or isinstance(trigger, GiveUp)
        before = self.status
        started = len(decision.starts) + len(decision.checks)
        ended = len(state.attempts) + started
        apply(state, decision)
        ended -= len(state.attempts)
        scheduler.give_back(self.run_id, slots - started + ended)
        for row in changes.rows:
            if isinstance(row, LimitRow):
                self.house.limits.put(row, moment)
        self.house.limits.settle(self.run_id, flying(state), moment)
        if self.status != before:
            self.status_event = event
        faults.point(f"{name}.applied")
        self._act(trigger, decision, event)
        faults.point(f"{name}.acted")
        await self._after_commit()

    def _act(self, trigger: Trigger, decision: Decision, event: int) -> None:
        for attempt in decision.starts:
            self._play(attempt, None)
        for attempt in decision.checks:
            self._play(attempt, Presence.ENDED)
        for attempt in decision.interrupts:
            self._interrupt(attempt)
        if isinstance(trigger, Asked) and (asking := self._waiters.get(trigger.request.request)):
            asking.accepted.set()
        for request, answer in decision.answers.items():
            waiter = self._waiters.pop(request, None)
            if waiter is not None:
                waiter.give(with_event(answer, event))
        for watcher in list(self._watchers):
            watcher(self.status, event)
        due = [when for when in (decision.wake, self._stand_for_slot()) if when is not None]
        self._set_timer(min(due, key=now().until, default=None))

    def _stand_for_slot(self) -> Instant | None:
        """Stand for a slot, or for room at an account; return when time itself makes some."""
        moment = now()
        most = most_of(self.state)
        closed = self.house.limits.closed(most, moment)
        wants = could_use_slot(self.state, moment, closed)
        self.house.scheduler.want(self.run_id, wants=wants)
        blocked: dict[Account, int | None] = {}
        if not wants and could_use_slot(self.state, moment):
            blocked = {account: most[account] for account in self.state.ready_accounts()}
        waiting = self.state.waiting_accounts() if lifecycle.may_start(self.state.facts) else set()
        opens = self.house.limits.stand(self.run_id, blocked, waiting, moment)
        self._granted()
        return opens

    # --- attempts --------------------------------------------------------------------------------------

    def _play(self, row: AttemptRow, presence: Presence | None) -> None:
        given = Given(
            run=self.state.run,
            revision=self.state.current.row,
            score=self.state.score,
            sheet=row.sheet,
            fallback=self.state.sheets[row.sheet].fallback,
            attempt=row,
        )
        attempt = Attempt(self.house, given)
        self._attempts[row.uid] = attempt
        if presence is Presence.NEVER_STARTED and not lifecycle.may_start(self.state.facts):
            attempt.give_up()
        assert self._tasks is not None
        self._tasks.start_soon(self._play_out, row, attempt, presence)

    def interrupt_all(self) -> None:
        """End what is in flight, to run it again later."""
        for row in self.state.attempts.values():
            self._interrupt(row)

    def _interrupt(self, row: AttemptRow) -> None:
        attempt = self._attempts.get(row.uid)
        if attempt is not None and self._tasks is not None:
            self._tasks.start_soon(self._interrupt_now, attempt)

    async def _interrupt_now(self, attempt: Attempt) -> None:
        try:
            await attempt.interrupt()
        except OSError:
            _logger.exception("an attempt of '%s' can't be told to end", self.state.run.job_name)

    async def _play_out(self, row: AttemptRow, attempt: Attempt, presence: Presence | None) -> None:
        try:
            ending = await attempt.play(presence)
        except Exception:
            _logger.exception("attempt %s failed in the daemon", self.house.attempt_id(row))
            await self._put_an_end_to(row)
            ending = _failed(row.uid, row.attempt)
        self._attempts.pop(row.uid, None)
        self._send.send_nowait(ending)

    async def _put_an_end_to(self, row: AttemptRow) -> None:
        """End an attempt that the daemon has failed over; until that is so, it counts as in flight."""
        while True:
            try:
                await self.house.executor.end(self.house.directory(row))
                await self.house.executor.wait(self.house.directory(row))
            except OSError:
                _logger.exception("attempt %s can't be ended yet", self.house.attempt_id(row))
                await anyio.sleep(_AGAIN_SECONDS)
            else:
                return

    # --- time --------------------------------------------------------------------------------------------

    def _set_timer(self, wake: Instant | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake is not None and self._tasks is not None:
            self._timer = anyio.CancelScope()
            self._tasks.start_soon(self._wake, self._timer, wake)

    async def _wake(self, scope: anyio.CancelScope, wake: Instant) -> None:
        """Wait for a moment of the boot's clock, which runs on in a suspend while sleeps do not."""
        with scope:
            while (left := now().until(wake) / 1000) > 0:  # noqa: ASYNC110  no event tells of time
                await anyio.sleep(min(left, _SLEEP_SECONDS))
            self._send.send_nowait(TimeReached())

    # --- the pause file ------------------------------------------------------------------------------------

    @property
    def _pause_file(self) -> Path:
        return pausefile.pause_file(self.state.run.workspace, self.state.run.job_name)

    async def _look_for_pause_file(self) -> None:
        """Look before each start, after each attempt and at the start of a wait (control.md §2)."""
        run = self.state.run
        if run.ended is not None or run.cancelling:
            return
        reason = await to_thread.run_sync(pausefile.look, self._pause_file)
        if reason is not None:
            await self._decide(PauseFile(reason or None))

    async def _before_commit(self, trigger: Trigger, decision: Decision) -> None:
        """Remove the pause file before a resume is in force; if that fails the resume is refused."""
        resumes = isinstance(trigger, Asked) and trigger.action in _RESUMES
        if not resumes or not decision.changes:
            return
        try:
            await to_thread.run_sync(pausefile.remove, self._pause_file)
        except OSError as error:
            name = self.state.run.job_name
            raise WrongStatus(
                f"'{name}' is held by '{self._pause_file}', which can't be removed: {error.strerror}",
                job_id=name,
                status=self.status,
                hints=[f"rm {self._pause_file}", f"mzt resume {name}"],
            ) from None

    async def _after_commit(self) -> None:
        if self.status in ENDED:
            try:
                await to_thread.run_sync(pausefile.remove, self._pause_file)
            except OSError as error:
                _logger.warning("the pause file '%s' can't be removed: %s", self._pause_file, error)


_RESUMES = (Action.RESUME, Action.RESUME_FROM, Action.MODIFY_RESUME)
_NAMES: dict[type[Trigger], str] = {
    Ending: "ended",
    GiveUp: "fresh",
    Parked: "parked",
    PauseFile: "file",
    SlotFree: "slot",
    TimeReached: "time",
}


def flying(state: JobState) -> Counter[Account]:
    """Count the attempts in flight by account."""
    return Counter(Account(row.instrument, row.model or "") for row in state.attempts.values())


def most_of(state: JobState) -> dict[Account, int | None]:
    """Return how many attempts each account of the score may have in flight."""
    return {account: state.most(account) for account in state.accounts()}


def _failed(uid: int, attempt: int) -> Ending:
    return Ending(
        uid=uid,
        attempt=attempt,
        outcome=Outcome.FAILED,
        category="config",
        message="the daemon failed over it; its log has more",
    )


def _bare(trigger: Trigger) -> Trigger:
    """Return an end without what could not be stored of it; it must be told in any case."""
    return _failed(trigger.uid, trigger.attempt) if isinstance(trigger, Ending) else trigger


def _name(trigger: Trigger) -> str:
    """Name a trigger for the fault points of its decision."""
    return trigger.action if isinstance(trigger, Asked) else _NAMES[type(trigger)]


def with_event(answer: Answer, event: int) -> Answer:
    """Return the answer with the number of the journal it is true at."""
    if isinstance(answer, MarianneError) or not hasattr(answer, "event"):
        return answer
    return msgspec.structs.replace(answer, event=event)
