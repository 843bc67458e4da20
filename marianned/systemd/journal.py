"""The log in the journal of systemd, by its native protocol: priorities, and fields to search by.

A record is one datagram; its fields are those of FIELDS, so `journalctl --user -u marianned JOB=my-job`
finds what concerns a job. Source: systemd's "Native Journal Protocol" page.
"""

import logging
import os
import socket
import struct
from contextvars import ContextVar

from marianned.protocol import Event

SOCKET = "/run/systemd/journal/socket"
FIELDS = {"job": "JOB", "run": "RUN", "sheet": "SHEET", "attempt": "ATTEMPT", "event": "EVENT"}
"""Attributes of a log record, and what they are called in the journal."""
current_job: ContextVar[str | None] = ContextVar("concerned", default=None)
"""The job that a task works for: its lines say so without being told to."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_MESSAGE_MOST = 128 * 1024
"""Bytes of a message: a datagram has to fit into a socket's buffer."""
_GRAVE = frozenset({"job.failed", "sheet.failed"})
_logger = logging.getLogger("marianned.journal")


def priority(level: int) -> int:
    """Return syslog's number for a level of the log."""
    return next((number for least, number in _PRIORITIES if level >= least), 7)


def stderr_is_journal() -> bool:
    """Tell whether stderr is the journal: JOURNAL_STREAM names its device and inode."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.Handler):
    """Sends records to the journal; what it does not take goes to stderr, with its priority in front.

    Raises:
        OSError: there is no journal.
    """

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)  # noqa: FBT003  a socket's own signature

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        text = self.format(record)
        try:
            self._socket.send(_datagram(record, text))
        except OSError:
            lines = "".join(f"<{priority(record.levelno)}>{line}\n" for line in text.splitlines())
            os.write(2, lines.encode(errors="replace"))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _datagram(record: logging.LogRecord, text: str) -> bytes:
    fields = {
        "MESSAGE": text[:_MESSAGE_MOST],
        "PRIORITY": str(priority(record.levelno)),
        "SYSLOG_IDENTIFIER": "marianned",
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }
    told = {"job": current_job.get(), **vars(record)}
    fields |= {field: str(told[name]) for name, field in FIELDS.items() if told.get(name) is not None}
    return b"".join(_field(name, value) for name, value in fields.items())


def _field(name: str, value: str) -> bytes:
    """Write a field; a value of several lines has its length in front."""
    data = value.encode(errors="replace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)


def log_events(events: list[Event]) -> None:
    """Log committed events, each with its job, sheet and attempt."""
    for event in events:
        level = logging.WARNING if event.type in _GRAVE else logging.INFO
        of = {"job": event.job_id, "run": event.run, "sheet": event.sheet, "attempt": event.attempt}
        _logger.log(
            level, "%s: %s", event.job_id, event.text or event.type, extra=of | {"event": event.event}
        )
