"""Where jobs, sheets and attempts stand, and the other closed lists of words on the wire."""

from enum import StrEnum


class JobStatus(StrEnum):
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


class SheetStatus(StrEnum):
    """A sheet's status."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class AttemptKind(StrEnum):
    """Why an attempt was made."""

    FIRST = "first"
    RETRY = "retry"
    COMPLETION = "completion"


SKIP = "skip"
"""In the place of a kind: no attempt, the skip rules of a sheet are being asked."""


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    RATE_LIMITED = "rate_limited"


class HoldCause(StrEnum):
    """Why there is a hold (docs/design/control.md §8)."""

    USER = "user"
    BREAKPOINT = "breakpoint"
    FAILURE = "failure"
    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    BUDGET = "budget"


class CheckResult(StrEnum):
    """The result of one validation of an attempt."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not_run"
    ERROR = "error"


class PlanAction(StrEnum):
    """What becomes of a sheet under a new revision (docs/design/control.md §5)."""

    KEPT = "kept"
    KEPT_CHANGED = "kept-changed"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    IN_FLIGHT = "in-flight"
    RERUN = "rerun"
