"""The daemon's log: for its operator, secrets masked; what a user needs is in the journal."""

import asyncio
import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from marianned import files
from marianned.formatting import MASK, visible, visible_json
from marianned.masks import Mask, secrets_of
from marianned.systemd.journal import FIELDS, JournalHandler, current_job, stderr_is_journal

_FILE_BYTES = 5 * 1024**2
_FILES_KEPT = 3
_SECRETS = re.compile(
    r"\b(?:sk-[\w-]{8,}|gh[pousr]_\w{16,}|xox[abprs]-[\w-]{8,}|AKIA[0-9A-Z]{16}|AIza[\w-]{20,})"
    r"|(?<=[Bb]earer )[\w.~+/-]{8,}=*"
    r"|(?<=api_key[=:])\S+|(?<=token[=:])\S+|(?<=secret[=:])\S+|(?<=password[=:])\S+",
)
"""What is a secret by its shape, or by what stands before it."""
_hidden: set[str] = set()
_masks = [Mask(())]
"""The mask of all hidden values; in a list, to be replaced."""


def hide(values: Iterable[str]) -> None:
    """Mask these values from now on, wherever the log would show them."""
    more = set(values) - _hidden
    if more:
        _hidden.update(more)
        _masks[0] = Mask(_hidden)


def masked(text: str) -> str:
    """Return a text without secrets: hidden values, and what looks like a key or a token."""
    return _SECRETS.sub(MASK, _masks[0].text(text))


class _MaskingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(masked(super().format(record)))


class _JSONFormatter(logging.Formatter):
    """A record as a line of JSON, with the job, sheet and attempt that it is about."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        about = {"job": current_job.get(), **vars(record)}
        told |= {name: about[name] for name in FIELDS if about.get(name) is not None}
        if record.exc_info:
            told["traceback"] = masked(self.formatException(record.exc_info))
        return visible_json(msgspec.json.encode(told).decode())


class _LogFileHandler(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        """Open the log; a named pipe in its place would keep its opener waiting for ever."""
        return os.fdopen(files.open_to_append(self.baseFilename, 0o600), "a", encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the library's name
        """Lose a line where the disk is full: stderr has it too."""


def is_news(record: logging.LogRecord) -> bool:
    """Tell whether a line of asyncio's says anything.

    anyio 4.16 lets a socket's readiness come to a read that was given up in the same moment, as happens when
    the daemon stops or a client leaves: nothing follows from that.
    """
    raised = record.exc_info[1] if record.exc_info else None
    given_up = isinstance(raised, asyncio.InvalidStateError) and "Future.set_result" in record.getMessage()
    return not given_up


def set_up(level: int = logging.INFO) -> bool:
    """Log to the journal of systemd, and return true, where it listens; else to stderr with the time."""
    logging.getLogger("asyncio").addFilter(is_news)
    hide(secrets_of(os.environ))
    if stderr_is_journal():
        with suppress(OSError):
            handler: logging.Handler = JournalHandler()
            handler.setFormatter(_MaskingFormatter("%(message)s"))  # LOGGER= names the module
            logging.basicConfig(level=level, handlers=[handler])
            return True
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    return False


def to_file(directory: Path) -> None:
    """Log to `marianned.log` there too, in lines of JSON; three older files of 5 MiB are kept."""
    handler = _LogFileHandler(
        directory / "marianned.log", maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
    )
    handler.setFormatter(_JSONFormatter())
    logging.getLogger().addHandler(handler)
