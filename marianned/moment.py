"""The moment: the clocks that the daemon's decisions and rows go by, read in one place."""

import time
from functools import cache
from pathlib import Path

from marianned.clock import Instant

_NANOSECONDS_PER_MILLISECOND = 1_000_000


@cache
def boot_id() -> str:
    """Return what names this boot of the machine; empty where the system has no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def now() -> Instant:
    """Return this moment, in UTC and on the clock of this boot."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Instant(
        time.time_ns() // _NANOSECONDS_PER_MILLISECOND,
        boot_id(),
        time.clock_gettime_ns(clock) // _NANOSECONDS_PER_MILLISECOND,
    )
