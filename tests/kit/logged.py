"""A line of a log, as the event that a test waits for: of a logger in this process, from whichever thread."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logged(logger: str, words: str) -> Iterator[threading.Event]:
    """Give an event that is set by each message of the logger with these words in it."""
    seen = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                seen.set()

    handler = Handler()
    logging.getLogger(logger).addHandler(handler)
    try:
        yield seen
    finally:
        logging.getLogger(logger).removeHandler(handler)


STORE = "marianned.store.writer"
REFUSED = "nothing is acknowledged or started until it can"
WELL = "the database can be written again"
