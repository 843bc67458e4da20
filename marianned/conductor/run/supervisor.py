"""Runs what is in flight for one job: attempts and hooks are started, interrupted, watched until they end."""

import logging
from collections.abc import Callable
from typing import Protocol, assert_never

import anyio
from anyio.abc import TaskGroup

from marianned import accidents, lifecycle
from marianned.conductor.run.attempt import AttemptContext, AttemptRunner
from marianned.conductor.run.hook import Chain, HookContext, HookRunner
from marianned.conductor.run.skip import SkipEvaluation
from marianned.conductor.run.until import UntilQuestion
from marianned.conductor.run.watch import AttemptWatcher
from marianned.conductor.services import Services
from marianned.errors import Unavailable
from marianned.executors.base import Presence, WaitReason
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import (
    AttemptEnded,
    AttemptParked,
    HookEnded,
    Keeper,
    KeepersReported,
    SkipEvaluated,
    Trigger,
    UntilJudged,
)
from marianned.protocol import ErrorCategory, Outcome
from marianned.rows import AttemptRow, Flight, HookRow, LoopRow, SkipRow

_PASSING = (OSError, MemoryError, Unavailable, accidents.Accident)
"""What passes, however long it takes; any other failure is a defect of the daemon."""
_FAILURES_MOST = 3
"""How often the daemon fails over a flight before that is the flight's end."""
_FAILED_PAUSE_SECONDS = 3.0
_GATHERING_SECONDS = 0.25
"""How long keepers are gathered whose pids one commit is to have."""
_AGAIN_SECONDS = 1.0
"""How long after an attempt that can't be ended yet is told to end once more."""

_logger = logging.getLogger(__name__)


class FlightRunner(Protocol):
    """Runs one flight to its end; `helper_wait` says which helper it waits for."""

    helper_wait: accidents.HelperWait

    @property
    def interrupted(self) -> bool:
        """Tell whether it is to end."""

    @property
    def pid(self) -> int | None:
        """Its supervisor's."""

    async def run(
        self, presence: Presence | None = None
    ) -> AttemptEnded | AttemptParked | HookEnded | SkipEvaluated | UntilJudged | None:
        """Start it, or pick it up; return how it ended, if that is not known yet."""

    def abandon(self) -> None:
        """Don't start it any more."""

    async def interrupt(self, *, drop: bool = False) -> None:
        """End it."""


