"""The daemon's log: for its operator; what a user needs is in the journal."""

import logging
import sys
from contextlib import suppress

from marianned.systemd.journal import JournalHandler, listens


def set_up(level: int = logging.INFO) -> bool:
    """Log to the journal of systemd, and return true, where it listens; else to stderr with the time."""
    if listens():
        with suppress(OSError):
            handler: logging.Handler = JournalHandler()
            handler.setFormatter(logging.Formatter("%(message)s"))  # LOGGER= names the module
            logging.basicConfig(level=level, handlers=[handler])
            return True
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    return False
