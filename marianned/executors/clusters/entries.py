"""What is known of an attempt that somebody starts or waits for, on a cluster.

Source: docs/design/executors.md "Slurm".
"""

import anyio
import msgspec

from marianned import accidents
from marianned.executors.base import AttemptPlace, ExitRecord, Fate, Spec, describe_loss
from marianned.executors.clusters.cluster_files import SubmissionRecord, cut_short_record
from marianned.executors.clusters.engine import ClusterJob
from marianned.score.expanded import Resources

_BACKSTOP, _BACKSTOP_SECONDS = 1.25, 600.0
"""What the engine lets an attempt take beyond its time limit, which can be raised; the engine's can't."""


class AttemptEntry:
    """An attempt that somebody starts or waits for.

    `doubtful`: it was submitted, and nobody knows whether the engine has taken it. `recalled`: since when it
    is to be taken back, as soon as its claim can be. `listed_at`: when the list was asked for that has its
    `job`. `away`: its files can't be looked at. `unsure`: they were deleted, and its job is one of an array,
    nobody knows which, so that none of it is signalled. `ordered`: since when its runner has a file that says
    to end. `told`: the signals that were sent. `deaf`: when one last reached nobody. `news`: it runs,
    somewhere else than before, or is over; `placed`: its own record says where. `fate`: what has become of a
    job that has not begun. Times are the loop's.
    """

    def __init__(self, place: AttemptPlace) -> None:
        self.place = place
        self.resources = Resources()
        self.seconds: float | None = None
        self.grace_seconds = 0.0
        self.submission = SubmissionRecord(id=place.id)
        self.submitting = self.unwanted = self.doubtful = self.away = False
        self.unsure = self.written_down = False
        self.accepted = anyio.Event()
        self.accepted_at = 0.0
        self.refused: str | None = None
        self.helper_wait = accidents.current_wait.get()
        self.job: ClusterJob | None = None
        self.news = anyio.Event()
        self.placed = False
        self.fate: Fate | None = None
        self.missing: float | None = None
        self.ending: float | None = None
        self.ordered: float | None = None
        self.told = set[int]()
        self.deaf = float("-inf")
        self.hurried = self.insisted = False
        self.recalled: float | None = None
        self.listed_at = float("-inf")
        self.over = anyio.Event()
        self.record: ExitRecord | None = None
        self.withdrawn = False

    def know(self, spec: Spec) -> None:
        """Note what of the spec matters here."""
        self.written_down = True
        self.resources = spec.resources or Resources()
        self.grace_seconds = spec.grace_seconds + (spec.stop.seconds if spec.stop is not None else 0.0)
        if (limit := spec.timeout_seconds) is not None:
            own = spec.grace_seconds + spec.drain_seconds + (spec.stays or 0.0)
            self.seconds = _BACKSTOP * limit + own + _BACKSTOP_SECONDS

    @property
    def time_to_go(self) -> float:
        """How long it has, told to end: its grace; nothing more where the engine was to end its whole job."""
        return 0.0 if self.insisted or self.submission.cut_short else self.grace_seconds

    def is_late(self, job: ClusterJob, since: float) -> bool:
        """Tell whether its whole job is to end: its grace was over before `since`, or it can not be told."""
        if self.ending is None or self.insisted:
            return False
        tried = bool(self.told) or self.deaf >= self.ending
        return job.suspended or (tried and self.ending + self.grace_seconds < since)

    def hears(self, job: ClusterJob) -> bool:
        """Tell whether a signal may reach it; what has reached nobody is sent again behind another list."""
        return job.hears and self.deaf <= self.listed_at

    def vanish(self) -> None:
        """Note that it is in no list any more: lost, but where the engine was to end its whole job."""
        self.settle(cut_short_record(self.place) if self.insisted or self.submission.cut_short else None)

    @property
    def ended_by_us(self) -> bool:
        """Whether it was told to end, by this daemon or by an earlier one through the engine."""
        return self.ending is not None or self.submission.cut_short

    @property
    def wants_something(self) -> bool:
        """Whether it wants something of its own, beside what all submissions do."""
        return msgspec.structs.replace(self.resources, executor=None, checks=None) != Resources()

    def may_be_submitted_again(self, most: int) -> bool:
        """Tell whether it may, forgotten by the engine so often at most, if it is known what it is."""
        return self.written_down and self.submission.forgotten < most and self.ending is None

    def accept(self, job: ClusterJob) -> None:
        """Note that the engine has it."""
        self.job = job
        self.submitting = self.doubtful = False
        self.accepted_at = anyio.current_time()
        self.accepted.set()

    def settle(self, record: ExitRecord | None, *, withdrawn: bool = False) -> None:
        """Note that it is over, unless it is already."""
        if self.over.is_set():
            return
        if record is not None and self.submission.cut_short and describe_loss(record) is not None:
            record = msgspec.structs.replace(record, asked=True)  # the engine has ended all of it, for us
        self.record, self.withdrawn = record, withdrawn
        self.accepted.set()
        self.over.set()
        self.tell()

    def tell(self) -> None:
        """Tell those who wait for news of where it runs."""
        self.news.set()
        self.news = anyio.Event()

    def goes_with(self, other: "AttemptEntry") -> bool:
        """Tell whether both can be of one array: the same wants, of the same run."""
        mine, yours = self.place.directory.parent, other.place.directory.parent
        return (self.resources, self.seconds, mine) == (other.resources, other.seconds, yours)