class Supervisor:
    """Runs the flights of one job, each by a runner of its kind; `tell` hands their ends to the job."""

    def __init__(
        self,
        services: Services,
        state: RunState,
        tell: Callable[[Trigger], None],
        chain: Chain,
        tasks: TaskGroup,
    ) -> None:
        self._services = services
        self._state = state
        self._tell = tell
        self._chain = chain
        self._tasks = tasks
        self._runners: dict[str, FlightRunner] = {}
        self._new_keepers: list[Keeper] = []

    def pid(self, row: Flight) -> int | None:
        """Return the keeper's pid of a flight."""
        runner = self._runners.get(self._services.attempt_id(row))
        return None if runner is None else runner.pid

    def start(self, row: Flight, presence: Presence | None) -> None:
        """Run a flight, or pick it up where `presence` says it stands."""
        runner = self._make_runner(row)
        self._runners[self._services.attempt_id(row)] = runner
        may_start = lifecycle.may_start_hook if isinstance(row, HookRow) else lifecycle.may_start
        if presence is Presence.NEVER_STARTED and not may_start(self._state.facts):
            runner.abandon()
        self._tasks.start_soon(self._run_to_end, row, runner, presence)

    def _make_runner(self, row: Flight) -> FlightRunner:
        state = self._state
        match row:
            case AttemptRow() if state.damaged is not None:
                return AttemptWatcher(self._services, row)
            case AttemptRow():
                sheet = state.number_of(row)
                given = AttemptContext(
                    run=state.run,
                    revision=state.current.row,
                    score=state.score,
                    sheet=sheet,
                    fallback=state.sheets[sheet].fallback,
                    attempt=row,
                )
                return AttemptRunner(self._services, given, self._tell, self._report_keeper)
            case SkipRow():
                return SkipEvaluation(self._services, state, row, self._tell)
            case LoopRow():
                return UntilQuestion(self._services, state, row)
            case HookRow():
                hook = HookContext(
                    run=state.run,
                    row=row,
                    hook=state.hook_definition(row.hook),
                    concert=state.score.concert,
                    score=state.score,
                )
                return HookRunner(self._services, hook, self._chain, self._tell)
            case _:
                assert_never(row)

    def _report_keeper(self, keeper: Keeper) -> None:
        """Let the database know who looks after an attempt, with all that come within a moment.

        A thousand that begin together would be as many steps of their job, and as many commits.
        """
        self._new_keepers.append(keeper)
        if len(self._new_keepers) == 1:
            self._tasks.start_soon(self._report_keepers)

    async def _report_keepers(self) -> None:
        await anyio.sleep(_GATHERING_SECONDS)
        keepers, self._new_keepers = self._new_keepers, []
        self._tell(KeepersReported(keepers))

    def interrupt(self, row: Flight) -> None:
        """End a flight, to run it again later.

        It knows so at once: an end that it finds on disk is taken for one that was asked for before.
        """
        runner = self._runners.get(self._services.attempt_id(row))
        if runner is not None:
            runner.abandon()
            self._tasks.start_soon(self._interrupt, runner)

    def withdraw(self) -> None:
        """Take back what waits in a cluster's queue: the job starts nothing now."""
        for runner in list(self._runners.values()):
            if isinstance(runner, AttemptRunner) and runner.away:
                self._tasks.start_soon(self._withdraw, runner)

    async def _withdraw(self, runner: AttemptRunner) -> None:
        try:
            await runner.withdraw()
        except OSError:
            _logger.exception("an attempt of '%s' can't be withdrawn", self._state.run.job_name)

    def queue_waits(self) -> dict[str, WaitReason]:
        """Return what attempts, by their ids, wait for at a cluster."""
        items = self._runners.items()
        runners = (
            (name, runner) for name, runner in items if isinstance(runner, AttemptRunner) and runner.away
        )
        return {name: why for name, runner in runners if (why := runner.queue_wait()) is not None}

    async def _interrupt(self, runner: FlightRunner) -> None:
        try:
            await runner.interrupt(drop=self._state.run.cancelling)
        except OSError:
            _logger.exception("a flight of '%s' can't be told to end", self._state.run.job_name)

    async def _run_to_end(self, row: Flight, runner: FlightRunner, presence: Presence | None) -> None:
        ending: Trigger | None
        name, failures = self._services.attempt_id(row), 0
        while True:
            accidents.current_wait.set(runner.helper_wait)
            try:
                ending = await runner.run(presence)
                break
            except Exception as error:
                _logger.exception("%s failed in the daemon", name)
                failures += not isinstance(error, _PASSING)
                if failures >= _FAILURES_MOST:
                    await self._end_flight(row)
                    ending = _internal_failure(row)
                    break
                runner, presence = await self._pick_up_again(row, runner, str(error) or type(error).__name__)
        self._runners.pop(name, None)
        if ending is not None:
            self._tell(ending)

    async def _pick_up_again(
        self, row: Flight, failed: FlightRunner, why: str
    ) -> tuple[FlightRunner, Presence]:
        """Pick up a flight that the daemon failed over, as after a restart: what has ended is not lost."""
        failed.helper_wait.waits_for = f"the daemon failed over it ({why}) and tries again"
        await anyio.sleep(_FAILED_PAUSE_SECONDS)
        presence = Presence.NEVER_STARTED
        while not isinstance(row, LoopRow):
            try:
                presence = await self._services.executors.of(row).presence(self._services.place(row))
                break
            except OSError:
                _logger.exception("%s can't be looked for", self._services.attempt_id(row))
                await anyio.sleep(_FAILED_PAUSE_SECONDS)
        runner = self._make_runner(row)
        self._runners[self._services.attempt_id(row)] = runner
        if failed.interrupted:
            runner.abandon()
            if presence is Presence.RUNNING:
                self._tasks.start_soon(self._interrupt, runner)
        return runner, presence

    def helper_waits(self) -> dict[str, str]:
        """Return what flights, by their ids, wait for because something of ours fails."""
        runners = list(self._runners.items())
        return {name: why for name, one in runners if (why := one.helper_wait.waits_for) is not None}

    async def _end_flight(self, row: Flight) -> None:
        """End a flight that internal errors keep failing; until that is so, it counts as in flight."""
        while not isinstance(row, LoopRow):
            try:
                executor, place = self._services.executors.of(row), self._services.place(row)
                await executor.end(place)
                await executor.wait(place)
            except OSError:
                _logger.exception("%s can't be ended yet", self._services.attempt_id(row))
                await anyio.sleep(_AGAIN_SECONDS)
            else:
                return


_MESSAGE = "internal error in marianned; its log has more"


def _internal_failure(row: Flight) -> AttemptEnded | HookEnded | SkipEvaluated | UntilJudged:
    """Return the end of a flight that an internal error of the daemon has ended."""
    match row:
        case AttemptRow():
            return _attempt_failed(row.uid, row.attempt)
        case SkipRow():
            return SkipEvaluated(uid=row.uid, skip=False, fault=_MESSAGE)
        case LoopRow():
            return UntilJudged(uid=row.uid, round=row.round, holds=None, fault=_MESSAGE)
        case HookRow():
            return _hook_failed(row.hook, row.flight)
        case _:
            assert_never(row)


def without_details(trigger: Trigger) -> Trigger:
    """Return an end without the details, which could not be stored; the end itself must be on record."""
    if isinstance(trigger, AttemptEnded):
        return _attempt_failed(trigger.uid, trigger.attempt)
    return _hook_failed(trigger.hook, trigger.flight) if isinstance(trigger, HookEnded) else trigger


def _attempt_failed(uid: int, attempt: int) -> AttemptEnded:
    return AttemptEnded(
        uid=uid, attempt=attempt, outcome=Outcome.FAILED, category=ErrorCategory.CONFIG, message=_MESSAGE
    )


def _hook_failed(hook: int, flight: int) -> HookEnded:
    return HookEnded(hook=hook, flight=flight, outcome=Outcome.FAILED, message=_MESSAGE)
