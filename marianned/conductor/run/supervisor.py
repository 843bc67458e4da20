"""Who plays what is in flight for one job: attempts and hooks are started, interrupted, seen to their end."""

import logging
from collections.abc import Callable
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from marianned import accidents, lifecycle
from marianned.conductor.run.attempt import Attempt, Given
from marianned.conductor.run.hook import Chain, GivenHook, HookRun
from marianned.conductor.run.skip import Judging
from marianned.conductor.services import House
from marianned.errors import NoCapacity
from marianned.executors.base import Presence
from marianned.progress.state.job import JobState
from marianned.progress.state.triggers import Ending, HookEnded, Judged, Parked, Trigger
from marianned.protocol import SKIP, Outcome
from marianned.rows import AttemptRow, Flight

_PASSING = (OSError, MemoryError, NoCapacity, accidents.Accident)
"""What passes, however long it takes; any other failure is a defect of the daemon."""
_FAILURES_MOST = 3
"""How often the daemon fails over a flight before that is the flight's end."""
_FAILED_PAUSE_SECONDS = 3.0
_AGAIN_SECONDS = 1.0
"""How long after an attempt that can't be ended yet is told to end once more."""

_logger = logging.getLogger(__name__)


class Player(Protocol):
    """Plays one flight; `patience` knows what of ours it waits for."""

    patience: accidents.Patience

    @property
    def interrupted(self) -> bool:
        """Tell whether it is to end."""

    @property
    def pid(self) -> int | None:
        """Its supervisor's."""

    async def play(self, presence: Presence | None = None) -> Ending | Parked | HookEnded | Judged | None:
        """Start it, or pick it up; return how it ended, if that is not known yet."""

    def give_up(self) -> None:
        """Don't start it any more."""

    async def interrupt(self, *, drop: bool = False) -> None:
        """End it."""


class Players:
    """The players of one job's flights; `tell` hands their ends to the job."""

    def __init__(
        self, house: House, state: JobState, tell: Callable[[Trigger], None], chain: Chain, tasks: TaskGroup
    ) -> None:
        self._house = house
        self._state = state
        self._tell = tell
        self._chain = chain
        self._tasks = tasks
        self._playing: dict[str, Player] = {}

    def pid(self, row: Flight) -> int | None:
        """Return the keeper's pid of a flight."""
        player = self._playing.get(self._house.attempt_id(row))
        return None if player is None else player.pid

    def play(self, row: Flight, presence: Presence | None) -> None:
        """Play a flight, or pick it up where `presence` says it stands."""
        player = self._player(row)
        self._playing[self._house.attempt_id(row)] = player
        if presence is Presence.NEVER_STARTED and not lifecycle.may_start(self._state.facts):
            player.give_up()
        self._tasks.start_soon(self._play_out, row, player, presence)

    def _player(self, row: Flight) -> Player:
        state = self._state
        if isinstance(row, AttemptRow) and row.kind == SKIP:
            return Judging(self._house, state, row)
        if isinstance(row, AttemptRow):
            given = Given(
                run=state.run,
                revision=state.current.row,
                score=state.score,
                sheet=row.sheet,
                fallback=state.sheets[row.sheet].fallback,
                attempt=row,
            )
            return Attempt(self._house, given, self._tell)
        hook = GivenHook(
            run=state.run,
            row=row,
            hook=state.hook_definition(row.hook),
            concert=state.score.concert,
            score=state.score,
        )
        return HookRun(self._house, hook, self._chain)

    def interrupt(self, row: Flight) -> None:
        """End a flight, to run it again later."""
        player = self._playing.get(self._house.attempt_id(row))
        if player is not None:
            self._tasks.start_soon(self._interrupt, player)

    async def _interrupt(self, player: Player) -> None:
        try:
            await player.interrupt(drop=self._state.run.cancelling)
        except OSError:
            _logger.exception("a flight of '%s' can't be told to end", self._state.run.job_name)

    async def _play_out(self, row: Flight, player: Player, presence: Presence | None) -> None:
        ending: Trigger | None
        name, failures = self._house.attempt_id(row), 0
        while True:
            accidents.current.set(player.patience)
            try:
                ending = await player.play(presence)
                break
            except Exception as error:
                _logger.exception("%s failed in the daemon", name)
                failures += not isinstance(error, _PASSING)
                if failures >= _FAILURES_MOST:
                    await self._put_an_end_to(row)
                    ending = _failed_over(row)
                    break
                player, presence = await self._again(row, player, str(error) or type(error).__name__)
        self._playing.pop(name, None)
        if ending is not None:
            self._tell(ending)

    async def _again(self, row: Flight, failed: Player, why: str) -> tuple[Player, Presence]:
        """Pick up a flight that the daemon failed over, as after a restart: what has ended is not lost."""
        failed.patience.waits_for = f"the daemon failed over it ({why}) and tries again"
        await anyio.sleep(_FAILED_PAUSE_SECONDS)
        while True:
            try:
                presence = await self._house.executor.presence(self._house.place(row))
                break
            except OSError:
                _logger.exception("%s can't be looked for", self._house.attempt_id(row))
                await anyio.sleep(_FAILED_PAUSE_SECONDS)
        player = self._player(row)
        self._playing[self._house.attempt_id(row)] = player
        if failed.interrupted:
            player.give_up()
            if presence is Presence.RUNNING:
                self._tasks.start_soon(self._interrupt, player)
        return player, presence

    def waits(self) -> dict[str, str]:
        """Return what flights, by their ids, wait for because something of ours fails."""
        waits = {name: player.patience.waits_for for name, player in self._playing.items()}
        return {name: why for name, why in waits.items() if why is not None}

    async def _put_an_end_to(self, row: Flight) -> None:
        """End a flight that the daemon has failed over; until that is so, it counts as in flight."""
        while True:
            try:
                await self._house.executor.end(self._house.place(row))
                await self._house.executor.wait(self._house.place(row))
            except OSError:
                _logger.exception("%s can't be ended yet", self._house.attempt_id(row))
                await anyio.sleep(_AGAIN_SECONDS)
            else:
                return


_MESSAGE = "internal error in marianned; its log has more"


def _failed_over(row: Flight) -> Ending | HookEnded | Judged:
    """Return the end of a flight that the daemon has failed over."""
    if isinstance(row, AttemptRow) and row.kind == SKIP:
        return Judged(uid=row.uid, skip=False, fault=_MESSAGE)
    if isinstance(row, AttemptRow):
        return _failed(row.uid, row.attempt)
    return _failed_hook(row.hook, row.flight)


def bare(trigger: Trigger) -> Trigger:
    """Return an end without what could not be stored of it; it must be told in any case."""
    if isinstance(trigger, Ending):
        return _failed(trigger.uid, trigger.attempt)
    return _failed_hook(trigger.hook, trigger.flight) if isinstance(trigger, HookEnded) else trigger


def _failed(uid: int, attempt: int) -> Ending:
    return Ending(uid=uid, attempt=attempt, outcome=Outcome.FAILED, category="config", message=_MESSAGE)


def _failed_hook(hook: int, flight: int) -> HookEnded:
    return HookEnded(hook=hook, flight=flight, outcome=Outcome.FAILED, message=_MESSAGE)
