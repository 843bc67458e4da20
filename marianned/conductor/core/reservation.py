"""One job's share of what all jobs share: slots to run attempts in, and room at instruments' accounts."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from marianned import lifecycle
from marianned.clock import Instant
from marianned.conductor.services import Services, is_away
from marianned.executors.children import LEFTOVER_GRACE_SECONDS
from marianned.moment import now
from marianned.progress.deciding.decide import could_use_slot
from marianned.progress.state.run import RunState
from marianned.rows import Account, AttemptRow, Changes, LimitRow, SheetRow, SkipRow


class ReservedCapacity(NamedTuple):
    """What a decision may use: slots, and room by account."""

    slots: int
    rooms: dict[Account, int]


class Reservation:
    """Takes before a decision and settles after it; `granted` tells that others may take now.

    While the job is `kept` it takes nothing, and stands for nothing.
    """

    def __init__(
        self,
        services: Services,
        state: RunState,
        granted: Callable[[], None],
        kept: Callable[[], bool] = bool,
    ) -> None:
        self._services = services
        self._scheduler = services.scheduler
        self._limits = services.limits
        self._state = state
        self._granted = granted
        self._kept = kept
        self._run_id = state.run.run_id
        self._away: set[str] = set()
        """Attempts on a cluster, by their ids, whose slots others have."""
        self._revision = state.current
        self._accounts: dict[int, Account] = {}
        """Who is asked for what is in flight, by the sheets' uids, in the revision that was counted."""
        self._flying = Counter[Account]()
        state.limits = services.limits.rows
        state.overtime_milliseconds = round(
            (services.settings.attempts.drain + LEFTOVER_GRACE_SECONDS) * 1000
        )

    def restore(self) -> None:
        """Count what was in flight when the state was read from disk."""
        self._scheduler.restore(self._run_id, self._state.flight_count)
        for row in self._state.attempts.values():
            if is_away(row):
                self._lend(row)
        self._settle(now())

    def take(self, room: int, moment: Instant) -> ReservedCapacity:
        """Take slots for as many attempts as the job itself has room for."""
        slots = self._scheduler.take(self._run_id, 0 if self._kept() else max(0, room))
        return ReservedCapacity(slots, self._limits.take(self._run_id, self._account_limits(), slots, moment))

    def give_back(self, taken: ReservedCapacity) -> None:
        """Give all back: nothing came of the decision."""
        self._scheduler.give_back(self._run_id, taken.slots)
        self._settle(now())
        self._granted()

    def settle_commit(
        self, taken: ReservedCapacity, changes: Changes, started: int, ended: int, moment: Instant
    ) -> None:
        """Keep as many slots as have `started`, give back as many as have `ended`; note changed limits."""
        self._scheduler.give_back(self._run_id, taken.slots - started + ended)
        for row in changes.rows:
            if isinstance(row, LimitRow):
                self._limits.put(row, moment)
            elif isinstance(row, AttemptRow) and is_away(row):
                self._lend(row)
        if self._away.issuperset(self._scheduler.lenders(self._run_id)):
            self._settle(moment, changes)
            return
        flying = [self._services.attempt_id(flight) for flight in self._state.flights]
        self._scheduler.landed(self._run_id, flying)
        self._settle(moment, changes)

    def enqueue(self) -> Instant | None:
        """Stand for a slot, or for room at an account; return when time itself makes some."""
        state, moment, most = self._state, now(), self._account_limits()
        closed = self._limits.closed(most, moment)
        kept = self._kept()
        wants = not kept and could_use_slot(state, moment, closed)
        self._scheduler.want(self._run_id, wants=wants)
        blocked: dict[Account, int | None] = {}
        if not (wants or kept) and could_use_slot(state, moment):
            blocked = {account: most[account] for account in state.ready_accounts()}
        waiting = state.waiting_accounts() if lifecycle.may_start(state.facts) else set()
        opens = self._limits.enqueue(self._run_id, blocked, waiting, moment)
        self._granted()
        return opens

    def _lend(self, row: AttemptRow) -> None:
        """Let others have the slot of what runs on a cluster, as long as that may have more."""
        name, most = self._services.attempt_id(row), self._services.settings.slurm.max_attempts
        if row.outcome is not None or row.parked:
            self._away.discard(name)
            self._scheduler.landed(self._run_id, {*self._scheduler.lenders(self._run_id)} - {name})
        elif name not in self._away and self._scheduler.lent < most:
            self._away.add(name)
            self._scheduler.lend(self._run_id, name)

    def _settle(self, moment: Instant, changes: Changes | None = None) -> None:
        """Tell the accounts what is in flight; after `changes` only their sheets differ from what was known.

        Each step of a job asks for this, and thousands of its sheets can be in flight.
        """
        state = self._state
        if changes is None or state.current is not self._revision:
            self._revision, self._accounts, self._flying = state.current, {}, Counter()
            touched = {*state.attempts, *state.skips}
        else:
            touched = {row.uid for row in changes.rows if isinstance(row, AttemptRow | SheetRow | SkipRow)}
            touched |= {gone.key for gone in changes.deleted if gone.kind is SkipRow}
        for uid in touched:
            if (before := self._accounts.pop(uid, None)) is not None:
                self._flying[before] -= 1
            flight = state.attempts.get(uid) or state.skips.get(uid)
            if flight is not None:
                account = self._accounts[uid] = state.account(state.number_of(flight))
                self._flying[account] += 1
        self._limits.settle(self._run_id, +self._flying, moment)

    def _account_limits(self) -> dict[Account, int | None]:
        """Return how many attempts each account of the score may have in flight."""
        return {account: self._state.most(account) for account in self._state.accounts()}
