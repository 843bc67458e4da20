"""A sign and the name of a colour for each status, and the bars of what is done."""

from collections.abc import Mapping
from typing import NamedTuple

from marianned.protocol import HookStatus, JobStatus, Outcome, PlanAction, SheetStatus


class StatusSign(NamedTuple):
    """A sign, one cell wide, and its colour by name: shape and colour both tell the status."""

    sign: str
    style: str


JOBS: Mapping[str, StatusSign] = {
    JobStatus.QUEUED: StatusSign("◌", "dim"),
    JobStatus.RUNNING: StatusSign("►", "run"),
    JobStatus.PAUSING: StatusSign("◐", "warn"),
    JobStatus.PAUSED: StatusSign("‖", "warn"),
    JobStatus.CANCELLING: StatusSign("⊗", "warn"),
    JobStatus.COMPLETED: StatusSign("✓", "good"),
    JobStatus.FAILED: StatusSign("✗", "bad"),
    JobStatus.CANCELLED: StatusSign("⊘", "dim"),
}
SHEETS: Mapping[str, StatusSign] = {
    SheetStatus.PENDING: StatusSign("○", "dim"),
    SheetStatus.RUNNING: StatusSign("►", "run"),
    SheetStatus.WAITING: StatusSign("◔", "warn"),
    SheetStatus.COMPLETED: StatusSign("✓", "good"),
    SheetStatus.FAILED: StatusSign("✗", "bad"),
    SheetStatus.SKIPPED: StatusSign("»", "dim"),
    SheetStatus.CANCELLED: StatusSign("⊘", "dim"),
}
HOOKS: Mapping[str, StatusSign] = {
    HookStatus.PENDING: SHEETS["pending"],
    HookStatus.WAITING: SHEETS["waiting"],
    HookStatus.RUNNING: SHEETS["running"],
    HookStatus.COMPLETED: SHEETS["completed"],
    HookStatus.FAILED: SHEETS["failed"],
    HookStatus.CANCELLED: SHEETS["cancelled"],
}
OUTCOMES: Mapping[str, StatusSign] = {
    Outcome.SUCCEEDED: StatusSign("✓", "good"),
    Outcome.FAILED: StatusSign("✗", "bad"),
    Outcome.TIMED_OUT: StatusSign("✗", "bad"),
    Outcome.INTERRUPTED: StatusSign("⊘", "dim"),
    Outcome.LOST: StatusSign("✗", "bad"),
    Outcome.RATE_LIMITED: StatusSign("◔", "warn"),
    Outcome.REFUSED: StatusSign("✗", "bad"),
}
PLANS: Mapping[str, StatusSign] = {
    PlanAction.KEPT: StatusSign("=", "dim"),
    PlanAction.KEPT_CHANGED: StatusSign("≈", "warn"),
    PlanAction.CHANGED: StatusSign("~", "run"),
    PlanAction.ADDED: StatusSign("+", "good"),
    PlanAction.REMOVED: StatusSign("-", "bad"),
    PlanAction.IN_FLIGHT: StatusSign("►", "run"),
    PlanAction.RERUN: StatusSign("↻", "warn"),
}
UNKNOWN = StatusSign("?", "dim")
"""Of a word that a newer daemon says."""

ORDER = ("failed", "running", "waiting", "pending", "completed", "skipped", "cancelled")
"""In which counts of sheets are told: what needs eyes first."""


def bar(done: int, total: int, cells: int) -> str:
    """Draw how much is done: full blocks, then one that is an eighth or more."""
    eighths = 0 if not total else round(8 * cells * min(done, total) / total)
    full, part = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")).ljust(cells, "·")
