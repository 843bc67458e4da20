"""Where the daemon's socket is looked for, and the one place where it is dialled.

Source: docs/design/protocol.md "Where".
"""

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import suppress

from marianned import client_wire, paths, probe
from marianned.errors import NoDaemon, NotPermitted

_LOCK_MOST = 65_536
"""Bytes of a lock's file: it has a line."""


class NoSocketPath(NoDaemon):
    """No daemon can listen at the path that was named."""


def socket_paths(named: str | None) -> Iterator[str]:
    """Yield the paths where a daemon may listen, the likeliest first; one that was named alone.

    One that $MARIANNE_SOCKET names is meant, too. Where nobody answers at the usual one, the lock file says
    where the daemon of this user's state directory listens: it moves when its directory goes.

    Raises:
        NoSocketPath: the path does not fit into a socket address.
        NotPermitted: nobody listens at the usual one, and the state directory is closed to this user.
    """
    try:
        if named is not None:
            paths.check_address(os.path.join(os.getcwd(), named))  # noqa: PTH109, PTH118  no client loads pathlib for this
            yield named
            return
        usual = paths.socket_address()
    except paths.SocketPathTooLongError as error:
        raise NoSocketPath(str(error), hints=["mzt help environment"]) from None
    yield usual
    if not environment_names_socket() and (other := locked_socket()) not in {None, usual}:
        yield str(other)


def environment_names_socket() -> bool:
    """Whether the environment names a socket."""
    return bool(os.environ.get("MARIANNE_SOCKET"))


def locked_socket() -> str | None:
    """Return the socket of the daemon that holds this user's state directory; null where none does.

    Raises:
        NotPermitted: it is closed to this user.
    """
    try:
        # not Path.read_bytes: of a pipe in its place that would wait for a writer
        file = os.open(paths.lock_path(paths.state_directory()), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            held = client_wire.decode(os.read(file, _LOCK_MOST))
        finally:
            os.close(file)
    except PermissionError as error:
        raise probe.refusal_of_closed_state(error) from None
    except (OSError, ValueError):
        return None
    named = held.get("socket") if isinstance(held, dict) else None
    return named if isinstance(named, str) else None


def dial(path: str, *, blocking: bool = True) -> socket.socket:
    """Connect to a daemon's socket: every connection of every client is made here, and nowhere else.

    Raises:
        BlockingIOError: it may not block, and the daemon has a full queue of connections to take.
        NotPermitted: it is another user's.
        OSError: nobody answers there.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.setblocking(blocking)
        made.connect(path)
    except PermissionError:
        made.close()
        raise _refusal_of_socket(path) from None
    except ValueError as error:  # a zero byte, or longer than an address may be
        made.close()
        raise OSError(str(error)) from None
    except BaseException:
        made.close()
        raise
    return made


def _refusal_of_socket(path: str) -> NotPermitted:
    """Return the refusal to dial a socket that lets this user not in: it is another's, or closed to all."""
    from pathlib import Path

    from marianned import obstacles

    place = Path(path).absolute()
    closed = obstacles.closed_part(place)
    if closed is not None:
        said = f"{closed.why}: the daemon at {path} can't be reached"
        return NotPermitted(said, hints=[closed.command, "mzt doctor"])
    if place.stat().st_uid == os.geteuid():
        command = f"chmod u+rw {shlex.quote(str(place))}"
        return NotPermitted(f"'{place}' is closed to you by its own permissions", hints=[command])
    return NotPermitted(f"the daemon at {path} is another user's", hints=["mzt help environment"])


def is_usable(idle: socket.socket) -> bool:
    """Tell whether an idle connection still stands: it has neither ended nor brought anything."""
    idle.setblocking(False)
    try:
        idle.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def new_key() -> str:
    """Make a key that no other request has."""
    return os.urandom(16).hex()


def current_umask() -> int:
    """Return this process's umask.

    To ask by setting it, as os.umask does, would leave the process with another one where two threads do.
    """
    with suppress(OSError), open("/proc/self/status", "rb") as file:  # noqa: PTH123  pathlib is not loaded for this
        for line in file:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
