"""A sign and the name of a colour for each status, and the bars of what is done."""

from collections.abc import Mapping
from typing import NamedTuple

from marianned.protocol import HookStatus, JobStatus, Outcome, PlanAction, SheetStatus


class Sign(NamedTuple):
    """A sign, one cell wide, and its colour by name: shape and colour both tell the status."""

    sign: str
    style: str


JOBS: Mapping[str, Sign] = {
    JobStatus.QUEUED: Sign("◌", "dim"),
    JobStatus.RUNNING: Sign("►", "run"),
    JobStatus.PAUSING: Sign("◐", "warn"),
    JobStatus.PAUSED: Sign("‖", "warn"),
    JobStatus.CANCELLING: Sign("⊗", "warn"),
    JobStatus.COMPLETED: Sign("✓", "good"),
    JobStatus.FAILED: Sign("✗", "bad"),
    JobStatus.CANCELLED: Sign("⊘", "dim"),
}
SHEETS: Mapping[str, Sign] = {
    SheetStatus.PENDING: Sign("○", "dim"),
    SheetStatus.RUNNING: Sign("►", "run"),
    SheetStatus.WAITING: Sign("◔", "warn"),
    SheetStatus.COMPLETED: Sign("✓", "good"),
    SheetStatus.FAILED: Sign("✗", "bad"),
    SheetStatus.SKIPPED: Sign("»", "dim"),
    SheetStatus.CANCELLED: Sign("⊘", "dim"),
}
HOOKS: Mapping[str, Sign] = {
    HookStatus.PENDING: SHEETS["pending"],
    HookStatus.WAITING: SHEETS["waiting"],
    HookStatus.RUNNING: SHEETS["running"],
    HookStatus.COMPLETED: SHEETS["completed"],
    HookStatus.FAILED: SHEETS["failed"],
    HookStatus.CANCELLED: SHEETS["cancelled"],
}
OUTCOMES: Mapping[str, Sign] = {
    Outcome.SUCCEEDED: Sign("✓", "good"),
    Outcome.FAILED: Sign("✗", "bad"),
    Outcome.TIMED_OUT: Sign("✗", "bad"),
    Outcome.INTERRUPTED: Sign("⊘", "dim"),
    Outcome.LOST: Sign("✗", "bad"),
    Outcome.RATE_LIMITED: Sign("◔", "warn"),
    Outcome.REFUSED: Sign("✗", "bad"),
}
PLANS: Mapping[str, Sign] = {
    PlanAction.KEPT: Sign("=", "dim"),
    PlanAction.KEPT_CHANGED: Sign("≈", "warn"),
    PlanAction.CHANGED: Sign("~", "run"),
    PlanAction.ADDED: Sign("+", "good"),
    PlanAction.REMOVED: Sign("-", "bad"),
    PlanAction.IN_FLIGHT: Sign("►", "run"),
    PlanAction.RERUN: Sign("↻", "warn"),
}
UNKNOWN = Sign("?", "dim")
"""Of a word that a newer daemon says."""

ORDER = ("failed", "running", "waiting", "pending", "completed", "skipped", "cancelled")
"""In which counts of sheets are told: what needs eyes first."""


def bar(done: int, total: int, cells: int) -> str:
    """Draw how much is done: full blocks, then one that is an eighth or more."""
    eighths = 0 if not total else round(8 * cells * min(done, total) / total)
    full, part = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")).ljust(cells, "·")
