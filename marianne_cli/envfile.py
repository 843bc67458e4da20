"""Environment files as people have them: `.env` of dotenv, of docker, of a shell.

A line is NAME=VALUE, perhaps behind `export`. In double quotes a backslash makes the usual escapes, in single
quotes nothing does; both may go over several lines. Without quotes a value ends at a blank with `#` behind
it. Nothing is expanded: `$NAME` stays as it is.
"""

import re
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
MOST_BYTES = 131_071
"""The most that Linux takes for one variable, its name and `=` included."""

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[^=\n]*?)[ \t]*=[ \t]*")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_COMMENT = re.compile(r"\s#.*")
_BEHIND = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`", "\n": ""}


class EnvFileError(Exception):
    """A line of an environment file is not NAME=VALUE: its number, and what is wrong with it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _ParsedValue(NamedTuple):
    text: str
    end: int


def read_variables(text: str) -> dict[str, str]:
    """Return the variables of a file's text; of a name that comes twice, the last.

    Raises:
        EnvFileError: a line is no NAME=VALUE.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    variables: dict[str, str] = {}
    position = 0
    while position < len(text):
        end = _end_of_line(text, position)
        stripped = text[position:end].strip()
        if not stripped or stripped.startswith("#"):
            position = end + 1
            continue
        line = text.count("\n", 0, position) + 1
        found = _LINE.match(text, position, end)
        if found is None:
            raise EnvFileError(line, "this is not NAME=VALUE")
        name = found["name"].strip()
        value = _read_value(text, found.end(), line)
        fault = fault_of(name, value.text)
        if fault:
            raise EnvFileError(line, fault)
        variables[name] = value.text
        position = value.end
    return variables


def fault_of(name: str, value: str) -> str | None:
    """Say what is wrong with a variable, if anything is."""
    if not NAME.fullmatch(name):
        return f"'{name}' is not the name of a variable"
    if "\0" in value:
        return f"the value of '{name}' has a NUL byte in it"
    size = len(f"{name}={value}".encode(errors="surrogateescape"))
    if size > MOST_BYTES:
        return f"'{name}' has {size:,} bytes; a variable has {MOST_BYTES:,} at most"
    return None


def _read_value(text: str, start: int, line: int) -> _ParsedValue:
    """Read a value from where it begins to the end of its last line."""
    quote = text[start : start + 1]
    if quote not in {'"', "'"}:
        end = _end_of_line(text, start)
        plain = _COMMENT.sub("", text[start - 1 : end], count=1)[
            1:
        ]  # with what stands before: `A= # nothing`
        return _ParsedValue(plain.strip(), end + 1)
    found = (_DOUBLE if quote == '"' else _SINGLE).match(text, start)
    if found is None:
        raise EnvFileError(line, f"the value begins with {quote} and does not end with it")
    behind = _BEHIND.match(text, found.end())
    if behind is None:
        raise EnvFileError(line, f"there is text behind the closing {quote}")
    inner = found[1]
    return _ParsedValue(_ESCAPE.sub(_unescape, inner) if quote == '"' else inner, behind.end())


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[0])


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
