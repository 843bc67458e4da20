"""Where jobs, sheets and attempts stand, and the other closed lists of words on the wire."""

from collections.abc import Iterable
from enum import StrEnum


class WireEnum(StrEnum):
    """A closed list of words on the wire; a word that only a newer daemon has is kept as it is."""

    @classmethod
    def _missing_(cls, value: object) -> "WireEnum | None":
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word


class JobStatus(WireEnum):
    """A job's status; it follows from facts (docs/design/control.md §3)."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.CANCELLING)
HELD = (JobStatus.PAUSED,)
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class SheetStatus(WireEnum):
    """A sheet's status."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class HookStatus(WireEnum):
    """A hook's status."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WaitingFor(WireEnum):
    """What a sheet or hook waits for."""

    RETRY = "retry"
    RATE_LIMIT = "rate_limit"
    SLOT = "slot"
    DRAIN = "drain"
    """A slot: the daemon drains, and grants none."""
    DISK = "disk"
    """A slot: the disk is nearly full, and none is granted."""
    PACING = "pacing"
    COOLDOWN = "cooldown"
    """Of a hook: the cool-down before it."""
    JOB = "job"
    """Of a hook: the end of the job that it has submitted."""
    END = "end"
    """Of a hook: the end of its own job, which then submits what it keeps."""
    SLURM = "slurm"
    """Of an attempt: its turn in Slurm's queue, or an answer of Slurm's."""


class RevisionStatus(WireEnum):
    """Where a revision of a score stands."""

    CURRENT = "current"
    STAGED = "staged"
    PAST = "past"
    DROPPED = "dropped"


class AttemptKind(WireEnum):
    """Why an attempt was made."""

    FIRST = "first"
    RETRY = "retry"
    COMPLETION = "completion"
    RESUMED = "resumed"


class Outcome(WireEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    """Of a hook alone: the job that it had kept was not accepted when its own ended."""


class ErrorCategory(WireEnum):
    """What kind of failure it was; what follows from each: docs/reference/score-format.md §15.2."""

    CONFIG = "config"
    """What the score names is not there or can't be used: a file, a directory, a prompt."""
    UNAVAILABLE = "unavailable"
    """Its instrument can't be used here, or could not be started."""
    REFUSED = "refused"
    """What it wants is not given where it is to run: something has to be changed first."""
    AUTH = "auth"
    """The tool's credentials were refused."""
    RATE_LIMIT = "rate_limit"
    """Of an attempt: it met a rate limit."""
    RATE_LIMITED = "rate_limited"
    """Of a sheet: it met rate limits too often."""
    CAPACITY = "capacity"
    """The model had no room just then."""
    EXIT = "exit"
    """By its exit code, or by what the tool says of its end."""
    SIGNAL = "signal"
    """A signal that was not ours ended it."""
    NO_RESULT = "no_result"
    """It ended well, and a result was due and is not there."""
    VALIDATION = "validation"
    """Checks have not passed."""
    TIMEOUT = "timeout"
    """Its time limit ended it."""
    STALE = "stale"
    """It was silent for too long."""
    OUTPUT = "output"
    """It printed more than is kept of it."""
    LOST = "lost"
    """Nobody knows how it ended."""
    BUDGET = "budget"
    """It is over the sheet's own cost limit."""
    ROUNDS = "rounds"
    """The rounds of its loop are used up."""
    HOOK = "hook"
    """What has failed is a hook."""


class LoopState(WireEnum):
    """Where a loop stands: rounds may follow; it is decided; the score in force has it no more."""

    OPEN = "open"
    CLOSED = "closed"
    REMOVED = "removed"


class HoldCause(WireEnum):
    """Why there is a hold (docs/design/control.md §8)."""

    USER = "user"
    BREAKPOINT = "breakpoint"
    FAILURE = "failure"
    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    BUDGET = "budget"
    TIME = "time"
    CLUSTER = "cluster"


_LIFTED_BY = {
    HoldCause.BUDGET: "mzt resume {job} --over-budget 5",
    HoldCause.TIME: "mzt modify {job} -c FILE -r",
}
"""What lets a job go that a limit holds: without it a resume is refused."""


def lifted_by(causes: Iterable[str], job: str) -> str:
    """Return the command that lets a job go which is held for these causes (`HoldCause`)."""
    held_for = set(causes)
    limits = (typed for cause, typed in reversed(_LIFTED_BY.items()) if cause in held_for)
    return next(limits, "mzt resume {job}").format(job=job)


class CheckResult(WireEnum):
    """The result of one validation of an attempt."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not_run"
    ERROR = "error"


class PlanAction(WireEnum):
    """What becomes of a sheet under a new revision (docs/design/control.md §5)."""

    KEPT = "kept"
    KEPT_CHANGED = "kept-changed"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    IN_FLIGHT = "in-flight"
    RERUN = "rerun"


class FileChange(WireEnum):
    """What became of a file of the workspace (docs/design/control.md §6 "Drift")."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class DaemonHealth(WireEnum):
    """The daemon's status."""

    READY = "ready"
    DEGRADED = "degraded"
    DRAINING = "draining"
    STOPPING = "stopping"


class Obstacle(WireEnum):
    """Why the daemon starts nothing; where there are several, the first of them is told."""

    STOPPING = "stopping"
    DRAINING = "draining"
    DISK = "disk"
    AWAY = "away"
    STARTING = "starting"
