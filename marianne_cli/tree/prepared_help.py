"""The help of `mzt` itself, from a prepared file: making it takes Click, which is slow to load."""

import os
import sys
from contextlib import suppress

FILE = "help.txt"
"""Beside this; `python tests/docs/generated.py` writes it."""
COLUMNS_LEAST = 80
"""Where there are fewer, its lines are to be wrapped."""


def print_help() -> int | None:
    """Print the help; return the exit code, null: the terminal is too narrow for the prepared lines."""
    if _columns() < COLUMNS_LEAST:
        return None
    with open(os.path.join(os.path.dirname(__file__), FILE)) as file:
        sys.stdout.write(file.read())
    return 0


def _columns() -> int:
    """Return how wide the output is, as Click finds it; 80 where nobody knows."""
    with suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", "0"))) > 0:
            return columns
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or COLUMNS_LEAST  # type: ignore[union-attr]
    return COLUMNS_LEAST
