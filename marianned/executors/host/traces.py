"""An attempt's processes, found by what they carry: its mark in the environment, its brand among the limits.

Every process of an attempt inherits both. The mark is text, which `env -u` and the like take away; the brand
(base.brand_of) is a limit that nothing comes near to and nobody touches by accident. A process that changes
both is not found; what sets the brand aside, with the mark gone, is `ulimit -R` or a login of its own.

Everything here blocks. Zombies carry nothing: a zombie counts as gone.
"""

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from marianned.executors import shim
from marianned.executors.base import brand_of

_NO_PROCESS = {errno.ESRCH, errno.EINVAL, errno.ENOENT}
"""There is none, or only a thread of that number."""
_NOT_TOLD = (FileNotFoundError, PermissionError, ProcessLookupError)
_LOAD = Path("/proc/loadavg")
_LIMIT = b"Max realtime timeout"
_CHUNK = 1 << 16
_SHIMS = (b"shim", b"forkserver")
_LONGEST_EXEC_SECONDS = 1.0
"""How long a process is waited for that executes another program: microseconds, unless it is kept waiting."""
_EXEC_PAUSE_SECONDS = 0.0005

reassigning = threading.Lock()
"""Held while a pair is given its next attempt, and while one that was found to be of an attempt gets a signal
that would end that: so none reaches the attempt behind it (forkserver.py)."""


class Trace(NamedTuple):
    """What the processes of one attempt carry."""

    mark: bytes
    brand: bytes


def trace_of(attempt: str) -> Trace:
    """Return what the processes of an attempt carry."""
    return Trace(f"{shim.MARK}={attempt}".encode(), b"%d" % brand_of(attempt))


class ProcessState(NamedTuple):
    """A process that lives: field 22 of its /proc/PID/stat; whether somebody has stopped it."""

    start_time: int
    stopped: bool


def process_state(pid: int) -> ProcessState | None:
    """Return what is so of a process; None when there is none of that number, or a zombie."""
    fields = _stat(pid)
    return None if fields is None else ProcessState(int(fields[19]), fields[0] == b"T")


