"""Notifications for systemd: one datagram a message, to the socket that $NOTIFY_SOCKET names.

Without the variable nothing is told. Source: sd_notify(3), systemd.service(5) "Type=notify-reload".
"""

import os
import socket
import time
from contextlib import suppress


class Notifier:
    """The line to systemd; `watchdog_seconds`: how often it wants to hear from us, None: never."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = address.replace("@", "\0", 1) if address and address[0] == "@" else address
        self.watchdog_seconds = watchdog_seconds
        self._status = ""

    @property
    def enabled(self) -> bool:
        """Whether systemd has given an address."""
        return self._address is not None

    def send(self, *lines: str) -> None:
        """Send assignments, all in one message. A systemd that does not listen is no reason to fail."""
        if self._address is None:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line,
        ):
            line.setblocking(False)  # noqa: FBT003  a socket's own signature
            line.sendto("\n".join(lines).encode(), self._address)

    def status(self, text: str) -> None:
        """Tell, for `systemctl status`, how things stand, if that is news."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text}")

    def ready(self, text: str) -> None:
        """Tell that requests are served, or are again after a reload."""
        self._status = text
        self.send("READY=1", f"STATUS={text}")

    def reloading(self) -> None:
        """Tell that settings are read anew; `ready` ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the end has begun."""
        self.send("STOPPING=1", "STATUS=stopping")

    def ping(self) -> None:
        """Tell that the event loop lives."""
        self.send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask systemd to wait so much longer."""
        self.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def notifier() -> Notifier:
    """Return the line to the systemd that started this process, and keep it from what this process starts."""
    address = os.environ.pop("NOTIFY_SOCKET", None)
    usec = os.environ.pop("WATCHDOG_USEC", "")
    pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
    pings = usec.isdecimal() and int(usec) > 0 and pid == str(os.getpid())
    return Notifier(address, int(usec) / 1_000_000 if pings else None)
