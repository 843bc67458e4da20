"""Who may start next: slots over all jobs, given to the job with the fewest in flight, oldest first.

Oldest is who has stood for a slot the longest: with a single slot, two jobs take turns. Pure: it knows
jobs by number and answers whom to tell that a slot is theirs. Source: docs/design/control.md §9.
"""

from collections import Counter
from collections.abc import Collection

from marianned.protocol import Obstacle


class Scheduler:
    """Counts the slots of the daemon. A slot is taken for each attempt, from its row to its outcome.

    One that waits for a job lends its slot meanwhile: that job, or what it waits for, may need it. It is
    taken back at once, so that for a moment more may be in flight than there are slots.

    While `closed_for` says why, none is granted.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._closed: set[Obstacle] = set()
        self._taken: dict[int, int] = {}
        self._lent: dict[int, Counter[str]] = {}  # by job and flight: how often it waits
        self._kept: set[int] = set()
        self._waiting: dict[int, None] = {}  # in the order in which they came

    @property
    def closed_for(self) -> Obstacle | None:
        """Why none is granted, the gravest reason first; None: they are granted."""
        return next((reason for reason in Obstacle if reason in self._closed), None)

    def close(self, reason: Obstacle) -> None:
        """Grant none, for this reason."""
        self._closed.add(reason)

    def open(self, reason: Obstacle) -> None:
        """Take a reason back; others may still be there."""
        self._closed.discard(reason)

    @property
    def used(self) -> int:
        """How many slots are taken, those kept for a job that was told so included."""
        return sum(self._taken.values()) - self.lent + len(self._kept)

    @property
    def lent(self) -> int:
        """How many of those taken are free while their flights wait."""
        return sum(map(len, self._lent.values()))

    def take(self, job: int, most: int) -> int:
        """Take up to `most` slots for a job; the one that was kept for it is among them."""
        kept = job in self._kept
        self._kept.discard(job)
        if self.closed_for is not None or most <= 0:
            return 0
        free = self.total - self.used
        others = len(self._waiting) - (job in self._waiting)
        given = min(most, max(free - others, 1 if kept else 0))
        if given <= 0:
            return 0
        self._waiting.pop(job, None)
        self._taken[job] = self._taken.get(job, 0) + given
        return given

    def restore(self, job: int, count: int) -> None:
        """Count attempts that are in flight already, whether there is room or not (after a start)."""
        if count:
            self._taken[job] = self._taken.get(job, 0) + count

    def give_back(self, job: int, count: int) -> None:
        """Give slots back."""
        left = self._taken.get(job, 0) - count
        if left > 0:
            self._taken[job] = left
        else:
            self._taken.pop(job, None)

    def lend(self, job: int, flight: str) -> None:
        """Let others have the slot of one of a job's flights while that waits; as often as it does."""
        self._lent.setdefault(job, Counter())[flight] += 1

    def take_back(self, job: int, flight: str) -> None:
        """Count the slot of a flight again, that has waited; nothing happens where it has ended meanwhile."""
        waits = self._lent.get(job, Counter())
        waits[flight] -= 1
        self._lent[job] = +waits
        self.landed(job, self._lent[job])

    def lenders(self, job: int) -> Collection[str]:
        """Return the flights of a job whose slots are lent."""
        return self._lent.get(job, ())

    def landed(self, job: int, flying: Collection[str]) -> None:
        """Forget what the flights have lent that are not in flight any more: their slots were given back."""
        left = Counter(
            {flight: waits for flight, waits in self._lent.pop(job, {}).items() if flight in flying}
        )
        if left:
            self._lent[job] = left

    def forget(self, job: int) -> None:
        """Take back all that a job had; nobody looks after it any more."""
        self._lent.pop(job, None)
        self._taken.pop(job, None)
        self.want(job, wants=False)

    def want(self, job: int, *, wants: bool) -> None:
        """Note whether a job stands for a slot."""
        if wants:
            self._waiting.setdefault(job)
        else:
            self._waiting.pop(job, None)
            self._kept.discard(job)

    def grant(self) -> list[int]:
        """Keep the free slots for those who wait, the fairest first; return whom to tell."""
        told: list[int] = []
        while self.closed_for is None and self._waiting and self.used < self.total:
            job = min(self._waiting, key=lambda waiting: self._taken.get(waiting, 0))
            del self._waiting[job]
            self._kept.add(job)
            told.append(job)
        return told