def start_time(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat; None when there is no such process, or a zombie."""
    found = process_state(pid)
    return None if found is None else found.start_time


def open_process(pid: int, started: int) -> int | None:
    """Open a pidfd; None when the process has ended. The start time is looked at once it can't change."""
    try:
        opened = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        same = start_time(pid) == started
    except OSError:
        os.close(opened)
        raise
    if same:
        return opened
    os.close(opened)
    return None


def has_mark(pid: int, mark: bytes) -> bool:
    """Tell whether a process carries the mark."""
    environment = environment_of(pid)
    return mark in environment and mark in environment.split(b"\0")


def marked(mark: bytes) -> Iterator[int]:
    """Find the processes that carry the mark."""
    return (pid for pid in _pids() if has_mark(pid, mark))


def find_supervisors(attempt: str) -> list[tuple[int, int]]:
    """Return (pid, start time) of an attempt's keeper and runner, as far as they live, the keeper first."""
    found = []
    for pid in marked(trace_of(attempt).mark):
        fields = _stat(pid)
        if fields is not None and _is_shim(pid):
            leads = int(fields[3]) == pid
            found.append((not leads, pid, int(fields[19])))
    return [(pid, started) for _, pid, started in sorted(found)]


def attempts_alive(prefix: str) -> dict[str, int]:
    """Return the attempts whose ids begin so and that processes carry, each with one of its processes."""
    found: dict[str, int] = {}
    wanted = f"{shim.MARK}={prefix}".encode()
    for pid in _pids():
        environment = environment_of(pid)
        for variable in environment.split(b"\0") if wanted in environment else ():
            if variable.startswith(wanted):
                name = variable.partition(b"=")[2].decode(errors="surrogateescape")
                found.setdefault(name, pid)
    return found


def supervised_attempts_below(directory: Path) -> dict[str, int]:
    """Return the attempts that are looked after below a directory, each with one of keeper and runner."""
    found: dict[str, int] = {}
    mark = f"{shim.MARK}=".encode()
    for pid in _pids():
        if not _is_shim(pid):
            continue
        try:
            place = Path(f"/proc/{pid}/cwd").readlink()
        except _NOT_TOLD:
            continue
        if place.is_relative_to(directory):
            variables = environment_of(pid).split(b"\0")
            names = [one.removeprefix(mark) for one in variables if one.startswith(mark)]
            found |= {name.decode(errors="surrogateescape"): pid for name in names}
    return found


def kill_all(attempt: str) -> bool:
    """Kill the processes of an attempt; tell whether there were any, or may be.

    Whatever forks and exits faster than we walk is ahead of us for ever, so we follow it: to each process
    that has come since the walk began, until none has.
    """
    trace, last, found = trace_of(attempt), _last_pid(), False
    for pid in _pids():
        found = _kill(pid, trace) or found
    while (newest := _last_pid()) > last:
        for pid in range(last + 1, newest + 1):
            found = _kill(pid, trace) or found
        last = newest
    return found or newest < last  # the numbers began again: nobody knows who has come


def _kill(pid: int, trace: Trace) -> bool:
    """Kill a process if it carries the trace; tell whether it did."""
    if not _carries(pid, trace):
        return False
    try:
        process = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in _NO_PROCESS:
            raise
        return True
    try:
        with reassigning:
            if _carries(pid, trace):  # still: the pid can be another process by now
                signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
    return True


def _carries(pid: int, trace: Trace) -> bool:
    return has_mark(pid, trace.mark) or _has_brand(pid, trace.brand)


def _has_brand(pid: int, brand: bytes) -> bool:
    limits = _read(f"/proc/{pid}/limits")
    if limits is None or brand not in limits:
        return False
    line = next(line for line in limits.splitlines() if line.startswith(_LIMIT))
    return line.removeprefix(_LIMIT).split()[0] == brand and start_time(pid) is not None


def environment_of(pid: int) -> bytes:
    """Return a process's environment, as it was given it; nothing where it has none, or it is not told.

    While a process executes another program its environment reads as empty: it is read again then.
    """
    last = 0.0
    while (found := _read(f"/proc/{pid}/environ")) == b"" and _comes_to_have_one(pid):
        last = last or time.monotonic() + _LONGEST_EXEC_SECONDS
        if time.monotonic() > last:
            break
        time.sleep(_EXEC_PAUSE_SECONDS)
    return found or b""


def _comes_to_have_one(pid: int) -> bool:
    """Tell whether a process whose environment was read as empty has one by now, or soon.

    A kernel's thread has no memory. Where the code begins is written down behind the environment.
    """
    fields = _stat(pid)
    if fields is None:
        return False
    memory, code, begins, ends = (int(fields[number]) for number in (20, 23, 47, 48))
    return memory > 0 and (code == 0 or begins != ends)


def _read(path: str) -> bytes | None:
    """Read a file of a process to its end; None where it is not told. A walk reads one of each process."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except _NOT_TOLD:
        return None
    try:
        found = more = os.read(file, _CHUNK)
        while more:
            found += (more := os.read(file, _CHUNK))
    except _NOT_TOLD:
        return None
    finally:
        os.close(file)
    return found


def _pids() -> Iterator[int]:
    own = os.getpid()
    return (
        int(name)
        for name in os.listdir("/proc")  # noqa: PTH208  as above
        if name.isdigit() and int(name) != own
    )


def _stat(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat from the third on; None for what has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123  as below
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {b"Z", b"X"} else fields


def _is_shim(pid: int) -> bool:
    argv = (_read(f"/proc/{pid}/cmdline") or b"").split(b"\0")
    # Named as a program, or by its file: 0.1.0 ran the files themselves.
    names = [word.rpartition(b"/")[2] for word in argv[3:5]]
    return argv[1:3] == [b"-I", b"-S"] and any(name.startswith(_SHIMS) for name in names)


def _last_pid() -> int:
    """Return the number that was given to a process, or a thread, last."""
    return int(_LOAD.read_bytes().split()[-1])
