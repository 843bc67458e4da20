"""One connection to the daemon: messages out, messages in, over a blocking Unix socket."""

import socket
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence

from marianned import probe, wire

_READ_BYTES = 256 * 1024


class Line:
    """A connected socket, its numbering of requests, and the notifications nobody has taken yet.

    `pid` is the daemon's whose socket it is, null where it is systemd's.

    Raises OSError when it can't connect or breaks, TimeoutError when a deadline passes.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self.pid = probe.listener(self._socket)
        self._lines = wire.Lines(sys.maxsize)
        self._ready: deque[wire.Envelope] = deque()
        self._last = 0
        self.notifications: deque[wire.Envelope] = deque()

    def send(self, requests: Sequence[tuple[str, Mapping[str, object]]]) -> list[int]:
        """Send several requests in one write; return their ids."""
        identities = [self._last + 1 + index for index in range(len(requests))]
        self._last += len(requests)
        self._socket.settimeout(None)
        self._socket.sendall(
            b"".join(
                wire.request(identity, method, params)
                for identity, (method, params) in zip(identities, requests, strict=True)
            )
        )
        return identities

    def receive(self, deadline: float | None) -> wire.Envelope:
        """Return the next message; `deadline` is one of time.monotonic, null for none."""
        while not self._ready:
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                raise TimeoutError
            self._socket.settimeout(rest)
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the daemon closed the connection")
            self._ready.extend(map(wire.read_envelope, self._lines.feed(data)))
        return self._ready.popleft()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
