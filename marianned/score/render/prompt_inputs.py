"""What a prompt is made from beside its template: earlier sheets, the attempt before, injected texts.

Plain values: the daemon gathers them, and a worker, which alone loads the template engine, renders.
Source: docs/reference/score-format.md §9 to §11, §15.3.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from marianned.score.expanded import ExpandedScore

CROSS_SHEET = frozenset({"previous_outputs", "previous_files", "skipped_upstream"})
"""Names of a template that hold what comes from earlier sheets."""


class UpstreamOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a sheet sees of earlier ones: result texts by sheet, captured files by absolute path.

    In a loop (§29) `round` is the present one, from 1, and `earlier` has the result texts of the loop's own
    sheets in the round before, by sheet.
    """

    outputs: dict[int, str] = {}
    files: dict[str, str] = {}
    skipped: list[int] = []
    round: int = 1
    earlier: dict[int, str] = {}


class PreviousAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempt before went: `ending` in one line, checks as targets, failed ones with a reason.

    `resumed`: it was interrupted, and its tool goes on in the same session; nothing else is told then.
    """

    kind: Literal["retry", "completion", "resumed"]
    ending: str
    passed: list[str] = []
    failed: list[tuple[str, str]] = []
    stderr_tail: str = ""


class InjectedText(msgspec.Struct, frozen=True):
    """An injected text: its section (context, skill, tool), its name, and the text itself."""

    section: str
    name: str
    text: str


class InjectedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What is injected into a prompt (§10), in order; `missing` says in a line each what is left out.

    `passed_over` says the same of directories below an injected one, which are no part of it.
    """

    pieces: list[InjectedText] = []
    missing: list[str] = []
    passed_over: list[str] = []

    def texts(self, section: str) -> list[str]:
        """Return the texts of a section."""
        return [piece.text for piece in self.pieces if piece.section == section] if self.pieces else []


class RenderError(Exception):
    """A body cannot be rendered: S201 syntax, S202 undefined, S203 otherwise; `line` of the template."""

    def __init__(self, code: str, message: str, line: int | None = None, name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.name = name


def upstream_sheets(expanded: ExpandedScore, sheet: int) -> list[int]:
    """Return all that a sheet needs, directly or not, ascending."""
    found: set[int] = set()
    waiting = list(expanded.sheets[sheet - 1].needs)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting.extend(expanded.sheets[number - 1].needs)
    return sorted(found)


def visible_outputs(expanded: ExpandedScore, sheet: int, above: Iterable[int]) -> list[int]:
    """Return which of the sheets above are near enough for `previous_outputs`."""
    if not expanded.cross_sheet.auto_capture_stdout:
        return []
    lookback = expanded.cross_sheet.lookback_sheets
    return [number for number in above if not lookback or sheet - number <= lookback]
