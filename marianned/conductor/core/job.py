"""One job's loop: trigger, decide, one transaction, apply, actions; their results become triggers.

"Commit, act, commit" is written here once. When the transaction fails, nothing was applied and nothing
started: memory can't run ahead of the disk. Source: docs/design/architecture.md "The core as data".
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import TaskGroup

from marianned import faults, lifecycle, memory
from marianned.clock import Instant
from marianned.conductor.capacity.instruments import InstrumentAvailability
from marianned.conductor.core import concertlog, drift, pausefile
from marianned.conductor.core.hindrances import JobBlockers, is_endless
from marianned.conductor.core.reservation import Reservation
from marianned.conductor.core.transaction import TransactionAbandoned, TransactionPart
from marianned.conductor.core.waiters import Answer, Waiter, Waiters
from marianned.conductor.run.hook import HookContext
from marianned.conductor.run.supervisor import Supervisor, without_details
from marianned.conductor.services import Services
from marianned.errors import MarianneError, Unavailable, WrongStatus
from marianned.executors.base import Presence, WaitReason
from marianned.lifecycle import Action
from marianned.moment import now
from marianned.progress.deciding.decide import decide, flights_to_terminate
from marianned.progress.deciding.draft import Decision
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import (
    AttemptEnded,
    AttemptParked,
    AttemptWarned,
    ChainedJobEnded,
    ChainedJobsReady,
    HookEnded,
    HookWarned,
    JobRequest,
    KeepersReported,
    PauseFileFound,
    SkipEvaluated,
    SkipWarned,
    SlotFree,
    Supersede,
    TimeReached,
    Trigger,
    UntilJudged,
)
from marianned.protocol import ENDED, JobStatus, WaitingFor
from marianned.rows import Account, AttemptRow, Changes, Flight, HookRow
from marianned.store.writer import BrokenChanges

_AGAIN_SECONDS = 1.0
"""How long after a refused transaction an attempt's end is committed again."""

_MANY_SHEETS = 500
"""From so many on, what touches each of them is decided in a thread: it takes over ten milliseconds."""

_SLEEP_SECONDS = 60.0
"""The longest sleep at a stretch while a moment is waited for."""

_logger = logging.getLogger(__name__)


class JobRegistry(Protocol):
    """What a job asks of the conductor, which has all jobs in memory."""

    def grant(self) -> None:
        """Tell those whose turn it is that they may start something: capacity was given back."""

    def evict(self, job: "JobActor") -> None:
        """Take a job out of memory that has nothing more to do there."""

    async def chain(self, job: "JobActor", given: HookContext) -> HookEnded | None:
        """Check and submit a hook's job; None: `job` was told how that ended."""

    async def end_of(self, address: str) -> JobStatus | None:
        """Wait for the end of a run; None: it is not known any more."""

    def state_of(self, address: str) -> RunState | None:
        """Return the state of a run that has not ended; None: it has, or is not known."""

    def failing_before(self, job: "JobActor") -> str | None:
        """Name the run before a job's of which hooks of its failure are still to end; None: there is none."""

    def failed_over(self, job: "JobActor") -> None:
        """Tell whoever waits for it that the hooks of a job's failure have ended."""

    def changed(self, job: "JobActor", changes: Changes) -> None:
        """Tell whoever shows it what was committed of a job."""


