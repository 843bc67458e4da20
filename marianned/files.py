"""Opens files where somebody else can write: agents, other users, authors of scores. The one place for it.

A name there says nothing: behind it may be a pipe that nobody writes to, a device, a link to a key, or
gigabytes. So a name is first opened as a mere handle (O_PATH: nothing is read, nothing waits, no device
notices); of the handle it is asked what it is and where it lies; and only then the same handle is opened for
its content. What has been looked at is what is read, whatever becomes of the name meanwhile.

A lint test (tests/unit/test_files.py) finds any other way to open a file in the daemon. Needs /proc.
"""

import contextlib
import errno
import functools
import grp
import itertools
import os
import pwd
import shlex
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

Name = str | os.PathLike[str]

TEXT_MOST = 4 * 1024**2
"""Bytes of a text that a person writes: a score, a template, a profile, a configuration."""
RECORD_MOST = 64 * 1024**2
"""Bytes of a record of our own: spec.json holds a whole environment."""

_LINKS_MOST = 40
_OVERFLOW_UID = 65_534
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NOTHING_THERE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO}
)
_PIECE = 64 * 1024
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC


class UnsuitableFile(OSError):
    """What lies there is not what it has to be; `strerror` says why, `filename` which."""


def read(path: Name, most: int, *, below: Name | None = None) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes.

    Args:
        path: the file.
        most: more bytes than these are refused.
        below: a directory that the file must really lie in: links that stay inside are followed.

    Raises:
        OSError: it is not there or can't be read; UnsuitableFile: see `open_regular`, or it is larger.
    """
    data, size = head(path, most, below=below)
    if size > most:
        raise _unsuitable(errno.EFBIG, f"larger than {_size_text(most)}", path)
    return data


def head(path: Name, most: int, *, below: Name | None = None) -> tuple[bytes, int]:
    """Return the first `most` bytes of a regular file, and its size; raises as `open_regular` does."""
    handle = open_regular(path, below=below)
    try:
        data = _bytes(handle, most + 1)
        return data[:most], max(len(data), os.fstat(handle).st_size)
    finally:
        os.close(handle)


def tail(path: Name, most: int) -> bytes:
    """Return the last `most` bytes of a regular file; none where there is none to read."""
    try:
        handle = open_regular(path)
    except OSError:
        return b""
    try:
        os.lseek(handle, max(0, os.fstat(handle).st_size - most), os.SEEK_SET)
        return _bytes(handle, most)
    except OSError:
        return b""
    finally:
        os.close(handle)


def open_regular(path: Name, *, below: Name | None = None) -> int:
    """Open a regular file for reading; return its descriptor, which is the caller's to close.

    Raises:
        OSError: it is not there, or may not be read.
        UnsuitableFile: it is no regular file, or a link leads out of `below`.
    """
    return _regular(_handle(path), path, below, _READ)


def is_regular(path: Name, *, below: Name | None = None) -> bool:
    """Tell whether a regular file is there, whether it may be read or not.

    Raises:
        OSError: it can't be known.
        UnsuitableFile: a link leads out of `below`.
    """
    try:
        handle = _handle(path)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return False
        raise
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        if below is not None:
            _check_below(handle, path, below)
        return True
    finally:
        os.close(handle)


def open_to_append(path: Name, mode: int, *, below: Name | None = None) -> int:
    """Open a regular file for appending; one that is not there is made, with `mode`. Return its descriptor.

    Raises:
        OSError, UnsuitableFile: see `open_regular`.
    """
    try:
        handle = _handle(path)
    except FileNotFoundError:
        return _made(path, mode, below)
    return _regular(handle, path, below, _APPEND)


def append(path: Name, data: bytes, mode: int, *, below: Name | None = None) -> None:
    """Append to a regular file, in one write; one that is not there is made, with `mode`.

    Raises:
        OSError, UnsuitableFile: see `open_regular`.
    """
    descriptor = open_to_append(path, mode, below=below)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def write_private(path: Name, data: bytes) -> None:
    """Write a file of ours, mode 0600, in place of whatever has its name; no link there is followed.

    Raises:
        OSError: it can't be written.
    """
    new = f"{os.fspath(path)}.{os.urandom(4).hex()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(new).replace(path)
    except OSError:
        Path(new).unlink(missing_ok=True)
        raise


def directory(path: Name, *, below: Name | None = None) -> int:
    """Open a directory as a handle to work in (`dir_fd`); its own name is no link. The caller closes it.

    Raises:
        OSError: there is none.
        UnsuitableFile: a link leads out of `below`.
    """
    handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if below is not None:
            _check_below(handle, path, below)
    except OSError:
        os.close(handle)
        raise
    return handle


class NoDirectory(NamedTuple):
    """Why there is no directory at a path, and what to type to have an empty one; null: nobody can tell.

    `number` is that of the error with which it could not be looked at; null: it could be.
    """

    why: str
    command: str | None
    number: int | None = None


def no_directory(path: Name) -> NoDirectory | None:
    """Say why there is no directory: nothing is there, or something else, there or above; None: it is there.

    The only words for it: what is wrong with a workspace, a working directory or a hook's is the same.
    """
    wanted = os.fspath(path)
    make = f"mkdir -p {shlex.quote(wanted)}"
    for place in (wanted, *(str(above) for above in Path(wanted).parents)):
        try:
            mode = os.stat(place).st_mode  # noqa: PTH116  text in, text out
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(place):
                return _in_the_way(place, "a link that leads nowhere", make)
            continue
        except OSError as error:
            return NoDirectory(f"'{place}' can't be looked at: {error.strerror}", None, error.errno)
        except ValueError:  # a text that no name can be
            break
        if not stat.S_ISDIR(mode):
            return _in_the_way(place, _KINDS.get(stat.S_IFMT(mode), "a file"), make)
        if place == wanted:
            return None
        break
    return NoDirectory(f"'{wanted}' is not there", make)


def _in_the_way(place: str, kind: str, make: str) -> NoDirectory:
    """Say what lies where a directory is wanted."""
    return NoDirectory(f"'{place}' is {kind}, not a directory", f"{move_aside(place, 'old')} && {make}")


def move_aside(place: str, suffix: str) -> str:
    """Return the command that moves what lies there to a name that is free, and that ends so."""
    names = (f"{place}.{suffix}{number or ''}" for number in itertools.count())
    free = next(name for name in names if not os.path.lexists(name))
    return f"mv {shlex.quote(place)} {shlex.quote(free)}"


def make_directory(path: Name, mode: int) -> None:
    """Make a directory of this mode, whatever the umask is; what somebody has made before stays as it is.

    Raises:
        OSError: it can't be made.
    """
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102  names here are texts or paths
    except FileExistsError:
        return
    handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.chmod(f"/proc/self/fd/{handle}", mode)  # noqa: PTH101  a handle: a umask may have closed it
    finally:
        os.close(handle)


def make_private(path: Path, below: Path | None = None) -> None:
    """Make a directory and those that are missing above it, each for its owner only, whatever the umask is.

    What is there stays as it is: `check_private` looks at it. The directory `below` is not made.

    Raises:
        OSError: it can't be made, or is something else.
    """
    try:
        make_directory(path, 0o700)
    except FileNotFoundError:
        if path.parent in (path, below):
            raise
        make_private(path.parent, below)
        make_directory(path, 0o700)
    if not path.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def remove_tree(path: Name, *, dir_fd: int | None = None) -> None:
    """Delete whatever has this name: a directory with all that is in it, or a single entry; a link alone.

    `shutil.rmtree` opens what it is given before it asks what that is: a named pipe would hold it for ever.

    Raises:
        OSError: something of it can't be deleted; FileNotFoundError: there is nothing.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except NotADirectoryError:
        os.unlink(path, dir_fd=dir_fd)
        return
    try:
        shutil.rmtree(".", ignore_errors=True, dir_fd=handle)  # all but the directory itself
    finally:
        os.close(handle)
    os.rmdir(path, dir_fd=dir_fd)


