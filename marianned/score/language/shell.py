"""Where in a shell command a value is put: what has to be escaped there, so that the shell sees the value.

Reads quoting only: quotes, substitutions, comments, here-documents. Where a value would be read in a way that
is not followed here (backticks, arithmetic, `case` in parentheses, code in here-documents), it is refused.
Source: docs/reference/score-format.md §13.3.
"""

import re
import shlex
from bisect import bisect_right
from collections.abc import Generator, Iterator
from typing import NamedTuple

_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_BACKTICKS, _CASE, _ARITHMETIC, _EXPANSION, _CODE = (
    "inside backticks",
    "after 'case' in parentheses",
    "in arithmetic",
    "inside '${…}'",
    "after code in a here-document",
)
_TOKENS = {
    "plain": re.compile(
        r"""\\. | \$' | ' | " | \$\{ | \$\[ | \$?\(\( | \$?\( | \) | ` | (?:(?<=[\s;&|(])|\A)\#[^\n]*
        | <<<  | <<(?P<dash>-?)[ \t]*(?P<word>(?:\\.|'[^']*'|"[^"]*"|[^\s;&|<>()'"\\`])+) | \n
        | (?<![^\s;&|(])case(?=\s)""",
        re.VERBOSE | re.DOTALL,
    ),
    "double": re.compile(r"""\\. | " | \$\{ | \$\[ | \$\(\( | \$\( | `""", re.VERBOSE | re.DOTALL),
    "single": re.compile("'"),
    "ansi": re.compile(r"\\.|'", re.DOTALL),
    _BACKTICKS: re.compile(r"\\.|`", re.DOTALL),
    _EXPANSION: re.compile(r"""\\.|\$?'|"|\$\{|\$\(|`|\}""", re.DOTALL),
    _ARITHMETIC: re.compile(r"""\\.|'|"|\$\{|\(|\)|`""", re.DOTALL),
}
_OPENS = {
    "'": "single",
    '"': "double",
    "$'": "ansi",
    "(": "plain",
    "$(": "plain",
    "`": _BACKTICKS,
    "${": _EXPANSION,
    "((": _ARITHMETIC,
    "$((": _ARITHMETIC,
}
_CLOSES = {"single": "'", "double": '"', "ansi": "'", _BACKTICKS: "`", _EXPANSION: "}"}
_CODE_STARTS = re.compile(r"\\.|(?P<code>\$[({\[]|`)", re.DOTALL)
_PARAMETER = re.compile(r"\$\{\w+\}")
_REFUSED = frozenset({_BACKTICKS, _CASE, _ARITHMETIC, _EXPANSION, _CODE})


class UnquotableValue(Exception):
    """No quoting at this place makes the shell see exactly the value; the text names the place."""


class ShellQuoting:
    """The quoting of one command: answers for any position of its text."""

    def __init__(self, command: str) -> None:
        spans = list(_spans(command))
        self._starts = [start for start, _, _ in spans]
        self._modes = [(mode, mark) for _, mode, mark in spans]

    def quote_at(self, value: str, position: int) -> str:
        """Return the text that stands for `value` at a position of the command.

        Raises:
            UnquotableValue: no text would surely be read as the value there.
        """
        if _SAFE.fullmatch(value) and value:
            return value
        mode, mark = self._mode(position)
        if mode in _REFUSED:
            raise UnquotableValue(mode)
        if mark is not None and any(line.lstrip("\t") == mark for line in value.split("\n")):
            raise UnquotableValue(f"in the here-document that '{mark}' ends")
        return _escape(value, mode)

    def is_literal(self, position: int) -> bool:
        """Tell whether the shell takes the character there literally, or ignores it."""
        return self._mode(position)[0] in {"single", "ansi", "verbatim", "comment"}

    def _mode(self, position: int) -> tuple[str, str | None]:
        return self._modes[bisect_right(self._starts, position) - 1]


def _escape(value: str, mode: str) -> str:
    if mode == "single":
        return value.replace("'", "'\\''")
    if mode == "ansi":
        return re.sub(r"([\\'])", r"\\\1", value)
    if mode == "double":
        return re.sub(r'([\\$`"])', r"\\\1", value)
    if mode == "document":
        return re.sub(r"([\\$`])", r"\\\1", value)
    if mode == "comment":
        return value.replace("\n", " ")
    return value if mode == "verbatim" else shlex.quote(value)


class _HereDocument(NamedTuple):
    """A here-document that begins with the next line: its closing line, and how its text is read."""

    mark: str
    mode: str
    tabs: bool


def _spans(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield where each mode begins, and in here-documents the line that ends them."""
    stack: list[tuple[str, str]] = [("plain", "")]
    documents: list[_HereDocument] = []
    position = 0
    yield 0, "plain", None
    while position < len(text):
        mode, end = stack[-1]
        token = _TOKENS[mode].search(text, position)
        if token is None:
            return
        position, word = token.end(), token.group()
        if word == "\n":
            for document in documents:
                position = yield from _here_document_spans(text, position, document)
            documents.clear()
        elif word == "$[" or (word == "case" and end == ")"):
            yield token.start(), _ARITHMETIC if word == "$[" else _CASE, None
            return
        elif word.startswith("#"):
            yield token.start(), "comment", None
        elif token.groupdict().get("word"):
            documents.append(_here_document(token["word"], tabs=token["dash"] == "-"))
        elif word == end:
            stack.pop()
        elif word in _OPENS:
            inner = _inner_mode(_OPENS[word], mode)
            stack += [(inner, _CLOSES.get(inner, ")"))] * (2 if word.endswith("((") else 1)
        yield position, _effective_mode(stack), None


def _inner_mode(inner: str, mode: str) -> str:
    """Return the mode inside an opening token: parentheses in arithmetic are arithmetic."""
    return _ARITHMETIC if mode == _ARITHMETIC and inner == "plain" else inner


def _effective_mode(stack: list[tuple[str, str]]) -> str:
    """Return the mode that counts: a refused mode makes everything inside it refused."""
    return next((mode for mode, _ in stack if mode in _REFUSED), stack[-1][0])


def _here_document(word: str, *, tabs: bool) -> _HereDocument:
    pieces = re.sub(r"""\\(.)|'([^']*)'|"([^"]*)\"""", r"\1\2\3", word, flags=re.DOTALL)
    return _HereDocument(pieces, "document" if pieces == word else "verbatim", tabs)


def _here_document_spans(
    text: str, start: int, document: _HereDocument
) -> Generator[tuple[int, str, str | None], None, int]:
    """Yield the modes of a here-document's text; return where it ends."""
    stop = _here_document_end(text, start, document)
    yield start, document.mode, document.mark
    if document.mode == "document":
        for found in _CODE_STARTS.finditer(text, start, stop):
            if found["code"] and not _PARAMETER.match(text, found.start(), stop):
                yield found.start(), _CODE, document.mark
                break
    return stop


def _here_document_end(text: str, position: int, document: _HereDocument) -> int:
    tabs = r"\t*" if document.tabs else ""
    closing = re.compile(rf"^{tabs}{re.escape(document.mark)}$", re.MULTILINE).search(text, position)
    return closing.start() if closing else len(text)
