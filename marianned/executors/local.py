"""Attempts on this host: has shims forked or spawned, watches them by pidfd, sweeps after killed ones.

The exit comes from exit.json, never from waiting for a child: the shim is not ours to reap, and after a
restart nothing is. Whatever blocks runs in a thread.

Stopped supervisors are woken: by `end`, and by `wait`, as soon as one of the two has gone and every few
seconds besides. Needs Linux 5.3 (pidfd): without it `start` refuses before anything runs. What has taken
the mark out of its environment, and has lost keeper and runner both, is not found again.
"""

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar, TypeVarTuple, Unpack

import anyio
import msgspec
from anyio.to_thread import run_sync

from marianned import files
from marianned.executors import programs, shim
from marianned.executors.base import (
    AlreadyClaimed,
    CannotStart,
    ExitRecord,
    NotStarted,
    Presence,
    Running,
    Spec,
)
from marianned.executors.forking import ForkServer, shim_environment
from marianned.paths import make_private_directory

_PAUSE_SECONDS = 0.01
_SETTLING_LOOKS = 1000
"""How long a shim may take from its claim to its identity, in pauses; it needs about a millisecond."""

_LOOK_SECONDS = 5.0
"""How often a waiter wakes keeper and runner, whether they need it or not."""

_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_NO_PROCESS = {errno.ESRCH, errno.EINVAL, errno.ENOENT}
"""There is none, or only a thread of that number."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOAD = Path("/proc/loadavg")

_S = TypeVar("_S", bound=msgspec.Struct)
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class LocalExecutor:
    """Runs attempts on this host; any number of instances may look after the same directories.

    While it is entered, `async with`, a fork server makes starts cheap; without, each is a new interpreter.
    """

    def __init__(self) -> None:
        self._forks: ForkServer | None = None

    async def __aenter__(self) -> Self:
        self._forks = ForkServer()
        with contextlib.suppress(OSError):  # each start tries again, and tells what is wrong
            await run_sync(self._forks.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        forks, self._forks = self._forks, None
        if forks is not None:
            with anyio.CancelScope(shield=True):
                await run_sync(forks.close)

    async def start(self, directory: Path, spec: Spec) -> None:
        """Write the spec durably, have the shim forked or spawned, return when it has said who it is."""
        status, message = await run_sync(_begin, directory, spec, self._forks)
        if status == shim.CLAIMED_STATUS:
            raise AlreadyClaimed(message)
        # The front can be killed without the pair being troubled: then the directory knows better.
        if status and await self.presence(directory) not in {Presence.RUNNING, Presence.ENDED}:
            kind = CannotStart if status == shim.BAD_SPEC_STATUS else NotStarted
            raise kind(message or f"the shim ended with status {status}")

    async def presence(self, directory: Path) -> Presence:
        """Tell what is so; waits where a shim has claimed but not yet said who it is (see Executor)."""
        for _ in range(_SETTLING_LOOKS):
            seen = await _patiently(_look, directory)
            if seen is not None:
                break
            await anyio.sleep(_PAUSE_SECONDS)
        if seen is not None and seen is not Presence.LOST:
            return seen
        await _sweep(directory)
        return Presence.ENDED if (directory / shim.RECORD).exists() else Presence.LOST

    async def running(self, directory: Path) -> Running | None:
        """Read identity.json (see Executor)."""
        return await _patiently(_read, directory / shim.IDENTITY, Running)

    async def wait(self, directory: Path) -> ExitRecord | None:
        """Wait until keeper and runner are gone, then read the record (see Executor)."""
        while True:
            seen = await self.presence(directory)
            while pair := await _patiently(_pair, directory):
                with anyio.move_on_after(_LOOK_SECONDS):
                    await _gone(*pair[-1])
                await _patiently(_send, directory, signal.SIGCONT)
            if seen is not Presence.RUNNING:
                return await _patiently(_read, directory / shim.RECORD, ExitRecord)

    async def end(self, directory: Path) -> None:
        """Send TERM, and wake them; it is for the keeper, but a runner without one is ending anyway."""
        await _patiently(_send, directory, signal.SIGTERM)
        await _patiently(_send, directory, signal.SIGCONT)

    async def claim(self, directory: Path) -> bool:
        """Make the claim file, and the directory where there is none yet (see Executor)."""
        return await _patiently(_claim, directory)


async def _patiently(function: Callable[[Unpack[_Ts]], _T], *args: *_Ts) -> _T:
    """Call it in a thread, again every second while descriptors or memory are short: that tells nothing."""
    while True:
        try:
            return await run_sync(function, *args)
        except OSError as error:
            if error.errno not in _SCARCE:
                raise
        await anyio.sleep(1)


async def _gone(pid: int, start_time: int) -> None:
    """Wait until that process has ended; a zombie has."""
    watch = await _patiently(_open, pid, start_time)
    if watch is None:
        return
    try:
        await anyio.wait_readable(watch)
    finally:
        os.close(watch)


async def _sweep(directory: Path) -> None:
    """Kill whatever carries the attempt's mark, stopped or not, until two looks in a row have found nothing.

    A process can be missed once: its environment reads as empty while it executes another program.
    """
    spec = await _patiently(_read, directory / shim.SPEC, Spec)
    if spec is None:
        return
    found_before = True
    while (found := await _patiently(_kill_marked, spec.id)) or found_before:
        found_before = found
        await anyio.sleep(_PAUSE_SECONDS)


def _begin(directory: Path, spec: Spec, forks: ForkServer | None) -> tuple[int, str]:
    """Write spec.json, have the keeper forked or run the shim's front to its end: a status and a message."""
    try:
        os.close(os.pidfd_open(os.getpid()))
        make_private_directory(directory)
        if (directory / shim.CLAIM).exists():
            return shim.CLAIMED_STATUS, "the attempt is claimed already"
        _write(directory / shim.SPEC, msgspec.json.encode(spec))
        answer = forks.start(directory, spec.id) if forks else None
        if answer:
            return answer
        if forks and (directory / shim.CLAIM).exists():
            return shim.NO_CLAIM_STATUS, "the shim was killed"
        return _spawn(directory, spec.id)
    except OSError as error:
        lasting = error.errno == errno.ENOSYS  # a kernel without pidfds
        return shim.BAD_SPEC_STATUS if lasting else shim.NO_CLAIM_STATUS, str(error)
    except UnicodeError as error:
        return shim.BAD_SPEC_STATUS, str(error)


