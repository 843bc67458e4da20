"""One daemon a state directory: two locks held for life, of which one nobody can take away.

The lock of the file `lock` is where others look, and it says who holds it. That file can be deleted while it
is held, so the same process also locks the database itself: whoever opens that database meets this lock,
whatever has become of the file. Both are those of flock(2), which SQLite's own (fcntl) never meet.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from marianned.holder import Holder, holder
from marianned.paths import database_path, lock_path, make_private_directory

_LOOKS = 5
_PAUSE_SECONDS = 0.02


class LockHeld(Exception):
    """Another daemon holds the state directory."""

    def __init__(self, holder: Holder | None, path: Path) -> None:
        who = "another process"
        if holder is not None:
            who = f"pid {holder.pid} on {holder.host}"
            who += (
                f", at '{holder.socket}'" if holder.socket else f", '{path.name}' has been deleted under it"
            )
        super().__init__(f"a daemon holds '{path.parent}' already: {who}")
        self.holder = holder


class Lock:
    """The locks that this process holds."""

    def __init__(self, state: Path, address: Path, file: int, database: int) -> None:
        self._path = lock_path(state)
        self._database_path = database_path(state)
        self._address = address
        self._file = file
        self._database = database
        _write_holder(file, address)

    def moved(self, address: Path) -> None:
        """Tell in the file that this process listens somewhere else from now on."""
        self._address = address
        _write_holder(self._file, address)

    def renew(self) -> bool:
        """Make the file again where it has been deleted; tell whether it had to be.

        A directory whose database is not ours any more may be another daemon's by now: nothing is made there.

        Raises:
            OSError: it can't be made. Nobody but us can serve the database all the same.
        """
        if _is_same_file(self._file, self._path) or not _is_same_file(self._database, self._database_path):
            return False
        file = _open_lock_file(self._path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # one that is being started looks; it will find the database locked
            os.close(file)
            return False
        os.close(self._file)
        self._file = file
        _write_holder(file, self._address)
        return True

    def release(self) -> None:
        """Let go of the file; it says of nobody that he holds it."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)


@contextmanager
def locked(state: Path, address: Path) -> Iterator[Lock]:
    """Hold the locks of a state directory; they are close-on-exec, and go with the process.

    Raises:
        LockHeld: another daemon has one of them.
        OSError: the files can't be made.
    """
    make_private_directory(state)
    file = _take_lock(lock_path(state), state)
    try:
        database = _take_lock(database_path(state).resolve(), state)  # it may lie elsewhere, by a link
    except BaseException:
        os.close(file)
        raise
    try:
        lock = Lock(state, address, file, database)
        try:
            yield lock
        finally:
            lock.release()
    finally:
        os.close(database)  # only now: with it go SQLite's own locks of that file


def _take_lock(path: Path, state: Path) -> int:
    """Open and lock a file; whoever only looks whether it is locked holds it for a moment, too."""
    for looks_left in reversed(range(_LOOKS)):
        descriptor = _open_lock_file(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if not looks_left:
                raise LockHeld(holder(state), lock_path(state)) from None
            time.sleep(_PAUSE_SECONDS)
            continue
        if _is_same_file(descriptor, path):
            return descriptor
        os.close(descriptor)  # deleted or replaced between the two
    raise LockHeld(None, lock_path(state))


def _open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _write_holder(descriptor: int, address: Path) -> None:
    holder = Holder(pid=os.getpid(), host=socket.gethostname(), socket=str(address))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(holder), 0)
