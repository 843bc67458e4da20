"""Lines and rows: texts with the names of their styles."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Cell(NamedTuple):
    """A piece of a line: a text and the name of its style."""

    text: str
    style: str = ""


Line = Sequence[Cell]


class Row(NamedTuple):
    """A row: what tells it from others (null: it can't be chosen), and a cell for each column."""

    key: Hashable
    cells: Sequence[Cell]


class Column(NamedTuple):
    """A column: its head, the most cells it takes, and from which width of the screen on it is shown."""

    head: str
    most: int = 1_000
    right: bool = False
    shown_from: int = 0


def plain(line: Line) -> str:
    """Return a line's text."""
    return "".join(cell.text for cell in line)
