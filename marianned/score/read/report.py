"""Problems of a score as they are found: each with its code, severity and place.

A problem is reported at a path (`("sheet", "fan_out", 2)`); the document tells where that is.
Source: docs/reference/score-format.md §25.
"""

from collections.abc import Iterable, Mapping

import msgspec

from marianned.errors import Problem
from marianned.formatting import did_you_mean
from marianned.yaml_tree import KeyPath, Node, SourcePosition, locate, locate_key

ERROR = "error"
WARNING = "warning"
_MOST_SUGGESTIONS = 100
_LONGEST_WORD = 100

SEVERITIES = {
    "S001": ERROR,
    "S002": ERROR,
    "S003": ERROR,
    "S004": ERROR,
    "S005": ERROR,
    "S006": ERROR,
    "S010": ERROR,
    "S011": ERROR,
    "S012": ERROR,
    "S013": ERROR,
    "S014": ERROR,
    "S015": ERROR,
    "S016": ERROR,
    "S017": ERROR,
    "S018": WARNING,
    "S019": WARNING,
    "S020": ERROR,
    "S101": ERROR,
    "S102": ERROR,
    "S103": ERROR,
    "S104": ERROR,
    "S105": ERROR,
    "S106": ERROR,
    "S107": ERROR,
    "S108": ERROR,
    "S109": WARNING,
    "S110": WARNING,
    "S111": ERROR,
    "S112": WARNING,
    "S113": ERROR,
    "S201": ERROR,
    "S202": ERROR,
    "S203": ERROR,
    "S204": ERROR,
    "S205": ERROR,
    "S206": ERROR,
    "S207": WARNING,
    "S208": WARNING,
    "S209": WARNING,
    "S210": WARNING,
    "S212": WARNING,
    "S213": WARNING,
    "S214": WARNING,
    "S215": ERROR,
    "S216": ERROR,
    "S217": ERROR,
    "S218": ERROR,
    "S219": WARNING,
    "S220": WARNING,
    "S301": ERROR,
    "S302": WARNING,
    "S303": ERROR,
    "S304": ERROR,
    "S305": ERROR,
    "S306": WARNING,
    "S307": WARNING,
    "S308": ERROR,
    "S401": ERROR,
    "S402": WARNING,
    "S403": WARNING,
    "S404": WARNING,
    "S405": ERROR,
    "S406": WARNING,
    "S407": WARNING,
    "S408": WARNING,
    "S409": WARNING,
    "S410": WARNING,
    "S411": WARNING,
    "S412": ERROR,
    "S501": WARNING,
    "S502": WARNING,
    "S503": WARNING,
    "S504": WARNING,
    "S506": WARNING,
    "S507": WARNING,
    "S509": WARNING,
    "S510": WARNING,
    "S511": ERROR,
    "S512": WARNING,
    "S513": WARNING,
    "S514": WARNING,
    "S515": ERROR,
    "S516": WARNING,
    "S601": WARNING,
    "S602": WARNING,
    "S603": ERROR,
    "S604": WARNING,
}
"""The severity that each code always has; its meaning and its cure are told in tests/docs/score_codes.py."""


def severity(code: str) -> str:
    """Return the severity that a code always has; one that has none is a fault of ours."""
    return SEVERITIES[code]


def written(path: KeyPath) -> str | None:
    """Write a path as people read it: `sheet.fan_out.2`; the top of the score has none."""
    return ".".join(str(step) for step in path) or None


def _texts(path: KeyPath) -> tuple[str, ...]:
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
