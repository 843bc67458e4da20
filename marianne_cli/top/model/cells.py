"""Lines and rows: texts with the names of their styles."""

import textwrap
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


def plain_text(line: Line) -> str:
    """Return a line's text."""
    return "".join(cell.text for cell in line)


def wrap_line(line: Line, width: int) -> list[Line]:
    """Wrap a line between words in its last cell; what goes on stands below the beginning of that."""
    if not line or not 0 < width < len(plain_text(line)):
        return [line]
    *head, last = line
    begin = len(plain_text(head)) or len(last.text) - len(last.text.lstrip())
    begin = min(begin, width // 3)
    parts = textwrap.wrap(
        last.text.lstrip() if not head else last.text,
        max(1, width - begin),
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    if not parts:
        return [line]
    first = [*head, Cell(parts[0], last.style)] if head else [Cell(" " * begin + parts[0], last.style)]
    return [first, *([Cell(" " * begin + part, last.style)] for part in parts[1:])]
