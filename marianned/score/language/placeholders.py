"""`{name}` in paths and commands of validations: found, and replaced by values.

Source: docs/reference/score-format.md §13.3.
"""

import re
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from marianned.score.language.shell import ShellQuoting, UnquotableValue

Values = Mapping[str, object]

_PIECES = re.compile(
    r"""\$\{[^}]*\}? | \\\{
    | \{\{[ \t]*(?P<double>[A-Za-z_]\w*)[ \t]*\}\}
    | \{\{ | \}\}
    | \{(?P<name>[A-Za-z_][\w.\[\]]*)(?::(?P<format>[^{}]*))?\}""",
    re.VERBOSE,
)


_INSIDE = re.compile(r"\{([A-Za-z_]\w*)\}")
_WIDE = re.compile(r"\d{4}")


class UnknownPlaceholder(Exception):
    """A path names a variable that does not exist, or that cannot be formatted so."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class MisplacedPlaceholder(Exception):
    """A placeholder stands in a command where no text would surely be read as its value."""

    def __init__(self, name: str, where: str) -> None:
        super().__init__(name)
        self.message = f"'{{{name}}}' stands {where}: the shell would not see exactly its value"
        self.hint = f'set a variable first: `{name}_value={{{name}}}; …`, then write "${name}_value"'


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
            shown = str(value) if found.format is None else _format_value(value, found.format)
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


def _format_value(value: object, specification: str) -> str:
    if _WIDE.search(specification):
        raise ValueError("wider than any path")
    return format(value, specification)


def fill_command(text: str, values: Values) -> str:
    """Replace the known placeholders of a command, quoted so that the shell sees exactly the values.

    Raises:
        MisplacedPlaceholder: S515.
    """
    known = [p for p in placeholders(text) if p.name in values and p.format is None]
    nested = [p for p in _nested(text) if p.name in values]
    if not known and not nested:
        return text
    quoting = ShellQuoting(text)
    for found in nested:
        if not quoting.is_literal(found.start):
            raise MisplacedPlaceholder(found.name, "inside '${…}'")
    out: list[str] = []
    position = 0
    for found in known:
        try:
            value = quoting.quote_at(str(values[found.name]), found.start)
        except UnquotableValue as fault:
            raise MisplacedPlaceholder(found.name, str(fault)) from None
        out += [text[position : found.start], value]
        position = found.end
    return "".join(out) + text[position:]


def _nested(text: str) -> Iterator[Placeholder]:
    """Yield what looks like placeholders inside the shell's own `${…}`."""
    for piece in _PIECES.finditer(text):
        if piece[0].startswith("${"):
            for found in _INSIDE.finditer(text, piece.start() + 2, piece.end()):
                yield Placeholder(piece.start(), found.end(), found[1], None, doubled=False)


def unknown_in_command(text: str, known: Container[str]) -> list[str]:
    """Return the names in a command that look like placeholders and are none, outside of single quotes."""
    single = [found for found in placeholders(text) if not found.doubled and found.name not in known]
    if not single:
        return []
    quoting = ShellQuoting(text)
    return [
        found.name
        for found in single
        if ".." not in found.name  # {a..z}
        and text[max(0, found.start - 1) : found.start] not in {"@", "$"}  # HEAD@{upstream}
        and not quoting.is_literal(found.start)
    ]
