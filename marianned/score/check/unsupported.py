"""What a score asks for that has no effect: keys that are accepted only (§22).

Source: docs/reference/score-format.md §22.
"""

from marianned.score.read.document import ScoreDocument
from marianned.score.read.model import Score
from marianned.score.read.report import ProblemReport
from marianned.yaml_tree import KeyPath, find

_ACCEPTED = (
    "judgment",
    "code_execution",
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
    "schedule",
)
_NOT_BY_ITSELF = "not run again by itself: let cron or a timer call 'mzt run FILE --fresh'"


def check_unsupported(score: Score, document: ScoreDocument, report: ProblemReport) -> None:
    """Report what is accepted without effect (§22)."""
    paths: list[KeyPath] = [(key,) for key in _ACCEPTED]
    paths += [("stale_detection", "max_idle_checks_before_kill")]
    paths += [("sheet", "spec_tags"), ("backend", "ollama"), ("backend", "recursive_light")]
    for key in ("on_success", "on_failure"):
        paths += [(key, index, "inherit_learning") for index in range(len(getattr(score, key)))]
    for path in paths:
        if find(document.root, path):
            hint = _NOT_BY_ITSELF if path == ("schedule",) else None
            report.add("S501", path, f"'{path[-1]}' is accepted, but not supported", key=True, hint=hint)
    for index, notification in enumerate(score.notifications):
        if notification.type == "email":
            report.add("S501", ("notifications", index, "type"), "'email' is accepted, but not supported")
