"""Who holds a state directory: what both sides can see of the daemon's locks (lock.py takes them)."""

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from marianned import files
from marianned.decoding import Undecodable, from_json
from marianned.paths import database_path, lock_path

_OURS = b"marianned"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lock, and where it listens (empty: it isn't known)."""

    pid: int
    host: str
    socket: str


def holder(state: Path) -> Holder | None:
    """Return who holds the locks of a state directory now; None: nobody, or nobody knows who.

    Raises:
        PermissionError: it is closed to this user, so that it can't be known.
    """
    path = lock_path(state)
    if _is_locked(path) and (told := _read_holder(path)) is not None:
        return told
    if not _is_locked(database_path(state)):
        return None
    pid = _pid_of(database_path(state))
    return None if pid is None else Holder(pid=pid, host=socket.gethostname(), socket="")


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:
        raise
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _pid_of(path: Path) -> int | None:
    """Return the daemon that holds a file's lock, by the kernel's list.

    Source: proc_locks(5): `1: FLOCK  ADVISORY  WRITE 4211 08:01:1234 0 EOF`. The device there is not always
    that of stat(2), so the process has to be a daemon by its command line, too.
    """
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for words in map(str.split, lines):
        if words[1:2] == ["FLOCK"] and words[5].rpartition(":")[2] == inode:
            pid = int(words[4])
            with suppress(OSError):
                if _OURS in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
    return None


def _read_holder(path: Path) -> Holder | None:
    try:
        return from_json(files.read(path, files.TEXT_MOST), Holder)
    except PermissionError:
        raise
    except (OSError, Undecodable):
        return None
