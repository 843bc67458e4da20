"""Asking a daemon one thing without a client: what it says, or that it hangs, and who it is.

Connecting proves nothing: the kernel takes connections for a process that is stopped.
"""

import os
import shlex
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from marianned import client_wire
from marianned.errors import NotPermitted

GREETING_SECONDS = 5.0
"""How long a daemon may take to say anything at all; one that takes longer hangs."""
_READ_BYTES = 65_536
_MOST_BYTES = 1024 * 1024
_CREDENTIALS = struct.Struct("3i")
_OURS = b"marianned"


class DaemonHangs(Exception):
    """Somebody takes connections and says nothing; `pid` is whose socket it is, null: that is no daemon's."""

    def __init__(self, path: str, pid: int | None) -> None:
        super().__init__(f"{daemon_name(pid)} at {path} accepts but does not answer")
        self.pid = pid


def ask(path: str, method: str, seconds: float = GREETING_SECONDS) -> dict[str, Any]:
    """Send one request without params; return its result.

    Raises:
        OSError: nobody listens there, or they close at once.
        NotPermitted: another user does.
        DaemonHangs: no answer in time, or none that can be read.
    """
    ends = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(seconds)
        line.connect(path)
        check_owner(line, path, by_hand=False)
        pid = listener(line)
        try:
            line.sendall(client_wire.request(1, method, {}))
            for message in _lines(line, ends):
                told = client_wire.read_envelope(message)
                if told.id == 1 and told.error is None:
                    result: dict[str, Any] = told.result
                    return result
        except (TimeoutError, ValueError, client_wire.ProtocolFault):
            pass
    raise DaemonHangs(path, pid)


def _lines(line: socket.socket, ends: float) -> Iterator[bytes]:
    lines = client_wire.LineBuffer(_MOST_BYTES)
    while True:
        line.settimeout(max(0.001, ends - time.monotonic()))
        data = line.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the daemon closed the connection")
        yield from lines.feed(data)


def peer(line: socket.socket) -> tuple[int, int]:
    """Return the pid and uid of who is on the other side of a connected socket, by the kernel's word.

    Source: unix(7), SO_PEERCRED: of a listening socket, who called listen(2).
    """
    pid, uid, _ = _CREDENTIALS.unpack(
        line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return pid, uid


def check_owner(line: socket.socket, path: str, *, by_hand: bool) -> None:
    """See that a connected socket is this user's own, or root's, before anything is said there.

    Args:
        line: the connected socket.
        path: where it is, for the message.
        by_hand: the socket was named on the command line: then root may use another user's.

    Raises:
        NotPermitted: another user listens there.
    """
    (_, uid), ours = peer(line), os.geteuid()
    if uid in (ours, 0) or (ours == 0 and by_hand):
        return
    hints = [f"mzt --socket {shlex.quote(path)} ..."] if ours == 0 else []
    raise NotPermitted(
        f"the socket at '{path}' is that of uid {uid}, not yours; nothing was sent", hints=hints
    )


def refusal_of_closed_state(error: PermissionError) -> NotPermitted:
    """Return the refusal to say whether a daemon runs, of whose state directory nothing may be seen."""
    named = "STATE_DIRECTORY" in os.environ
    own = ["env -u STATE_DIRECTORY mzt status"] if named else []
    which = ", which $STATE_DIRECTORY names," if named else ""
    state = os.path.dirname(error.filename)  # noqa: PTH120  no client loads pathlib for this
    return NotPermitted(
        f"'{state}'{which} is closed to you: whether a daemon runs there can't be known",
        hints=[*own, "mzt doctor"],
    )


def listener(line: socket.socket) -> int | None:
    """Return the pid of the daemon whose socket this is connected to; null where it is systemd's."""
    with suppress(OSError):
        pid, _ = peer(line)
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123  no client loads pathlib for this
            return pid if _OURS in file.read() else None
    return None


def daemon_name(pid: int | None) -> str:
    """Name a daemon by its pid, where that is known."""
    return "the daemon" if pid is None else f"marianned (pid {pid})"


def hints_for_hang(pid: int | None) -> list[str]:
    """Return what to type when a daemon hangs: what is in flight goes on without it."""
    return ["mzt doctor"] if pid is None else [f"kill -9 {pid}", "mzt start"]
