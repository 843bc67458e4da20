"""What a score uses that other readers of the format refuse: keys of ours, S510.

Looked for only when somebody asks. Source: docs/reference/score-format.md §27.
"""

from collections.abc import Iterable, Iterator, Mapping

from marianned import yaml_tree
from marianned.errors import Problem
from marianned.score.check.score_checks import instrument_settings
from marianned.score.check.stages import executor_sections
from marianned.score.read.model import Score
from marianned.score.read.report import ProblemReport
from marianned.yaml_tree import KeyPath, find

OF_SCORES: tuple[KeyPath, ...] = (
    ("parameters",),
    ("labels",),
    ("sheet", "fan_out_from"),
    ("concert", "pinned"),
)
OF_SETTINGS = ("env", "script", "errexit")
OF_PROFILES: tuple[KeyPath, ...] = (
    ("script",),
    ("credentials",),
    ("login",),
    ("cli", "command", "prompt_file_flag"),
    ("cli", "command", "private_tmp"),
    ("cli", "output", "failure_when"),
    ("cli", "output", "require_result"),
    ("cli", "output", "result_join"),
    ("cli", "output", "cost_path"),
    ("cli", "output", "session_path"),
    ("cli", "output", "model_path"),
)


def check_portable(score: Score, report: ProblemReport) -> None:
    """Report every key of the score that is an extension."""
    _report_extensions(_used_extensions(score), report)


def profile_extensions(files: Mapping[str, str]) -> list[Problem]:
    """Return what is an extension in the files of profiles (path → text), each at its place there."""
    problems: list[Problem] = []
    for file, text in files.items():
        report = ProblemReport(file, yaml_tree.read(text.encode()).root)
        _report_extensions(OF_PROFILES, report)
        problems += report.sorted()
    return problems


def _used_extensions(score: Score) -> Iterator[KeyPath]:
    yield from OF_SCORES
    if isinstance(score.on_failure, str):  # other readers have the list
        yield ("on_failure",)
    yield from (path for path, _ in executor_sections(score))
    for path, _ in instrument_settings(score):
        if path[0] != "backend":
            yield from ((*path, key) for key in OF_SETTINGS)


def _report_extensions(paths: Iterable[KeyPath], report: ProblemReport) -> None:
    for path in paths:
        if find(report.root, path):
            message = f"'{path[-1]}' is an extension: other readers of the format refuse it"
            report.add("S510", path, message, key=True)
