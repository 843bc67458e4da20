"""What a score asks for that has no effect: accepted keys (§22), and what this version does not honour yet.

Source: spec/score-format.md §22.
"""

from collections.abc import Iterator

from marianned.score.document import Document, Path, find
from marianned.score.model import Score
from marianned.score.report import Report

_ACCEPTED = (
    "learning",
    "logging",
    "grounding",
    "ai_review",
    "checkpoints",
    "conductor",
    "feedback",
    "bridge",
    "agent_card",
    "circuit_breaker",
    "spec",
    "techniques",
    "state_path",
)


def check_unsupported(score: Score, document: Document, report: Report) -> None:
    """Report what is accepted without effect (§22), and what this version does not honour yet."""
    paths: list[Path] = [(key,) for key in _ACCEPTED]
    paths += [("sheet", "spec_tags"), ("backend", "ollama"), ("backend", "recursive_light")]
    paths += [("on_success", index, "inherit_learning") for index in range(len(score.on_success))]
    for path in paths:
        if find(document.root, path):
            report.add("S501", path, f"'{path[-1]}' is accepted, but not supported", key=True)
    for index, notification in enumerate(score.notifications):
        if notification.type == "email":
            report.add("S501", ("notifications", index, "type"), "'email' is accepted, but not supported")
    for path, used in _not_honoured(score):
        if used:
            report.add("S501", path, f"'{path[-1]}' is not honoured yet by this version", key=True)


def _not_honoured(score: Score) -> Iterator[tuple[Path, object]]:
    """Yield the fields that are read and checked only, and whether the score uses them."""
    yield ("sheet", "prelude"), score.sheet.prelude
    yield ("sheet", "cadenzas"), score.sheet.cadenzas
    yield ("sheet", "skip_when"), score.sheet.skip_when
    yield ("sheet", "skip_when_command"), score.sheet.skip_when_command