class JobActor:
    """A run that is in memory: its state, and the one task that owns it.

    `moment` is another object once the state has become another: as long as it is the same, so is the state.
    """

    def __init__(self, services: Services, state: RunState, jobs: JobRegistry) -> None:
        self.services = services
        self.state = state
        state.incarnation = services.store.incarnation.number
        state.find = jobs.state_of
        state.endless = lambda: is_endless(
            self.state, JobBlockers(self.helper_waits(), None, self.queue_waits())
        )
        state.executor = services.settings.executor
        state.grace_seconds = services.settings.kill_grace
        state.closed_for = lambda: services.scheduler.closed_for
        self.moment = object()
        self.status_event = 0
        self._is_new = False
        self.superseded = False
        self._jobs = jobs
        self._share = Reservation(services, state, jobs.grant, lambda: self.kept_by is not None)
        self._send, self._receive = anyio.create_memory_object_stream[Trigger | TransactionPart](math.inf)
        self._waiters = Waiters()
        self._watchers: list[Callable[[JobStatus, int], None]] = []
        self._parts: set[TransactionPart] = set()
        self._awaited: set[str] = set()
        self._supervisor: Supervisor | None = None
        self._timer: anyio.CancelScope | None = None
        self._tasks: TaskGroup | None = None
        self._log_written: anyio.Event | None = None
        self._before: int | None = None
        self._usable = InstrumentAvailability(services.environ)

    @property
    def run_id(self) -> int:
        """The number of the run, which is also its age."""
        return self.state.run.run_id

    @property
    def status(self) -> JobStatus:
        """The status, of what is committed."""
        return lifecycle.status(self.state.facts)

    @property
    def true_at(self) -> int:
        """The journal's number that the state is true at: while a commit is under way, the one before it."""
        return self.services.store.last_event if self._before is None else self._before

    @property
    def kept_by(self) -> str | None:
        """The run before this one that keeps it from starting, for hooks of its failure; None: none does."""
        return self._jobs.failing_before(self)

    def pid(self, row: Flight) -> int | None:
        """Return the keeper's pid of a flight."""
        return None if self._supervisor is None else self._supervisor.pid(row)

    def blockers(self) -> JobBlockers:
        """Return what keeps the job back from outside of it."""
        return JobBlockers(self.helper_waits(), self.kept_by, self.queue_waits())

    def helper_waits(self) -> list[tuple[Flight, str]]:
        """Return which flights wait because something of ours fails, and for what."""
        waits = {} if self._supervisor is None else self._supervisor.helper_waits()
        if not waits:
            return []
        named = ((flight, waits.get(self.services.attempt_id(flight))) for flight in self.state.flights)
        return [(flight, why) for flight, why in named if why is not None]

    def queue_waits(self) -> list[tuple[Flight, WaitReason]]:
        """Return which attempts wait at a cluster, and for what."""
        waits = {} if self._supervisor is None else self._supervisor.queue_waits()
        if not waits:
            return []
        named = ((flight, waits.get(self.services.attempt_id(flight))) for flight in self.state.flights)
        return [(flight, why) for flight, why in named if why is not None]

    # --- from outside, on the same event loop ----------------------------------------------------------

    def fail(self, error: MarianneError) -> None:
        """Answer everybody who waits: the job's task has failed."""
        self._waiters.answer_all(error)
        for part in self._parts:
            part.refuse(error)

    def wake(self) -> None:
        """Tell the job that a slot may be had."""
        self._send.send_nowait(SlotFree())

    def begin(self) -> TransactionPart:
        """Let the loop decide on the first step of a run that the same transaction brings to the disk."""
        self._is_new = True
        return self.prepare(SlotFree())

    def prepare(self, trigger: ChainedJobsReady | Supersede | SlotFree) -> TransactionPart:
        """Let the loop decide on what goes into a transaction of several jobs, and wait for that."""
        part = TransactionPart(trigger)
        self._parts.add(part)
        self._send.send_nowait(part)
        return part

    async def ask(self, ask: JobRequest, patience: float | None) -> Answer | None:
        """Hand a request in and wait for its answer; None: the time ran out, the request stays in force.

        Whether it is refused is waited for in any case: a time that runs out says that it was not.
        """
        waiter = self.wait_for(ask.row.request)
        began = anyio.current_time()
        self._send.send_nowait(ask)
        await waiter.accepted.wait()
        left = patience - (anyio.current_time() - began) if ask.wait and patience is not None else None
        return await self.answer(ask.row.request, waiter, left)

    def wait_for(self, request: str) -> Waiter:
        """Return the waiter of a request; several who repeat it by its key share one."""
        return self._waiters.of(request)

    async def answer(self, request: str, waiter: Waiter, patience: float | None) -> Answer | None:
        """Wait for the answer of a request that has been handed in."""
        answer = await waiter.wait(patience)
        if answer is None and request in self.state.requests and self._is_unkeyed(request):
            self._waiters.forget(request)
        return answer

    def _is_unkeyed(self, request: str) -> bool:
        return self.state.requests[request].key is None

    def watch(self, watcher: Callable[[JobStatus, int], None]) -> Callable[[], None]:
        """Call with the status and the event of each commit that changes it; returns what ends that."""
        self._watchers.append(watcher)

        def leave() -> None:
            self._watchers.remove(watcher)
            if self.state.run.ended is not None:
                with suppress(anyio.ClosedResourceError):
                    self.wake()  # nobody may be left to keep the job in memory for

        return leave

    # --- the loop --------------------------------------------------------------------------------------

    async def serve(self, presences: dict[str, Presence]) -> None:
        """Own the state until the run has ended and nobody asks any more.

        `presences` are those of what was in flight when the state was read from disk, by their ids.
        """
        async with self._receive, self._send, anyio.create_task_group() as self._tasks:
            chain = partial(self._jobs.chain, self)
            self._supervisor = Supervisor(
                self.services, self.state, self._send.send_nowait, chain, self._tasks
            )
            self._share.restore()
            for flight in self.state.flights:
                self._supervisor.start(flight, presences[self.services.attempt_id(flight)])
            for flight in flights_to_terminate(self.state, now()):
                self._supervisor.interrupt(flight)
            self._withdraw()
            self._await_chained()
            if not self._is_new:  # else its first step is in the queue already
                self._share.enqueue()
                self.wake()
            async for step in self._receive:
                if isinstance(step, TransactionPart):
                    await self._take_part(step)
                else:
                    await self._step(step)
                # still new: its first commit failed, and the run is on no disk
                if self._is_new or self._may_be_evicted():
                    self._jobs.evict(self)
                    self._tasks.cancel_scope.cancel()

    def _may_be_evicted(self) -> bool:
        idle = not self._waiters and not self._watchers and not self._receive.statistics().current_buffer_used
        over = self.state.run.ended is not None and not self.state.flights and not self.state.failing
        return over and idle

    async def _step(self, trigger: Trigger) -> None:
        try:
            if pausefile.precedes(trigger):
                await self._look_for_pause_file()
            self._check_place(trigger)
            await self._decide(trigger)
        except MarianneError as error:
            self._refuse(trigger, error)
        except BrokenChanges:
            _logger.exception("a step of '%s' can't be stored", self.state.run.job_name)
            self._refuse(
                without_details(trigger), MarianneError("this can't be stored; the daemon's log has more")
            )
        except Exception:
            _logger.exception("a step of '%s' failed", self.state.run.job_name)
            self._refuse(trigger, MarianneError("a step of this job failed; the daemon's log has more"))

    async def _take_part(self, part: TransactionPart) -> None:
        """Decide for a transaction of several jobs, and apply that once it is committed."""
        try:
            self._check_place(part.trigger)
            await self._decide(part.trigger, part)
        except TransactionAbandoned:
            pass
        except MarianneError as error:
            part.refuse(error)
        except Exception:
            _logger.exception("a step of '%s' failed", self.state.run.job_name)
            part.refuse(MarianneError("a step of this job failed; the daemon's log has more"))
        finally:
            self._parts.discard(part)
            part.finish()

    def _check_place(self, trigger: Trigger) -> None:
        """Refuse what a damaged run can't do, and what comes behind the run that took this one's place.

        Raises:
            WrongStatus: this run is damaged, or superseded.
        """
        name, run = self.state.run.job_name, self.state.run.run
        if (
            self.state.damaged is not None
            and isinstance(trigger, JobRequest)
            and trigger.action != Action.CANCEL
        ):
            raise WrongStatus(
                f"'{name}' is damaged: {self.state.damaged}; it can only be cancelled and removed",
                job_id=name,
                status=self.status,
                hints=[f"mzt cancel {name}"],
            )
        if self.superseded and isinstance(trigger, JobRequest | Supersede):
            raise WrongStatus(
                f"'{name}' has a newer run by now, or was removed; nothing has changed",
                job_id=f"{name}@{run}",
                status=self.status,
                hints=[f"mzt status {name}"],
            )

    def _refuse(self, trigger: Trigger, error: MarianneError) -> None:
        if isinstance(trigger, JobRequest):
            self._waiters.answer(trigger.row.request, error)
        elif self._tasks is not None:
            self._tasks.start_soon(self._requeue, trigger)

    async def _requeue(self, trigger: Trigger) -> None:
        """Queue a trigger again whose commit failed: an attempt's end must not be lost."""
        await anyio.sleep(_AGAIN_SECONDS)
        self._send.send_nowait(trigger)

    async def _decide(self, trigger: Trigger, part: TransactionPart | None = None) -> None:
        """Decide what follows from a trigger, commit it, apply it, and act on it.

        Nothing is changed before the commit: capacity is reserved, the decision is made on a copy of the
        state, and what fails until then leaves memory and disk as they were. After the commit nothing may
        fail, and nothing is awaited: its events are told already, and who looks now sees what they say.
        The state becomes what the decision made of the copy, the reservation what is in flight,
        and only then anything starts, ends or is answered. A crash between the two is as if it came right
        after the commit: the next start reads the state from disk and acts by it. Fault points stand
        between the steps, one each. With a `part` the commit is that of the transaction it belongs to.
        """
        state = self.state
        ends = isinstance(
            trigger, AttemptEnded | AttemptParked | HookEnded | ChainedJobsReady | SkipEvaluated | UntilJudged
        )
        room = state.score.parallel.max_concurrent - state.flight_count + ends
        self.services.disk.check()
        state.unusable = await self._usable.unavailable(state)
        moment = now()
        taken = self._share.take(room, moment)
        name = _fault_point_name(trigger)
        faults.point(f"{name}.asked")
        try:
            given = (state, trigger, moment, taken.slots, taken.rooms)
            if self._is_long(trigger):
                decision = await to_thread.run_sync(_decide_in_thread, *given)
            else:
                decision = decide(*given)
            await self._before_commit(trigger, decision)
            faults.point(f"{name}.decided")
            event = await self._commit(decision, part)
            self._is_new = False
        except BaseException:
            self._share.give_back(taken)
            raise
        faults.point(f"{name}.committed")
        self.superseded = self.superseded or isinstance(trigger, Supersede)
        before, failing = self.status, self.state.failing
        started = len(decision.starts) + len(decision.checks) + len(decision.asks)
        started += decision.hook is not None
        ended = state.flight_count + started
        self._become(decision.state)
        ended -= state.flight_count
        self._share.settle_commit(taken, decision.changes, started, ended, moment)
        changed = self.status != before
        if changed:
            self.status_event = event
        if decision.changes:
            self._jobs.changed(self, decision.changes)
        faults.point(f"{name}.applied")
        self._act(trigger, decision, event)
        await self._write_log(decision.hooks_ended)
        for watcher in list(self._watchers) if changed else ():
            watcher(self.status, event)
        faults.point(f"{name}.acted")
        if failing and not self.state.failing:
            self._jobs.failed_over(self)
        await self._after_commit()
        if before in drift.AT_REST and self.status not in drift.AT_REST:
            await drift.forget_workspace(self.services, self.run_id)

    async def _commit(self, decision: Decision, part: TransactionPart | None) -> int:
        """Commit a decision; return the journal's number. Until it is applied, `true_at` stands still."""
        event = self._before = self.services.store.last_event
        try:
            if part is not None:
                event = await part.commit(decision)
            elif decision.changes:
                event = (await self.services.store.commit(decision.changes)).event
        except BaseException:
            self._before = None
            raise
        return event

    async def _write_log(self, ended: Sequence[HookRow]) -> None:
        """Append hooks that have ended to the concert's log, before whoever waits for the job is told."""
        if not ended:
            return
        self._log_written = anyio.Event()
        try:
            await concertlog.append_hooks(self.state, ended)
        finally:
            self._log_written.set()

    async def log_written(self) -> None:
        """Wait until the concert's log has all that has happened by now."""
        if self._log_written is not None:
            await self._log_written.wait()

    def _become(self, copy: RunState) -> None:
        self.state.become(copy)
        self._before = None
        self.moment = object()

    def _is_long(self, trigger: Trigger) -> bool:
        """Tell whether a decision may touch each sheet of a large job, not only what has just happened.

        In a thread others may look at the state meanwhile, for only its copy changes; only this loop could
        change it, and waits.
        """
        state = self.state
        sheets = len(state.score.sheets)
        if isinstance(trigger, JobRequest) and trigger.proposal is not None:
            sheets += len(trigger.proposal.version.score.sheets)
        touches_all = (
            isinstance(trigger, JobRequest | Supersede) or state.facts.staged or state.run.cancelling
        )
        return touches_all and sheets >= _MANY_SHEETS

    def _act(self, trigger: Trigger, decision: Decision, event: int) -> None:
        assert self._supervisor is not None
        for started_now in decision.starts:
            self._supervisor.start(started_now, None)
        for attempt in decision.checks:
            self._supervisor.start(attempt, Presence.ENDED)
        for asked in decision.asks:
            self._supervisor.start(asked, None)
        if decision.hook is not None:
            self._supervisor.start(decision.hook, None)
        for flight in (*decision.interrupts, decision.hook_interrupt):
            if flight is not None:
                self._supervisor.interrupt(flight)
        self._withdraw()
        self._await_chained()
        if isinstance(trigger, JobRequest):
            self._waiters.accept(trigger.row.request)
        for request, answer in decision.answers.items():
            self._waiters.answer(request, _with_event(answer, event))
        due = [when for when in (decision.wake, self._share.enqueue()) if when is not None]
        self._set_timer(min(due, key=now().until, default=None))

    # --- what is in flight, and jobs that hooks have started -------------------------------------------

    def _withdraw(self) -> None:
        """Take back what waits at a cluster, where nothing of the job may begin now."""
        if self.state.takes_back:
            self.withdraw()

    def withdraw(self) -> None:
        """Take back what waits at a cluster: it has not begun."""
        if self._supervisor is not None:
            self._supervisor.withdraw()

    def interrupt_all(self) -> None:
        """End what is in flight, to run it again later."""
        for row in self.state.flights:
            if self._supervisor is not None:
                self._supervisor.interrupt(row)

    def _await_chained(self) -> None:
        """Wait for the end of each job that a hook waits for, once."""
        assert self._tasks is not None
        for row in self.state.hooks:
            if (
                row.waiting_for == WaitingFor.JOB
                and row.chained is not None
                and row.chained not in self._awaited
            ):
                self._awaited.add(row.chained)
                self._tasks.start_soon(self._await_end, row.hook, row.chained)

    async def _await_end(self, hook: int, address: str) -> None:
        status = await self._jobs.end_of(address)
        self._awaited.discard(address)
        with suppress(anyio.ClosedResourceError):
            self._send.send_nowait(ChainedJobEnded(hook=hook, chained=address, status=status))

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
        """Look before each start, after each attempt and when a wait begins (docs/design/control.md §2)."""
        run = self.state.run
        if run.ended is not None or run.cancelling:
            return
        reason = await to_thread.run_sync(pausefile.read_pause_file, self._pause_file)
        if reason is not None:
            await self._decide(PauseFileFound(reason or None))

    async def _before_commit(self, trigger: Trigger, decision: Decision) -> None:
        """Do what must be done once a request is in force; if that fails the request is refused.

        The pause file is removed before a resume; supervisors are told limits before they are on record; the
        workspace is looked at before anybody is told that the job stands still.
        """
        await self._raise_limits(decision.extended)
        after = lifecycle.status(decision.state.facts)
        comes = after is not self.status or self.state.failing or isinstance(trigger, ChainedJobEnded)
        if after in drift.AT_REST and comes and not decision.state.failing:
            await drift.remember_workspace(self.services, decision.state)
        if self.status in _AT_A_STAND and after not in _AT_A_STAND and decision.changes:
            await self.services.worktrees.note_resume(self.state.run)
        resumes = isinstance(trigger, JobRequest) and trigger.action in _RESUMES
        if not resumes or not decision.changes:
            return
        await to_thread.run_sync(pausefile.clear, self._pause_file, self.state.run.job_name, self.status)

    async def _raise_limits(self, attempts: list[AttemptRow]) -> None:
        for row in attempts:
            try:
                executor = self.services.executors.of(row)
                place = self.services.place(row)
                await executor.raise_limit(place, row.limit_seconds)
                if row.silence_seconds is not None:
                    await executor.raise_limit(place, row.silence_seconds, silence=True)
            except OSError as error:
                name = self.state.run.job_name
                raise Unavailable(
                    f"the limit of sheet {row.sheet} of '{name}' can't be raised while it runs: {error};"
                    " nothing has changed",
                    job_id=name,
                    status=self.status,
                    hints=[f"mzt pause {name} --now"],
                ) from None

    async def _after_commit(self) -> None:
        if self.status in ENDED and not self.state.failing:
            self.services.worktrees.note_end(self.state.run)
            try:
                await to_thread.run_sync(pausefile.remove_pause_file, self._pause_file)
            except OSError as error:
                _logger.warning("the pause file '%s' can't be removed: %s", self._pause_file, error)


