"""Problems of a score as they are found: each with its code, severity and place.

A problem is reported at a path (`("sheet", "fan_out", 2)`); the document tells where that is.
Source: docs/reference/score-format.md §25.
"""

from collections.abc import Iterable, Mapping

import msgspec

from marianned.errors import Problem
from marianned.formatting import did_you_mean
from marianned.yaml_tree import Node, Path, Place, locate, locate_key

ERROR = "error"
WARNING = "warning"
_MOST_SUGGESTIONS = 100
_LONGEST_WORD = 100

_WARNINGS = frozenset(
    {
        "S018",
        "S019",
        "S109",
        "S110",
        "S207",
        "S208",
        "S209",
        "S210",
        "S212",
        "S213",
        "S214",
        "S302",
        "S307",
        "S112",
        "S306",
        "S402",
    }
    | {
        "S403",
        "S404",
        "S406",
        "S407",
        "S408",
        "S409",
        "S410",
        "S411",
        "S501",
        "S502",
        "S503",
        "S504",
        "S506",
        "S507",
        "S509",
        "S510",
    }
    | {"S219", "S220", "S512", "S513", "S514", "S516", "S601", "S602", "S604"}
)


def severity(code: str) -> str:
    """Return the severity that a code always has."""
    return WARNING if code in _WARNINGS else ERROR


def written(path: Path) -> str | None:
    """Write a path as people read it: `sheet.fan_out.2`; the top of the score has none."""
    return ".".join(str(step) for step in path) or None


def _texts(path: Path) -> tuple[str, ...]:
    """Return a path as texts: a number is a key as it was written, or one that was read."""
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
        path: Path,
        message: str,
        *,
        key: bool = False,
        place: Place | None = None,
        sheets: Iterable[int] = (),
        hint: str | None = None,
    ) -> None:
        """Report a problem at the value (with `key`: at the key) of a path, or at an exact place."""
        at = place or (locate_key(self.root, path) if key else locate(self.root, path))
        self.problems.append(
            Problem(
                code=code,
                severity=severity(code),
                message=message,
                file=self.file,
                line=at.line,
                column=at.column,
                path=written(path),
                sheets=sorted(sheets),
                hint=hint,
            )
        )
        if severity(code) == ERROR and path:
            texts = _texts(path)
            self._wrong.add(texts)
            self._above.update(texts[:length] for length in range(len(texts) + 1))

    def wrong(self, *path: str | int) -> bool:
        """Whether an error was reported at this path, above it or below it."""
        asked = _texts(path)
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
        return [self._named(problem) for problem in ordered] if self.stage_names else ordered

    def _named(self, problem: Problem) -> Problem:
        found = (self.stage_names.get(sheet) for sheet in problem.sheets)
        return msgspec.structs.replace(problem, names=list(dict.fromkeys(name for name in found if name)))
