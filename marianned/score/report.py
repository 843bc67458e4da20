"""Problems of a score as they are found: each with its code, severity and place.

A problem is reported at a path (`("sheet", "fan_out", 2)`); the document tells where that is.
Source: spec/score-format.md §25.
"""

from collections.abc import Iterable

from marianned.errors import Problem
from marianned.score.document import Node, Path, Place, locate, locate_key

ERROR = "error"
WARNING = "warning"

_WARNINGS = frozenset(
    {"S018", "S019", "S109", "S110", "S207", "S208", "S209", "S210", "S212", "S213", "S302", "S306", "S402"}
    | {"S403", "S404", "S406", "S501", "S502", "S503", "S504", "S506", "S507", "S509", "S510"}
)


def severity(code: str) -> str:
    """Return the severity that a code always has."""
    return WARNING if code in _WARNINGS else ERROR


def written(path: Path) -> str | None:
    """Write a path as people read it: `sheet.fan_out.2`; the top of the score has none."""
    return ".".join(str(step) for step in path) or None


class Report:
    """Collects the problems of one score; knows which values are wrong, so that no check builds on them."""

    def __init__(self, file: str, root: Node | None = None) -> None:
        self.file = file
        self.root = root
        self.problems: list[Problem] = []
        self._wrong: list[Path] = []

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
            self._wrong.append(path)

    def wrong(self, *path: str | int) -> bool:
        """Whether an error was reported at this path, above it or below it."""
        return any(bad[: len(path)] == path[: len(bad)] for bad in self._wrong)

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far makes the score invalid."""
        return any(problem.severity == ERROR for problem in self.problems)

    def sorted(self) -> list[Problem]:
        """Return the problems in the order of the file."""
        return sorted(self.problems, key=lambda p: (p.file != self.file, p.line or 0, p.column or 0, p.code))