def remove_tree_if_there(path: Name) -> None:
    """Delete as `remove_tree` does, as far as it can be done."""
    with contextlib.suppress(OSError):
        remove_tree(path)


def kind_of(path: Name) -> str:
    """Say what has this name, in words."""
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    return {stat.S_IFREG: "a file", stat.S_IFLNK: "a link", **_KINDS}.get(kind, "a special file")


def names(path: Name) -> list[str]:
    """Return the names in a directory, sorted; none where there is none to read."""
    try:
        return sorted(os.listdir(path))  # noqa: PTH208  names alone are wanted
    except (OSError, ValueError):
        return []


# --- whose is it -----------------------------------------------------------------------------------------


def read_trusted(path: Name, most: int) -> bytes:
    """Return the bytes of a file that only this user, or root, can have written.

    The same must be so of its directory, which is the caller's to ask: see `distrusted`.

    Raises:
        OSError: it is not there or can't be read.
        UnsuitableFile: it is no regular file, larger than `most`, another user's, or others can write it.
    """
    handle = open_regular(path)
    try:
        why = _distrust(os.fstat(handle))
        if why is not None:
            raise _unsuitable(errno.EPERM, why, path)
        data = _bytes(handle, most + 1)
    finally:
        os.close(handle)
    if len(data) > most:
        raise _unsuitable(errno.EFBIG, f"larger than {_size_text(most)}", path)
    return data


