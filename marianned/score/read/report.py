"""Problems of a score as they are found: each with its code, severity and place.

A problem is reported at a path (`("sheet", "fan_out", 2)`); the document tells where that is.
Source: docs/reference/score-format.md §25.
"""

from collections.abc import Iterable, Mapping

import msgspec

from marianned.formatting import did_you_mean
from marianned.problem import ERROR, Problem, make_problem, severity_of
from marianned.yaml_tree import KeyPath, Node, SourcePosition, locate, locate_key

_MOST_SUGGESTIONS = 100
_LONGEST_WORD = 100


def path_text(path: KeyPath) -> str | None:
    """Write a path as people read it: `sheet.fan_out.2`; the top of the score has none."""
    return ".".join(str(step) for step in path) or None


def _path_key(path: KeyPath) -> tuple[str, ...]:
    """Return a path as texts, so that a number is the same step as a key and as an index."""
    return tuple(map(str, path))


class ProblemReport:
    """Collects the problems of one score; knows which values are wrong, so that no check builds on them."""

    def __init__(self, file: str, root: Node | None = None) -> None:
        self.file = file
        self.root = root
        self.problems: list[Problem] = []
        self._wrong: set[tuple[str, ...]] = set()
        self._above: set[tuple[str, ...]] = set()
        self.stage_names: Mapping[int, str] = {}
        """By sheet number, as far as they have a name; known once the sheets are numbered."""
        self._suggested: dict[tuple[str, tuple[str, ...]], str | None] = {}

    def add(
        self,
        code: str,
        path: KeyPath,
        message: str,
        *,
        key: bool = False,
        place: SourcePosition | None = None,
        sheets: Iterable[int] = (),
        hint: str | None = None,
    ) -> None:
        """Report a problem at the value (with `key`: at the key) of a path, or at an exact place."""
        at = place or (locate_key(self.root, path) if key else locate(self.root, path))
        self.problems.append(
            make_problem(
                code,
                message,
                self.file,
                line=at.line,
                column=at.column,
                path=path_text(path),
                sheets=sorted(sheets),
                hint=hint,
            )
        )
        if severity_of(code) == ERROR and path:
            texts = _path_key(path)
            self._wrong.add(texts)
            self._above.update(texts[:length] for length in range(len(texts) + 1))

    def wrong(self, *path: str | int) -> bool:
        """Whether an error was reported at this path, above it or below it."""
        asked = _path_key(path)
        return asked in self._above or any(asked[:length] in self._wrong for length in range(len(asked)))

    def nearest(self, word: str, words: Iterable[str]) -> str | None:
        """Suggest the nearest of some words, as a hint; a file that is all wrong soon gets no more."""
        asked = (word, tuple(words))
        if asked not in self._suggested:
            if len(self._suggested) == _MOST_SUGGESTIONS or len(word) > _LONGEST_WORD:
                return None
            self._suggested[asked] = did_you_mean(*asked)
        return self._suggested[asked]

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far makes the score invalid."""
        return any(problem.severity == ERROR for problem in self.problems)

    def sorted(self) -> list[Problem]:
        """Return the problems in the order of the file."""
        ordered = sorted(
            self.problems, key=lambda p: (p.file != self.file, p.line or 0, p.column or 0, p.code)
        )
        return [self._with_stage_names(problem) for problem in ordered] if self.stage_names else ordered

    def _with_stage_names(self, problem: Problem) -> Problem:
        found = (self.stage_names.get(sheet) for sheet in problem.sheets)
        return msgspec.structs.replace(problem, names=list(dict.fromkeys(name for name in found if name)))
