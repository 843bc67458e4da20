"""Copies of the database: whole and on disk before they have their name, and marked as copies."""

import errno
import fcntl
import os
import sqlite3
from pathlib import Path

from marianned import faults
from marianned.store.incarnations import mark_copy


def write_copy(connection: sqlite3.Connection, path: Path) -> int:
    """Write a copy under another name; it has its own only when it is whole and on disk. Return its bytes.

    Raises:
        FileExistsError: something has that name.
        OSError: the disk does not let us.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():  # made by another user, in a directory like /tmp
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(part))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two of one name would write into one file
        os.ftruncate(descriptor, 0)  # what a daemon that was killed over it has left
        try:
            _fill(connection, part)
            faults.point("backup.filled")
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
            _name(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)
    return size


def _fill(connection: sqlite3.Connection, path: Path) -> None:
    try:
        target = sqlite3.connect(path)
        try:
            connection.backup(target)
            mark_copy(target)
        finally:
            target.close()
    except sqlite3.Error as error:
        full = "full" in str(error)  # SQLite: database or disk is full
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error


def _name(part: Path, path: Path) -> None:
    """Give a file its name, if nobody has it meanwhile, and put that on disk as well."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.rename(path)
    else:
        part.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