def distrusted(directory: Name) -> str | None:
    """Say why files in a directory can be somebody else's; None: they can't, or there is no directory.

    Raises:
        OSError: there is a directory, and it can't be looked at.
    """
    try:
        handle = _handle(directory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _distrust(os.fstat(handle))
    finally:
        os.close(handle)


def changed_by_others(path: Name) -> str | None:
    """Say who beside root can change what a path names: through the file, a directory above it, or a link's.

    Raises:
        OSError: it is not there, or has too many links.
    """
    return _changed_by(path, frozenset({0}), stat.S_IWOTH | stat.S_IWGRP)


def _changed_by(path: Name, owners: frozenset[int], writers: int) -> str | None:
    """Say who beside these owners can change what a path names; `writers` are the bits that let others.

    Each attempt asks this of its directory: texts cost a fifth of what paths do.
    """
    rest = _steps(os.path.abspath(path))  # noqa: PTH100  links are followed here, one by one
    at, links = "/", 0
    while rest:
        at = os.path.normpath(f"{at.rstrip('/')}/{rest.pop()}")
        found = os.lstat(at)
        if found.st_uid not in owners:  # of a link, too: in a directory like /tmp its owner can set another
            return f"'{at}' belongs to {login_of(found.st_uid)}"
        if stat.S_ISLNK(found.st_mode):
            if links == _LINKS_MOST:
                raise _unsuitable(errno.ELOOP, "too many links", path)
            links += 1
            target = os.readlink(at)  # noqa: PTH115  a text is wanted
            at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120  likewise
            rest += _steps(target)
        elif found.st_mode & writers and not _sticky(found):
            return f"others than {'root' if owners == {0} else 'you'} can write '{at}'"
    return None


def _steps(path: str) -> list[str]:
    """Return the names of a path, the last one first; of an absolute one `.`, for the root, behind them."""
    steps = [name for name in reversed(path.split("/")) if name]
    return [*steps, "."] if path.startswith("/") else steps


def _sticky(found: os.stat_result) -> bool:
    """Tell whether a directory lets nobody replace what is root's in it, as /tmp does."""
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)


def check_private(directory: Name) -> None:
    """Make sure that a directory is this user's own, and closed to all others.

    Raises:
        OSError: it can't be looked at.
        UnsuitableFile: it is no directory, another user's, or others may enter it.
    """
    found = os.lstat(directory)
    if stat.S_ISLNK(found.st_mode):
        found = os.stat(directory)  # noqa: PTH116  as above
    if not stat.S_ISDIR(found.st_mode):
        raise _unsuitable(errno.ENOTDIR, "it is not a directory", directory)
    if found.st_uid != os.geteuid():
        raise _unsuitable(errno.EPERM, f"it belongs to {login_of(found.st_uid)}, not to you", directory)
    if stat.S_IMODE(found.st_mode) & 0o077:
        why = f"it is open to others; type: chmod 700 {shlex.quote(os.fspath(directory))}"
        raise _unsuitable(errno.EPERM, why, directory)
    above = _changed_by(directory, _ours(os.geteuid()), stat.S_IWOTH)
    if above is not None:
        raise _unsuitable(errno.EPERM, f"somebody else can put another in its place: {above}", directory)


