"""What keeps this user from a file or a directory: in words, and as a command that shows or mends it.

A start and `mzt doctor` ask the same questions here, so that what ends the one is found by the other. It
looks, and changes nothing.
"""

import errno
import functools
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from marianned import files

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM})


class FileObstacle(NamedTuple):
    """Why a file or directory can't be used, and what to type."""

    why: str
    command: str

    def __str__(self) -> str:
        return f"{self.why}; type: {self.command}"


def of_directory(path: Path) -> FileObstacle | None:
    """Say what keeps this user from making files in a directory, or from making it; null: nothing."""
    closed = closed_part(path)
    if closed is not None:
        return closed
    there = _nearest(path)
    if not there.is_dir():
        return _in_the_way(there, "a directory")
    if there.stat().st_dev in _kernel_devices():
        why = f"'{there}' shows what the kernel knows: nothing can be made there"
        return FileObstacle(why, "mzt help environment")
    if os.access(there, os.R_OK | os.W_OK | os.X_OK):
        return None
    return _not_writable(there, "u+rwx")


def of_file(path: Path) -> FileObstacle | None:
    """Say what keeps this user from writing a file that is there, or from making it; null: nothing."""
    try:
        found = path.stat()
    except OSError:
        if os.path.islink(path):  # noqa: PTH114  one that can't be looked at is none
            return _in_the_way(path, "a file")
        return of_directory(path.parent)
    if not stat.S_ISREG(found.st_mode):
        return _in_the_way(path, "a file")
    return None if os.access(path, os.R_OK | os.W_OK) else _not_writable(path, "u+rw")


def of_socket(path: Path) -> FileObstacle | None:
    """Say what keeps a daemon from making its socket at a path; null: nothing."""
    try:
        found = path.lstat()
    except OSError:
        return of_directory(path.parent)
    if not stat.S_ISSOCK(found.st_mode):
        return _in_the_way(path, "a socket")
    return of_directory(path.parent)


def closed_part(path: Path) -> FileObstacle | None:
    """Say which directory above a path lets this user not in; null: none does."""
    for parent in reversed(path.parents):
        if not os.access(parent, os.F_OK):
            return None  # what is not there is not closed
        if parent.is_dir() and not os.access(parent, os.X_OK):
            return _refusal(parent, f"'{parent}' is closed to you", "u+rwx")
    return None


def of_error(error: OSError) -> FileObstacle:
    """Say where to look after an error of the system, and what to type; the error says itself what it is."""
    if error.filename is None:
        return FileObstacle("see what is wrong there", "mzt doctor")
    place = Path(os.fsdecode(error.filename))
    there = shlex.quote(str(_nearest(place)))
    if error.errno in _FULL:
        return FileObstacle("see to the disk space there", f"df -h {there}")
    if error.errno == errno.EROFS:
        return FileObstacle("see to how its file system is mounted", f"findmnt -T {there}")
    if error.errno in _REFUSED:
        return FileObstacle("see to the permissions there", (of_file(place) or _looked_at(place)).command)
    return of_directory(place.parent) or FileObstacle("see to what is there", f"ls -ld {there}")


def of_start(state: Path, database: Path, lock: Path) -> Iterator[FileObstacle]:
    """Yield what keeps a daemon from its start among the files of its state directory."""
    directory = of_directory(state)
    if directory is not None:
        yield directory
        return
    real = database.resolve()
    if lock.is_symlink():
        yield _in_the_way(lock, "a file")
        lock = real
    beside = [real.with_name(f"{real.name}{end}") for end in ("-wal", "-shm")]
    own = [state / name for name in ("marianned.log", "daemon-start.log")]
    for path in dict.fromkeys((lock, real, *beside, *own)):
        if (found := of_file(path)) is not None:
            yield found


@functools.cache
def _kernel_devices() -> frozenset[int]:
    """Return the file systems whose files nobody can make."""
    return frozenset(Path(place).stat().st_dev for place in ("/proc", "/sys") if Path(place).is_mount())


def _nearest(path: Path) -> Path:
    """Return a path, or the nearest directory above it that is there."""
    return next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))


def _in_the_way(path: Path, wanted: str) -> FileObstacle:
    why = f"'{path}' is {files.kind_of(path)}, not {wanted}"
    if path.is_dir() and not path.is_symlink() and not files.names(path):
        return FileObstacle(why, f"rmdir {shlex.quote(str(path))}")
    return FileObstacle(why, files.move_aside(str(path), "away"))


def _not_writable(path: Path, mode: str) -> FileObstacle:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        why = f"'{path}' can't be written: its file system is read-only"
        return FileObstacle(why, f"findmnt -T {shlex.quote(str(path))}")
    return _refusal(path, f"'{path}' can't be written: its permissions keep you out", mode)


def _refusal(path: Path, why: str, mode: str) -> FileObstacle:
    """Return why a path refuses this user: its owner can change that, others can only look."""
    owner = path.stat().st_uid
    if owner == os.geteuid():
        return FileObstacle(why, f"chmod {mode} {shlex.quote(str(path))}")
    return FileObstacle(f"{why}: it belongs to {files.login_of(owner)}", _looked_at(path).command)


def _looked_at(path: Path) -> FileObstacle:
    return FileObstacle("", f"ls -ld {shlex.quote(str(_nearest(path)))}")