def _decide_in_thread(
    state: RunState, trigger: Trigger, moment: Instant, slots: int, rooms: Mapping[Account, int]
) -> Decision:
    with memory.without_collecting():
        return decide(state, trigger, moment, slots, rooms)


_AT_A_STAND = (JobStatus.PAUSED, *ENDED)
_RESUMES = (Action.RESUME, Action.RESUME_FROM, Action.RESUME_MARK, Action.MODIFY_RESUME)
_NAMES: dict[type[Trigger], str] = {
    ChainedJobsReady: "chain",
    ChainedJobEnded: "chained",
    AttemptEnded: "ended",
    Supersede: "fresh",
    HookEnded: "hook",
    HookWarned: "warned",
    KeepersReported: "warned",
    SkipEvaluated: "judged",
    AttemptParked: "parked",
    PauseFileFound: "file",
    SkipWarned: "warned",
    SlotFree: "slot",
    TimeReached: "time",
    UntilJudged: "round",
    AttemptWarned: "warned",
}


def _fault_point_name(trigger: Trigger) -> str:
    """Name a trigger for the fault points of its decision."""
    return trigger.action if isinstance(trigger, JobRequest) else _NAMES[type(trigger)]


def _with_event(answer: Answer, event: int) -> Answer:
    """Return the answer with the number of the journal it is true at."""
    if isinstance(answer, MarianneError) or not hasattr(answer, "event"):
        return answer
    return msgspec.structs.replace(answer, event=event)