@functools.cache
def _ours(euid: int) -> frozenset[int]:
    """Return who may own what lies above a private directory; in a user namespace root can be nobody."""
    with open("/proc/self/uid_map", "rb") as file:  # noqa: PTH123  no path of anybody's
        outside = file.read().split() != [b"0", b"0", b"4294967295"]
    return frozenset({0, euid, *([_OVERFLOW_UID] if outside else [])})


def _distrust(found: os.stat_result) -> str | None:
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to {login_of(found.st_uid)}"
    if found.st_mode & stat.S_IWOTH:
        return "others can write it"
    if found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid):
        return f"group {_group(found.st_gid)} can write it"
    return None


def _is_own_group(gid: int) -> bool:
    """Tell whether a group is the user's own private one: of the same number, without another member."""
    uid = os.geteuid()
    if gid != uid:
        return False
    try:
        return set(grp.getgrgid(gid).gr_mem) <= {login_of(uid)}
    except KeyError:
        return True


def _group(gid: int) -> str:
    try:
        return f"'{grp.getgrgid(gid).gr_name}'"
    except KeyError:
        return str(gid)


def login_of(uid: int) -> str:
    """Return the name of a user; of one whom the user database does not know, the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


# --- handles ---------------------------------------------------------------------------------------------


def _handle(path: Name) -> int:
    """Open a name as a mere handle; texts that are no names are told as an error like others."""
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except ValueError:
        raise _unsuitable(errno.EINVAL, "its name has characters that no name can have", path) from None


def _regular(handle: int, path: Name, below: Name | None, flags: int) -> int:
    """Open the regular file of a handle, which is closed, once it is known to be one."""
    try:
        _check_regular(handle, path)
        if below is not None:
            _check_below(handle, path, below)
        return _content(handle, flags)
    finally:
        os.close(handle)


def _content(handle: int, flags: int) -> int:
    return os.open(f"/proc/self/fd/{handle}", flags)


def _bytes(handle: int, most: int) -> bytes:
    """Read to the end, or `most` bytes; a file object would cost four system calls more."""
    pieces = []
    while most > 0 and (piece := os.read(handle, min(most, _PIECE))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _check_regular(handle: int, path: Name) -> None:
    kind = stat.S_IFMT(os.fstat(handle).st_mode)
    if kind != stat.S_IFREG:
        raise _unsuitable(errno.EINVAL, f"{_KINDS.get(kind, 'a special file')}, not a regular file", path)


def _check_below(handle: int, path: Name, below: Name) -> None:
    base = _handle(below)
    try:
        root = _place(base)
    finally:
        os.close(base)
    if not f"{_place(handle)}/".startswith(f"{root.rstrip('/')}/"):
        raise _unsuitable(errno.EXDEV, f"a link leads out of '{os.fspath(below)}'", path)


def _place(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115  a text is wanted


def _made(path: Name, mode: int, below: Name | None) -> int:
    """Make a file that is not there, in a directory that really lies below; a link of its name is refused."""
    directory, name = os.path.split(os.fspath(path))
    parent = _handle(directory or ".")
    try:
        if below is not None:
            _check_below(parent, path, below)
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.open(name, _APPEND | flags, mode, dir_fd=parent)
    finally:
        os.close(parent)


def _unsuitable(number: int, why: str, path: Name) -> UnsuitableFile:
    return UnsuitableFile(number, why, os.fspath(path))


def _size_text(most: int) -> str:
    return f"{most // 1024**2} MiB" if most >= 1024**2 else f"{most} bytes"
