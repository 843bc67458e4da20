"""The socket that systemd listens on and hands over with the start: by name, or not at all.

Source: sd_listen_fds(3). What is handed over begins at descriptor 3.
"""

import os
import socket
from pathlib import Path

NAME = "api"
"""FileDescriptorName= of the socket unit."""
_FIRST = 3


class WrongSocket(Exception):
    """What was handed over is not the socket that this daemon serves."""


def inherited_socket() -> socket.socket | None:
    """Return the listening socket that was handed over; None: there is none, it has to be made.

    The variables that tell of it are taken out of the environment: they are for this process only.

    Raises:
        WrongSocket: there are others than one listening Unix stream socket named NAME, with a path.
    """
    pid, count, names = (os.environ.pop(f"LISTEN_{what}", "") for what in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal() or count == "0":
        return None
    if (count, names) != ("1", NAME):
        raise WrongSocket(
            f"systemd handed over {count} descriptor(s) named '{names}'; one named '{NAME}' is wanted: "
            f"FileDescriptorName={NAME} in the socket unit"
        )
    listener = socket.socket(fileno=_FIRST)
    listener.set_inheritable(False)
    stream = listener.family == socket.AF_UNIX and listener.type == socket.SOCK_STREAM
    if not stream or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise WrongSocket(
            "systemd handed over something that is not a listening Unix stream socket: see ListenStream="
        )
    if not str(listener.getsockname()).startswith("/"):
        raise WrongSocket("systemd handed over a socket without a path: see ListenStream=")
    return listener


def socket_path_of(listener: socket.socket) -> Path:
    """Return where a socket listens."""
    return Path(listener.getsockname())
