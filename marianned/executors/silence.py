"""Whether a command still shows a sign of life; loaded by the runner when an attempt has such a limit.

Signs are: bytes on stdout or stderr; a file made or changed in its directories; CPU time used by what runs
below the runner. Like shim.py it imports nothing of ours, and runs with `-I -S`. Nothing here depends on
the time of day: what is seen is only compared with what was seen before.
Source: docs/reference/score-format.md §16.2.
"""

import os
import resource
import time

_ENTRIES = 10_000
"""How many entries of the directories are looked at, those higher up first."""
_BUSY = 0.01
"""Which part of an interval must have been worked for to be a sign of life."""
_TICKS = os.sysconf("SC_CLK_TCK")


class SilenceWatch:
    """Looks when it is `due` (monotonic clock) whether the limit of silence has been reached."""

    def __init__(self, idle: float, interval: float, directories: list[str], output: list[int]) -> None:
        self.idle, self.interval = idle, interval
        self.directories, self.output = directories, output
        self.alive = self.looked = time.monotonic()
        self.seen, self.used = self._observe(), _cpu_seconds()
        self.due = self.looked + min(interval, idle)

    def poll(self) -> bool:
        """Look when it is time for that; False: it has been silent for too long."""
        now = time.monotonic()
        if now < self.due:
            return True
        seen, used = self._observe(), _cpu_seconds()
        if seen != self.seen or used - self.used > _BUSY * (now - self.looked):
            self.alive = now
        self.seen, self.used, self.looked = seen, used, now
        self.due = min(now + self.interval, self.alive + self.idle)
        return now < self.alive + self.idle

    def extended(self, idle: float) -> bool:
        """Take a limit that is longer, in seconds from the last sign of life; tell whether it lasts still."""
        self.idle = max(self.idle, idle)
        now = time.monotonic()
        self.due = min(now + self.interval, self.alive + self.idle)
        return now < self.alive + self.idle

    def _observe(self) -> tuple[list[int], int]:
        return [os.fstat(file).st_size for file in self.output], _fingerprint(self.directories)


def _fingerprint(directories: list[str]) -> int:
    """Return a number that another one takes the place of when something was made or changed."""
    todo, left, seen = list(directories), _ENTRIES, 0
    for directory in todo:  # grows meanwhile: breadth first
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if not left:
                        return seen
                    left -= 1
                    try:
                        facts = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                    except OSError:
                        continue  # gone meanwhile
                    seen += hash(
                        (entry.path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
                    )
        except OSError:
            continue
    return seen


def _cpu_seconds() -> float:
    """Return the CPU seconds of all that runs, or has been reaped, below this process."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks, todo = 0, _children(os.getpid())
    while todo:
        pid = todo.pop()
        todo += _children(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                ticks += sum(map(int, file.read().rpartition(b")")[2].split()[11:15]))
        except OSError:
            continue  # ended meanwhile
    return ticks / _TICKS + reaped.ru_utime + reaped.ru_stime


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # ended meanwhile
    return found
