"""Times as people read them: the local clock, and how long ago.

`now` is the one place that looks at the clock; tests replace it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marianned import formatting

MINUTE = 60
_SHORT = 600
"""Seconds of a wait that one follows by the second."""


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def _local_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def moment(text: str, *, seconds: bool = False) -> str:
    """Return an RFC 3339 time in local time: `14:08`; not today: `Nov 23 14:08`, `Nov 23 2025 14:08`."""
    local, present = _local_time(text), now().astimezone()
    if local.year != present.year:
        return f"{local:%b} {local.day} {local.year} {local:%H:%M}"
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return clock if local.date() == present.date() else f"{local:%b} {local.day} {clock}"


def soon(text: str) -> str:
    """Return a future time, with seconds if it is near enough to be waited for."""
    return moment(text, seconds=0 <= datetime.fromisoformat(text).timestamp() - now().timestamp() < _SHORT)


def between(start: str, end: str) -> str:
    """Return the duration between two times as text."""
    return formatting.duration((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def running_times(flight: Mapping[str, Any]) -> str:
    """Return the start and the limit of something in flight; without a limit it has not begun yet."""
    since, limit = f"since {moment(flight['started_at'])}", flight["time_limit_at"]
    if limit is None:
        return f"{since}, not begun"
    since += ", suspended" if flight.get("suspended") else ""
    by = " by its executor's time_limit" if flight.get("time_limit_by") == "executor" else ""
    return f"{since}, limit {moment(limit)}{by}"


def age(text: str) -> str:
    """Return how long ago a time was: in seconds below a minute, else as the shown clock times differ."""
    since, present = datetime.fromisoformat(text).timestamp(), now().timestamp()
    if is_young(text, present):
        return formatting.duration(present - since)
    return formatting.duration((present // MINUTE - since // MINUTE) * MINUTE)


def is_young(text: str, present: float) -> bool:
    """Tell whether the age of a time is told by the second at a moment (seconds of the epoch)."""
    return present - datetime.fromisoformat(text).timestamp() < MINUTE


def parse_since(text: str) -> str:
    """Read `--since`: a duration ago, `07:30` (the last one), or RFC 3339; return RFC 3339 in UTC.

    Raises:
        ValueError: it is none of them, or has not been.
    """
    try:
        ago = formatting.read_duration(text)
    except ValueError:
        ago = None
    try:
        at = _parse_clock(text) or _parse_with_zone(text) if ago is None else now() - timedelta(seconds=ago)
        began = utc(at)
    except OverflowError:
        raise ValueError(f"'{text}' is before the first year that can be written") from None
    except ValueError:
        raise ValueError(f"'{text}' is not a time; write 2h, 07:30 or 2026-11-24T07:30:00Z") from None
    if at > now():
        raise ValueError(f"'{text}' has not been yet: nothing is known since then")
    return began


def _parse_clock(text: str) -> datetime | None:
    try:
        clock = datetime.strptime(text, "%H:%M")  # noqa: DTZ007  a clock time has no zone, it is the local one
    except ValueError:
        return None
    present = now().astimezone()
    at = present.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return at if at <= present else at - timedelta(days=1)


def _parse_with_zone(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at


def utc(at: datetime) -> str:
    """Write a time as RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
