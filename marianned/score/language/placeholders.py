"""`{name}` in paths and commands of validations: found, and replaced by values.

Source: docs/reference/score-format.md §13.3.
"""

import re
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from marianned.score.language.shell import Quoting

Values = Mapping[str, object]

_PIECES = re.compile(
    r"""\$\{[^}]*\}? | \\\{
    | \{\{[ \t]*(?P<double>[A-Za-z_]\w*)[ \t]*\}\}
    | \{\{ | \}\}
    | \{(?P<name>[A-Za-z_][\w.\[\]]*)(?::(?P<format>[^{}]*))?\}""",
    re.VERBOSE,
)


_WIDE = re.compile(r"\d{4}")


class UnknownPlaceholder(Exception):
    """A path names a variable that does not exist, or that cannot be formatted so."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class Placeholder(NamedTuple):
    """A placeholder in a text: where it stands, its name, its format, whether written `{{ name }}`."""

    start: int
    end: int
    name: str
    format: str | None
    doubled: bool


def placeholders(text: str) -> Iterator[Placeholder]:
    """Yield the placeholders of a text in order."""
    for piece in _PIECES.finditer(text):
        name = piece["double"] or piece["name"]
        if name:
            yield Placeholder(piece.start(), piece.end(), name, piece["format"], piece["double"] is not None)


def fill_path(text: str, values: Values) -> str:
    """Replace the placeholders of a path.

    Raises:
        UnknownPlaceholder: S204.
    """
    out: list[str] = []
    position = 0
    for found in placeholders(text):
        if found.name not in values:
            raise UnknownPlaceholder(found.name, f"unknown placeholder '{{{found.name}}}'")
        value = values[found.name]
        try:
            shown = str(value) if found.format is None else _formatted(value, found.format)
        except (ValueError, TypeError):
            message = f"'{found.format}' is not a format for the value of '{found.name}'"
            raise UnknownPlaceholder(found.name, message) from None
        out += [text[position : found.start], shown]
        position = found.end
    return "".join(out) + text[position:]


def fill_word(text: str, values: Values) -> str:
    """Replace the known placeholders of a word that no shell will see; an unknown one stays as it is."""
    known = [p for p in placeholders(text) if p.name in values and p.format is None]
    for found in reversed(known):
        text = text[: found.start] + str(values[found.name]) + text[found.end :]
    return text


def _formatted(value: object, specification: str) -> str:
    if _WIDE.search(specification):
        raise ValueError("wider than any path")
    return format(value, specification)


def fill_command(text: str, values: Values) -> str:
    """Replace the known placeholders of a command, quoted so that the shell sees exactly the values."""
    known = [p for p in placeholders(text) if p.name in values and p.format is None]
    if not known:
        return text
    quoting = Quoting(text)
    out: list[str] = []
    position = 0
    for found in known:
        out += [text[position : found.start], quoting.insert(str(values[found.name]), found.start)]
        position = found.end
    return "".join(out) + text[position:]


def unknown_in_command(text: str, known: Container[str]) -> list[str]:
    """Return the names in a command that look like placeholders and are none, outside of single quotes."""
    single = [found for found in placeholders(text) if not found.doubled and found.name not in known]
    if not single:
        return []
    quoting = Quoting(text)
    return [
        found.name
        for found in single
        if ".." not in found.name  # {a..z}
        and text[max(0, found.start - 1) : found.start] not in {"@", "$"}  # HEAD@{upstream}
        and not quoting.is_literal(found.start)
    ]
