"""What lists are asked by, and a run in short."""

from marianned.clock import milliseconds, timestamp
from marianned.errors import BadRequest
from marianned.protocol import ACTIVE, ENDED, HELD, BriefRun, JobStatus
from marianned.rows import BriefRunRow, shown

_GROUPS: dict[str, tuple[JobStatus, ...]] = {"active": ACTIVE, "held": HELD, "ended": ENDED}
"""Words that stand for several statuses."""


def statuses_named(names: list[str]) -> set[str]:
    """Return the statuses that words name.

    Raises:
        BadRequest: a word is neither a status nor a group of them.
    """
    wanted: set[str] = set()
    for name in names:
        group = _GROUPS.get(name) or tuple(status for status in JobStatus if status == name)
        if not group:
            raise BadRequest(f"'{name}' is not a status; there are {', '.join([*JobStatus, *_GROUPS])}")
        wanted.update(group)
    return wanted


def moment_of(text: str | None) -> int:
    """Read a time into UTC milliseconds; null: the beginning.

    Raises:
        BadRequest: it is no time.
    """
    try:
        return 0 if text is None else milliseconds(text)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"since: {error}") from None


def brief_run(row: BriefRunRow, *, newest: bool) -> BriefRun:
    """Return a run in short."""
    return shown(
        row,
        BriefRun,
        job_id=row.job_name if newest else f"{row.job_name}@{row.run}",
        status_since_at=timestamp(row.status_since),
        created_at=timestamp(row.created_at),
        started_at=timestamp(row.started_at),
        updated_at=timestamp(row.updated_at),
        ended_at=timestamp(row.ended_at),
    )
