"""One daemon a state directory: a lock held for life, in a file that says who holds it."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from marianned import files
from marianned.paths import lock_path, make_private_directory

_LOOKS = 5
_PAUSE_SECONDS = 0.02


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lock, and where it listens."""

    pid: int
    host: str
    socket: str


class LockHeld(Exception):
    """Another daemon holds the state directory."""

    def __init__(self, holder: Holder | None, path: Path) -> None:
        who = f"pid {holder.pid} on {holder.host}, at '{holder.socket}'" if holder else "another process"
        super().__init__(f"a daemon holds '{path.parent}' already: {who}")
        self.holder = holder


@contextmanager
def locked(state: Path, address: Path) -> Iterator[None]:
    """Hold the lock of a state directory; it is close-on-exec, and goes with the process.

    Raises:
        LockHeld: another daemon has it.
    """
    make_private_directory(state)
    path = lock_path(state)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, path)
        _tell(descriptor, address)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _tell(descriptor: int, address: Path) -> None:
    holder = Holder(pid=os.getpid(), host=socket.gethostname(), socket=str(address))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(holder), 0)


def moved(state: Path, address: Path) -> None:
    """Tell, in the lock file that this process holds, that it listens somewhere else from now on."""
    descriptor = os.open(lock_path(state), os.O_WRONLY | os.O_CLOEXEC)
    try:
        _tell(descriptor, address)
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    """Take the lock; whoever only looks whether it is held holds it for a moment, too."""
    for looks_left in reversed(range(_LOOKS)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not looks_left:
                raise LockHeld(_read(path), path) from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def holder(state: Path) -> Holder | None:
    """Return who holds the lock of a state directory now; None: nobody."""
    path = lock_path(state)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(files.read(path, files.TEXT_MOST), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