def _spawn(directory: Path, attempt: str) -> tuple[int, str]:
    front = subprocess.Popen(
        programs.command("shim", directory),
        pass_fds=[programs.held()],
        env=shim_environment(attempt),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _, said = front.communicate()
    return front.returncode, said.decode(errors="replace").strip()


def _write(path: Path, content: bytes) -> None:
    handle, new = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(new).replace(path)
    except OSError:
        Path(new).unlink()
        raise


def _claim(directory: Path) -> bool:
    make_private_directory(directory)
    try:
        (directory / shim.CLAIM).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True


def _read(path: Path, kind: type[_S]) -> _S | None:
    """Read a file of the shim; None where there is none, or only what a failing disk has left of it."""
    try:
        return msgspec.json.decode(files.read(path, files.RECORD_MOST), type=kind)
    except (FileNotFoundError, NotADirectoryError, files.Unsuitable, msgspec.MsgspecError):
        return None


def _look(directory: Path) -> Presence | None:
    """Look once. None: somebody has claimed it, lives, and has not yet said who it is.

    What is asked last here comes first in the life of an attempt (claim, identity, record, death), so
    nothing is overlooked that happens meanwhile.
    """
    introduced = (directory / shim.IDENTITY).exists()
    alive = bool(_pair(directory))
    claimed = (directory / shim.CLAIM).exists()
    if claimed and not introduced:
        spec = _read(directory / shim.SPEC, Spec)
        alive = spec is not None and any(_marked(_mark(spec.id)))
    if (directory / shim.RECORD).exists():
        return Presence.ENDED
    if alive:
        return Presence.RUNNING if introduced else None
    return Presence.LOST if claimed else Presence.NEVER_STARTED


def _pair(directory: Path) -> list[tuple[int, int]]:
    """Return (pid, start time) of keeper and runner as far as they live; each can end the attempt alone."""
    running = _read(directory / shim.IDENTITY, Running)
    if running is None or running.boot_id != _BOOT_ID.read_text().strip():
        return []
    pair = ((running.pid, running.start_time), (running.runner_pid, running.runner_start_time))
    return [(pid, start_time) for pid, start_time in pair if _start_time(pid) == start_time]


def _start_time(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat; None when there is no such process, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


def _open(pid: int, start_time: int) -> int | None:
    """Open a pidfd; None when the process has ended. The start time is looked at once it can't change."""
    try:
        opened = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        same = _start_time(pid) == start_time
    except OSError:
        os.close(opened)
        raise
    if same:
        return opened
    os.close(opened)
    return None


def _send(directory: Path, number: int) -> None:
    """Send TERM to the first of the pair that lives, CONT to both."""
    pair = _pair(directory)
    for process in pair if number == signal.SIGCONT else pair[:1]:
        opened = _open(*process)
        if opened is None:
            continue
        try:
            signal.pidfd_send_signal(opened, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(opened)


def _mark(attempt: str) -> bytes:
    return f"{shim.MARK}={attempt}".encode()


def _marked(mark: bytes) -> Iterator[int]:
    """Find the processes that carry the mark in their environment; zombies have none."""
    for name in os.listdir("/proc"):  # noqa: PTH208  a Path for each process would double the walk
        if name.isdigit() and int(name) != os.getpid() and _has_mark(int(name), mark):
            yield int(name)


def _has_mark(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  as above
            return mark in file.read().split(b"\0")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False


def _kill_marked(attempt: str) -> bool:
    """Kill them; tell whether there were any, or may be.

    Whatever forks and exits faster than we walk is ahead of us for ever, so we follow it: to each process
    that has come since the walk began, until none has.
    """
    mark, last, found = _mark(attempt), _last_pid(), False
    for pid in _marked(mark):
        found = True
        _kill(pid, mark)
    while (newest := _last_pid()) > last:
        for pid in range(last + 1, newest + 1):
            if _has_mark(pid, mark):
                found = True
                _kill(pid, mark)
        last = newest
    return found or newest < last  # the numbers began again: nobody knows who has come


def _last_pid() -> int:
    """Return the number that was given to a process, or a thread, last."""
    return int(_LOAD.read_bytes().split()[-1])


def _kill(pid: int, mark: bytes) -> None:
    try:
        process = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in _NO_PROCESS:
            raise
        return
    try:
        if _has_mark(pid, mark):  # still: the pid can be another process by now
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
