"""Times: what a moment is, and how it is written.

A moment that outlives a process (the end of a hold, a retry) is an Instant: a UTC time beside the boot
it was taken in and that boot's own clock, which runs on through suspends and is not moved by anybody.
On the same boot the boot clock decides, after a reboot the UTC time. Source: docs/design/control.md §4.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import overload

import msgspec

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  in UTC
_YEARS = (-62_135_596_800_000, 253_402_300_799_999)
"""The first and the last millisecond of the years 1 to 9999, which are all that can be written."""


class Instant(msgspec.Struct, frozen=True):
    """A moment: UTC in milliseconds since 1970, boot id, milliseconds since that boot."""

    at: int
    boot: str
    boottime: int

    def plus(self, milliseconds: int) -> "Instant":
        """Return the moment so much later."""
        return Instant(self.at + milliseconds, self.boot, self.boottime + milliseconds)

    def until(self, later: "Instant") -> int:
        """Return the milliseconds from this moment to `later`; negative when it has passed."""
        if self.boot == later.boot:
            return later.boottime - self.boottime
        return later.at - self.at

    def reached(self, due: "Instant") -> bool:
        """Tell whether `due` has come at this moment."""
        return self.until(due) <= 0


@overload
def timestamp(moment: int | Instant) -> str: ...
@overload
def timestamp(moment: int | Instant | None) -> str | None: ...
def timestamp(moment: int | Instant | None) -> str | None:
    """Write an instant, or UTC milliseconds, as RFC 3339: `2026-11-24T14:05:12.000Z`; null stays null."""
    if moment is None:
        return None
    return _format_milliseconds(moment.at if isinstance(moment, Instant) else moment)


@lru_cache(maxsize=8192)
def _format_milliseconds(milliseconds: int) -> str:
    """Write UTC milliseconds: each look at a job tells the same moments again, two of each of its flights.

    A moment after the last one that can be written is told as that one: durations add up and are multiplied.
    """
    told = _EPOCH + timedelta(milliseconds=nearest(milliseconds))
    return f"{told.isoformat('T', 'milliseconds')}Z"


def nearest(milliseconds: int) -> int:
    """Return the moment that can be written next to this one: files may say that they are of any year."""
    first, last = _YEARS
    return min(max(milliseconds, first), last)


def milliseconds(text: str) -> int:
    """Read an RFC 3339 time back into UTC milliseconds.

    Raises:
        ValueError: the text is no RFC 3339 time with its zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return round(moment.timestamp() * 1000)
