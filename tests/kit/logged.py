"""A line of a log, as the event that a test waits for: of a logger in this process, from whichever thread."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class LoggedMessages(logging.Handler):
    """The messages of a logger so far, and an event that is set by each that has certain words in it.

    A message is among `messages` before `seen` is set. pytest's `caplog` may have it only later: its handler
    is the root's, which is called after those of the logger, in the thread that logs.
    """

    def __init__(self, words: str) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.seen = threading.Event()
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        message = record.getMessage()
        self.messages.append(message)
        if self._words in message:
            self.seen.set()


@contextmanager
def logged(logger: str, words: str) -> Iterator[LoggedMessages]:
    """Collect what the logger says meanwhile; `seen` is set by each message with these words in it."""
    handler = LoggedMessages(words)
    logging.getLogger(logger).addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger(logger).removeHandler(handler)


STORE = "marianned.store.writer"
REFUSED = "nothing is acknowledged or started until it can"
WELL = "the database can be written again"
