"""What a sheet has that returns to the beginning."""

from typing import Any

import msgspec

from marianned.protocol import AttemptKind, SheetStatus
from marianned.rows import SheetRow

FRESH: dict[str, Any] = {
    "status": SheetStatus.PENDING,
    "waiting_for": None,
    "until": None,
    "tries": 0,
    "completions": 0,
    "lost": 0,
    "fallback": 0,
    "next_kind": AttemptKind.FIRST,
    "error_category": None,
    "error_message": None,
    "ended_at": None,
    "validation_passed": None,
    "definition": None,
    "place": None,
    "needed": None,
    "warnings": [],
    "judged": False,
    "skip_reason": None,
    "exit_code": None,
    "word": None,
}
"""What a sheet has that returns to the beginning; its attempts stay in history."""


def fresh(row: SheetRow) -> SheetRow:
    """Return a sheet at its beginning; what it may cost is counted anew, as its tries are."""
    return msgspec.structs.replace(row, **FRESH | {"cost_before": row.cost_usd or 0.0})


def fresh_beside_attempt(row: SheetRow) -> SheetRow:
    """Return a sheet at its beginning, but for its attempt that has succeeded and is to be checked."""
    kept = {"judged": row.judged, "fallback": row.fallback}
    return msgspec.structs.replace(row, **FRESH | kept)
