"""Where socket, lock, state, attempts and configuration lie: both sides must agree.

The socket is found with the standard library alone, because every command of the client needs it;
platformdirs is imported only where a state or configuration directory is wanted.
Source: docs/design/protocol.md "Where".
"""

import os
from pathlib import Path

SOCKET_NAME = "marianned.sock"
SOCKET_PATH_LIMIT = 107
"""Bytes of a Unix socket's path on Linux (`sun_path`, less the final zero)."""


class SocketPathTooLongError(ValueError):
    """A socket path over SOCKET_PATH_LIMIT bytes: the kernel would refuse or truncate it."""


def socket_path() -> Path:
    """Return where the daemon listens and the client connects; nothing is created.

    Raises:
        SocketPathTooLongError: the path would not fit into a socket address.
    """
    named = os.environ.get("MARIANNE_SOCKET")
    if named:
        return _checked(Path(named).absolute())
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and runtime.startswith("/"):  # what is relative names another place for each side
        return _checked(Path(runtime) / "marianne" / SOCKET_NAME)
    login = Path(f"/run/user/{os.getuid()}")
    if login.is_dir() and login.stat().st_uid == os.getuid():
        return _checked(login / "marianne" / SOCKET_NAME)
    return _checked(state_directory() / SOCKET_NAME)


def _checked(path: Path) -> Path:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise SocketPathTooLongError(
            f"the socket path is {length} bytes long, at most {SOCKET_PATH_LIMIT} are possible: '{path}'"
        )
    return path


def state_directory() -> Path:
    """Return the directory of database, lock, log and attempts (under systemd: $STATE_DIRECTORY)."""
    return _directory("STATE_DIRECTORY", "user_state_path")


def configuration_directory() -> Path:
    """Return the directory of config.toml and instruments/ (under systemd: $CONFIGURATION_DIRECTORY)."""
    return _directory("CONFIGURATION_DIRECTORY", "user_config_path")


def _directory(variable: str, function: str) -> Path:
    given = os.environ.get(variable)
    if given:
        return Path(given.split(":")[0])
    import platformdirs  # noqa: PLC0415  the client pays 11 ms for it, and needs it only when no socket answers

    path: Path = getattr(platformdirs, function)("marianne", appauthor=False)
    return path


def lock_path(state: Path) -> Path:
    """Return the file whose lock makes one daemon of a state directory; it names pid, host, socket."""
    return state / "lock"


def database_path(state: Path) -> Path:
    """Return the database file."""
    return state / "marianne.db"


def make_private_directory(path: Path) -> None:
    """Make a directory with its parents, for its owner only; one that is there has to be that already.

    Raises:
        files.Unsuitable: what is there is another user's, or open to others.
        OSError: it can't be made.
    """
    from marianned import files  # noqa: PLC0415  the client seldom makes one

    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.check_private(path)
