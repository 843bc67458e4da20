"""Where in a shell command a value is put: what has to be escaped there, so that the shell sees the value.

Reads quoting only: quotes, substitutions, comments, here-documents.
Source: docs/reference/score-format.md §13.3.
"""

import re
import shlex
from bisect import bisect_right
from collections.abc import Iterator

_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_TOKENS = {
    "plain": re.compile(
        r"""\\. | \$' | ' | " | \$?\( | \) | ` | (?:(?<=[\s;&|(])|\A)\#[^\n]*
        | <<<  | <<-?[ \t]*(?P<quote>['"\\]?)(?P<word>[A-Za-z_]\w*)['"]? | \n""",
        re.VERBOSE | re.DOTALL,
    ),
    "double": re.compile(r"""\\. | " | \$\( | `""", re.VERBOSE | re.DOTALL),
    "single": re.compile("'"),
    "ansi": re.compile(r"\\.|'", re.DOTALL),
}
_OPENS = {"'": "single", '"': "double", "$'": "ansi", "(": "plain", "$(": "plain", "`": "plain"}
_CLOSES = {"single": "'", "double": '"', "ansi": "'"}


class Quoting:
    """The quoting of one command: answers for any position of its text."""

    def __init__(self, command: str) -> None:
        spans = list(_spans(command))
        self._starts = [start for start, _ in spans]
        self._modes = [mode for _, mode in spans]

    def insert(self, value: str, position: int) -> str:
        """Return the text that stands for `value` at a position of the command."""
        if _SAFE.fullmatch(value) and value:
            return value
        return _escaped(value, self._mode(position))

    def is_literal(self, position: int) -> bool:
        """Tell whether what stands there is text to the shell, or none of its affair."""
        return self._mode(position) in {"single", "ansi", "verbatim", "comment"}

    def _mode(self, position: int) -> str:
        return self._modes[bisect_right(self._starts, position) - 1]


def _escaped(value: str, mode: str) -> str:
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


def _spans(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each mode begins."""
    stack: list[tuple[str, str]] = [("plain", "")]
    documents: list[tuple[str, str]] = []
    position = 0
    yield 0, "plain"
    while position < len(text):
        mode, end = stack[-1]
        token = _TOKENS[mode].search(text, position)
        if token is None:
            return
        position, word = token.end(), token.group()
        if word == "\n":
            for mark, kind in documents:
                yield position, kind
                position = _document_end(text, position, mark)
            documents.clear()
        elif word.startswith("#"):
            yield token.start(), "comment"
        elif token.groupdict().get("word"):
            documents.append((token["word"], "verbatim" if token["quote"] else "document"))
        elif word == end:
            stack.pop()
        elif word in _OPENS:
            inner = _OPENS[word]
            stack.append((inner, _CLOSES.get(inner, "`" if word == "`" else ")")))
        yield position, stack[-1][0]


def _document_end(text: str, position: int, word: str) -> int:
    closing = re.compile(rf"^\t*{word}$", re.MULTILINE).search(text, position)
    return closing.start() if closing else len(text)
