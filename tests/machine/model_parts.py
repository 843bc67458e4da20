"""What the second writing of the contract keeps of one job: its sheets, holds, and who waits for an answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from plain_scores import Score, Step

DONE = ("completed", "skipped")
Place = tuple[str | None, int]
"""Where a step stands: its name, where the real score has it, and its place among the others."""


class Definition(NamedTuple):
    """What makes a step what it is: what it runs, with which skip rule, what is made of that, what it needs.

    `needs` are the sheets by their numbers (None: a new one).
    """

    runs: tuple[str, str, str]
    checks: str
    needs: frozenset[int | None]

    @classmethod
    def of(cls, score: Score, step: Step, needs: Iterable[int | None]) -> "Definition":
        return cls((step.prompt, score.tool, step.skips), score.checks, frozenset(needs))


@dataclass(frozen=True)
class Wanted:
    """What a request brings beside its action; times are seconds, sheets are named by their stages."""

    new: Score | None = None
    sheets: tuple[str, ...] = ()
    changed: bool = False
    alone: bool = False
    clear: bool = False
    skip: bool = False
    deadline: float | None = None
    lasts: float | None = None
    over: float = 0


@dataclass
class Limits:
    """The rate limit of the one account that all jobs share: met, or ended by hand."""

    met: bool = False
    cleared: bool = False


@dataclass
class Sheet:
    """Where one sheet stands; its `number` is its own through all revisions.

    `judged` is whether its skip rules have said no (None: who knows), `parked` whether it has an attempt that
    has succeeded and whose checks are to run again.
    """

    status: str = "pending"
    tries: int = 0
    attempts: int = 0
    lost: int = 0
    until: float = 0
    waits_for: str = ""
    number: int = 0
    made_as: Definition | None = None
    made_at: Place | None = None
    asking: bool = False
    judged: bool | None = False
    parked: bool = False
    worded: bool = False
    failed_by_judgement: bool = False

    def begin_anew(self, *, keeps_attempt: bool = False, shown: str | None = None) -> None:
        """Return to the beginning; attempts stay in history, and one that is still to be checked where said.

        `shown` is how its job has ended: what a cancel has met stays shown so, until somebody resumes it.
        """
        stays = shown == "cancelled" and self.status == "cancelled"
        self.status, self.tries, self.lost, self.waits_for = "pending", 0, 0, ""
        self.worded = self.failed_by_judgement = False
        self.status = "cancelled" if stays else self.status
        self.made_as = self.made_at = None
        self.parked = self.parked and keeps_attempt
        self.judged = self.judged if self.parked else False

    def is_done(self, status: str) -> None:
        """A person says that it is done; the tries it has used are known."""
        self.status, self.lost, self.waits_for = status, 0, ""
        self.parked, self.judged, self.worded = False, True, True
        self.failed_by_judgement = False

    def wait(self, what: str, until: float) -> None:
        """Wait for something until then."""
        self.status, self.waits_for, self.until = "waiting", what, round(until, 3)


@dataclass
class Hold:
    """Why it is paused; `lasts` counts from the moment of paused, then `ends` is known.

    A breakpoint's is `before` sheets, by their numbers.
    """

    cause: str
    deadline: float | None = None
    lasts: float | None = None
    ends: float | None = None
    before: frozenset[int] = frozenset()

    @property
    def ends_by_itself(self) -> bool:
        return self.lasts is not None


@dataclass
class Waiter:
    """A request that has no answer yet. `mark`: holds from this one on came after it."""

    name: str
    action: str
    wait: bool
    keyed: bool
    hold: int | None
    mark: int
    revision: int
