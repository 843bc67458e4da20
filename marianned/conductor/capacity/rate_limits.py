"""What the instruments' accounts let all jobs together start: rate limits, one probe first, and numbers.

An account is an instrument, a model and the variables that choose whose it is; a model's number counts for
all accounts of the model. While its limit lasts nobody starts; then one sheet tries whether
it is over, and the others follow a few seconds apart. Pure, like the scheduler: it knows jobs by number and
is given `now`. Source: docs/reference/score-format.md §16.3 and §17.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from marianned.clock import Instant
from marianned.rows import Account, LimitRow

PROBE_MILLISECONDS = 60_000
"""How long the sheet that tries whether a limit is over is alone, if it has not ended before."""
STAGGER_MILLISECONDS = 3_000
"""The least time between two starts of an account that has just been limited."""
STAGGERED_MILLISECONDS = 60_000
"""For how long after a limit's end the starts are so far apart."""
_MANY = 1_000_000

Most = Mapping[Account, int | None]
"""How many attempts of each account may be in flight; None: any number."""


class _Pace(NamedTuple):
    """From when on an account's next sheet may start, and until when the starts are paced."""

    next: Instant
    until: Instant | None


class RateLimiter:
    """The accounts of one daemon. `rows` is what is on disk; the jobs look at it and change nothing."""

    def __init__(self) -> None:
        self.rows: dict[Account, LimitRow] = {}
        self._paces: dict[Account, _Pace] = {}
        self._flying: dict[int, Counter[Account]] = {}
        self._reserved: dict[int, Counter[Account]] = {}
        self._blocked: dict[int, dict[Account, int | None]] = {}
        self._waiting: dict[int, set[Account]] = {}
        self._moved: set[Account] = set()

    def put(self, row: LimitRow, now: Instant) -> None:
        """Take note of what has been committed about a limit."""
        before = self.rows.get(row.account)
        self.rows[row.account] = row
        self._moved.add(row.account)
        if row.until is not None:
            self._paces.pop(row.account, None)
        elif before is not None and before.until is not None:
            self._paces[row.account] = _Pace(now, now.plus(STAGGERED_MILLISECONDS))

    def take(self, job: int, most: Most, slots: int, now: Instant) -> dict[Account, int]:
        """Reserve room for a job's decision: of each account as much as there is, up to `slots`."""
        rooms = {account: min(slots, self._room(account, number, now)) for account, number in most.items()}
        self._reserved[job] = Counter(rooms)
        return rooms

    def settle(self, job: int, flying: Counter[Account], now: Instant) -> None:
        """Give back what was reserved; `flying` is what the job has in flight by now."""
        self._reserved.pop(job, None)
        before = self._flying.pop(job, Counter())
        if flying:
            self._flying[job] = flying
        for account in flying - before:
            self._started(account, now)

    def forget(self, job: int) -> None:
        """Take back all that a job had."""
        for known in (self._reserved, self._flying, self._blocked, self._waiting):
            known.pop(job, None)

    def closed(self, most: Most, now: Instant) -> set[Account]:
        """Return the accounts of which nothing may start now."""
        return {account for account, number in most.items() if self._room(account, number, now) <= 0}

    def enqueue(self, job: int, blocked: Most, waiting: set[Account], now: Instant) -> Instant | None:
        """Note what a job waits for: room at accounts, the end of a limit that its sheets have met.

        Returns:
            When time itself makes room.
        """
        self._blocked.pop(job, None)
        self._waiting.pop(job, None)
        if blocked:
            self._blocked[job] = dict(blocked)
        if waiting:
            self._waiting[job] = waiting
        return min(self._openings(blocked, now), key=now.until, default=None)

    def freed(self, now: Instant) -> list[int]:
        """Return the jobs for which something has changed: there is room, the limit is lifted, or moved.

        Each is told once, and stands anew for what it waits for.
        """
        moved, self._moved = self._moved, set()
        told = {
            job
            for job, most in self._blocked.items()
            if not moved.isdisjoint(most) or len(self.closed(most, now)) < len(most)
        }
        lifted = {account for account, row in self.rows.items() if row.until is None}
        told.update(job for job, accounts in self._waiting.items() if accounts & lifted)
        for job in told:
            self._blocked.pop(job, None)
            self._waiting.pop(job, None)
        return sorted(told)

    def _room(self, account: Account, most: int | None, now: Instant) -> int:
        """Return how many more attempts of an account may start now.

        Three answers, in this order. Without a limit it is what the model's own number leaves. While the
        limit lasts: none. After it, starts are paced: the limit's row still has its `until`, for nobody has
        lifted it yet, so one sheet alone tries whether it is over, and the next one only a minute later.
        Once that attempt was not refused, the limit is lifted and starts stay apart for a minute: one each
        time the pace has come, and none while another job has a reservation that it may still use.
        """
        used = self._used(account)
        free = _MANY if most is None else max(0, most - self._used_of_model(account))
        row = self.rows.get(account)
        if row is None or (row.until is None and account not in self._paces):
            return free
        if row.until is not None and not now.reached(row.until):
            return 0
        pace = self._pace(account, now)
        if pace is None or (row.until is not None and not used):
            return free if pace is None else min(free, 1)
        reserved = any(counts[account] for counts in self._reserved.values())
        return min(free, 1) if now.reached(pace.next) and not reserved else 0

    def _used(self, account: Account) -> int:
        """Count what is in flight of an account, and what is reserved."""
        return sum(counts[account] for known in (self._flying, self._reserved) for counts in known.values())

    def _used_of_model(self, account: Account) -> int:
        """Count what is in flight of all accounts of a model; of what a job has reserved of them the most."""
        same = account.of_model
        flying = sum(
            number
            for counts in self._flying.values()
            for one, number in counts.items()
            if one.of_model == same
        )
        return flying + sum(
            max((number for one, number in counts.items() if one.of_model == same), default=0)
            for counts in self._reserved.values()
        )

    def _pace(self, account: Account, now: Instant) -> _Pace | None:
        """Return how an account is paced; what is over is forgotten."""
        pace = self._paces.get(account)
        row = self.rows.get(account)
        if pace is None and row is not None and row.until is not None:
            pace = _Pace(row.until, None)
        if pace is not None and pace.until is not None and now.reached(pace.until):
            self._paces.pop(account, None)
            return None
        return pace

    def _started(self, account: Account, now: Instant) -> None:
        """Pace the next start: far away behind the one that tries, near behind the others."""
        pace = self._pace(account, now)
        if pace is None:
            return
        first = account not in self._paces
        gap = PROBE_MILLISECONDS if first else STAGGER_MILLISECONDS
        self._paces[account] = _Pace(now.plus(gap), pace.until)
        self._moved.add(account)

    def _openings(self, accounts: Iterable[Account], now: Instant) -> list[Instant]:
        found = []
        for account in accounts:
            row, pace = self.rows.get(account), self._pace(account, now)
            if row is not None and row.until is not None and not now.reached(row.until):
                found.append(row.until)
            elif pace is not None and not now.reached(pace.next):
                found.append(pace.next)
        return found
