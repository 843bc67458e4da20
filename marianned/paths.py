"""Where socket, lock, state, attempts and configuration lie: both sides must agree.

By the XDG Base Directory Specification. Source: docs/design/protocol.md "Where".
"""

import os
from os.path import isdir, join
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SOCKET_NAME = "marianned.sock"
SOCKET_PATH_LIMIT = 107
"""Bytes of a Unix socket's path on Linux (`sun_path`, less the final zero)."""
_OURS = "marianne"


class SocketPathTooLongError(ValueError):
    """A socket path over SOCKET_PATH_LIMIT bytes: the kernel would refuse or truncate it."""


def socket_path() -> "Path":
    """Return where the daemon listens and the client connects; nothing is created.

    Raises:
        SocketPathTooLongError: the path would not fit into a socket address.
    """
    return _path(socket_address())


def socket_address() -> str:
    """Return the same as it is dialled: a client that finds a daemon there need not load pathlib.

    Raises:
        SocketPathTooLongError: the path would not fit into a socket address.
    """
    path = _found()
    check_address(path)
    return path


def check_address(path: str) -> None:
    """See that a socket's path fits into a socket address.

    Raises:
        SocketPathTooLongError: it does not.
    """
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise SocketPathTooLongError(
            f"the socket path is {length} bytes long, at most {SOCKET_PATH_LIMIT} are possible: '{path}'"
        )


def _found() -> str:
    named = os.environ.get("MARIANNE_SOCKET")
    if named:
        return join(os.getcwd(), named)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and runtime.startswith("/"):  # what is relative names another place for each side
        return join(runtime, _OURS, SOCKET_NAME)
    login = f"/run/user/{os.getuid()}"
    if isdir(login) and os.stat(login).st_uid == os.getuid():
        return join(login, _OURS, SOCKET_NAME)
    return join(_state(), SOCKET_NAME)


def state_directory() -> "Path":
    """Return the directory of database, lock, log and attempts (under systemd: $STATE_DIRECTORY)."""
    return _path(_state())


def _state() -> str:
    return _directory("STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state")


def configuration_directory() -> "Path":
    """Return the directory of config.toml and instruments/ (under systemd: $CONFIGURATION_DIRECTORY)."""
    return _path(_directory("CONFIGURATION_DIRECTORY", "XDG_CONFIG_HOME", ".config"))


def _directory(given: str, base: str, usual: str) -> str:
    if by_systemd := os.environ.get(given):
        return by_systemd.split(":")[0]
    named = os.environ.get(base, "")
    return join(named if named.startswith("/") else join(_home(), usual), _OURS)


def home_directory() -> "Path":
    """Return the home directory: $HOME, or where that is no absolute path the one in the user database.

    A user whom that does not know (in a container, say) has the one that containers give such users: `/`.
    """
    return _path(_home())


def _home() -> str:
    home = os.environ.get("HOME", "")
    if home.startswith("/"):
        return home
    import pwd  # noqa: PLC0415  where there is a home it is not needed

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def _path(text: str) -> "Path":
    from pathlib import Path  # noqa: PLC0415  the client seldom needs one

    return Path(text)


def lock_path(state: "Path") -> "Path":
    """Return the file whose lock makes one daemon of a state directory; it names pid, host, socket."""
    return state / "lock"


def database_path(state: "Path") -> "Path":
    """Return the database file."""
    return state / "marianne.db"


def make_private_directory(path: "Path", below: "Path | None" = None) -> None:
    """Make a directory with its parents, for its owner only; one that is there has to be that already.

    Of its parents, `below` and what is above that are not made: where they are missing, they may be away.

    Raises:
        files.UnsuitableFile: what is there is another user's, or open to others.
        OSError: it can't be made.
    """
    from marianned import files  # noqa: PLC0415  the client seldom makes one

    files.make_private(path, below)
    files.check_private(path)
