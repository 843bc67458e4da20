"""The skip rules of a score, for each sheet, with their placeholders filled in.

Source: docs/reference/score-format.md §14.
"""

from collections.abc import Collection, Mapping
from typing import Any

from marianned.formatting import did_you_mean
from marianned.score.expanded import SkipRules
from marianned.score.language.expressions import OWN_NAMES, names_of
from marianned.score.language.placeholders import MisplacedPlaceholder, fill_command, placeholders
from marianned.score.read.model import Score, SkipCommandSection
from marianned.score.read.report import ProblemReport
from marianned.score.read.variables import BUILT_IN
from marianned.yaml_tree import KeyPath


class SkipExpander:
    """Expands the skip rules; what is wrong with their names is reported at the start, once each."""

    def __init__(self, score: Score, variables: Mapping[str, object], report: ProblemReport) -> None:
        self.report = report
        part = score.sheet
        self.expressions = {stage: one for stage, one in part.skip_when.items() if isinstance(one, str)}
        self.commands: dict[int, tuple[SkipCommandSection, KeyPath]] = {
            stage: (one, ("sheet", "skip_when", stage, "command"))
            for stage, one in part.skip_when.items()
            if not isinstance(one, str)
        }
        for stage, rule in part.skip_when_command.items():
            self.commands[stage] = (rule, ("sheet", "skip_when_command", stage, "command"))
        self.scalars = {key: value for key, value in variables.items() if key not in BUILT_IN}
        known = {*BUILT_IN, *OWN_NAMES, *score.prompt.variables}
        for stage, text in self.expressions.items():
            path: KeyPath = ("sheet", "skip_when", stage)
            for name in sorted(names_of(text) - known):
                message = f"bad expression: unknown name '{name}'"
                report.add("S206", path, message, hint=did_you_mean(name, sorted(known)))
        for rule, place in self.commands.values():
            self._check_braces(place, rule.command, known, report)

    def _check_braces(
        self, path: KeyPath, command: str, known: Collection[str], report: ProblemReport
    ) -> None:
        for found in placeholders(command):
            if found.doubled and found.name in known:
                report.add("S207", path, f"write '{{{found.name}}}' for '{{{{ {found.name} }}}}'")

    def rules_for(self, stage: int, built_in: Mapping[str, Any]) -> SkipRules | None:
        """Return the rules of a sheet of this stage; `built_in` are its values of §9.2."""
        when = self.expressions.get(stage)
        asked, place = self.commands.get(stage, (None, ()))
        if when is None and asked is None:
            return None
        names = {key: value for key, value in built_in.items() if isinstance(value, str | int)}
        return SkipRules(
            when=when,
            command=None if asked is None else self._command(place, asked.command, {**self.scalars, **names}),
            description=None if asked is None else asked.description,
            timeout_seconds=10.0 if asked is None else asked.timeout_seconds,
        )

    def _command(self, path: KeyPath, text: str, values: Mapping[str, object]) -> str:
        try:
            return fill_command(text, values)
        except MisplacedPlaceholder as fault:
            if not self.report.wrong(*path):
                self.report.add("S515", path, fault.message, hint=fault.hint)
            return text
