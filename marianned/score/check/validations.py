"""The validations of a score: which apply to a sheet, with their placeholders filled in.

Source: docs/reference/score-format.md §13.
"""

import os
import re
from collections import defaultdict
from typing import Any

from marianned.score.check.sheet_layout import SheetLayout
from marianned.score.expanded import Check, DataCheck
from marianned.score.language.conditions import BadCondition, Condition, parse_condition
from marianned.score.language.placeholders import (
    MisplacedPlaceholder,
    UnknownPlaceholder,
    fill_command,
    fill_path,
    placeholders,
    unknown_in_command,
)
from marianned.score.read.model import DATA_CHECKS, FILE_CHECKS, Score, ValidationSection
from marianned.score.read.reader import FileReader, resolve
from marianned.score.read.report import ProblemReport
from marianned.score.read.rules import pattern_fault
from marianned.score.read.variables import BUILT_IN, pack
from marianned.yaml_tree import KeyPath

_FILE_RETRIES = 3
_TEXTS = ("path", "command", "working_directory", "path_scope", "source_path")
_NEEDED = {
    "content_contains": ["pattern"],
    "content_regex": ["pattern"],
    "field_match": ["field_path"],
    "file_sha256": ["sha256"],
    "csv_unique_key": ["key_field"],
}
"""What a type of check needs beside its path."""
_OUTPUT = re.compile(r"logs/sheet-[^\s'\"/]{1,40}\.(?:stdout|stderr)\.log")
"""Where other programs for such scores put what a sheet prints."""
_FIELD_PATH = re.compile(r"(\[-?\d{1,9}\]|[^.\[\]]+)(\[-?\d{1,9}\]|\.[^.\[\]]+)*")


class ValidationExpander:
    """Expands the validations for each sheet; what is found is reported by `finish`, once each."""

    def __init__(
        self,
        score: Score,
        layout: SheetLayout,
        variables: dict[str, object],
        reader: FileReader,
        report: ProblemReport,
    ) -> None:
        self.score = score
        self.report = report
        self.reader = reader
        self.scalars = {key: value for key, value in variables.items() if key not in BUILT_IN}
        self.conditions = [
            self._condition(index, rule, layout) for index, rule in enumerate(score.validations)
        ]
        self.applied: set[int] = set()
        self.found: dict[tuple[str, KeyPath, str, str | None], list[int]] = defaultdict(list)
        for index, rule in enumerate(score.validations):
            self._check_rule(index, rule)
        numbers = range(len(score.validations))
        self.wrong = {index for index in numbers if report.wrong("validations", index)}
        for index, rule in enumerate(score.validations):
            self._check_pattern(index, rule)  # a bad one hides nothing of what else is wrong with its check
        self.undecided = {index for index in numbers if report.wrong("validations", index, "condition")}

    def _condition(self, index: int, rule: ValidationSection, layout: SheetLayout) -> Condition | None:
        path: KeyPath = ("validations", index)
        text = rule.condition
        if text is None and rule.sheet is not None:
            if not 1 <= rule.sheet <= len(layout.positions) and not self.report.wrong(*path, "sheet"):
                message = f"there is no sheet {rule.sheet}, there are {len(layout.positions)} sheets"
                self.report.add("S107", (*path, "sheet"), message)
            text = f"sheet_num == {rule.sheet}"
        if text is None:
            return None
        try:
            return parse_condition(text)
        except BadCondition as fault:
            self.report.add("S205", (*path, "condition"), f"bad condition: {fault.message}")
            return None

    def _check_rule(self, index: int, rule: ValidationSection) -> None:
        path: KeyPath = ("validations", index)
        if self.report.wrong(*path, "type"):
            return
        needed = ["path"] if rule.type in FILE_CHECKS else ["command"]
        needed += _NEEDED.get(rule.type, ())
        if rule.type == "field_match":
            self._check_fields(rule, path)
        for key in needed:
            if getattr(rule, key) is None and not self.report.wrong(*path, key):
                self.report.add("S011", (*path, key), f"'{key}' is missing: '{rule.type}' needs it")
        self._check_outputs(rule, path)
        if rule.sheet is not None and rule.condition is not None:
            message = "'sheet' has no effect beside 'condition', which alone says where the check applies"
            hint = f"write 'sheet_num == {rule.sheet} and …' in the condition, or leave one of the two out"
            self.report.add("S220", (*path, "sheet"), message, key=True, hint=hint)
        for key in _TEXTS:
            for found in placeholders(getattr(rule, key) or ""):
                if found.doubled and (
                    found.name in BUILT_IN or found.name in self.scalars or key != "command"
                ):
                    self.report.add(
                        "S207", (*path, key), f"write '{{{found.name}}}' for '{{{{ {found.name} }}}}'"
                    )

    def _check_outputs(self, rule: ValidationSection, path: KeyPath) -> None:
        """Warn of a check that reads what a sheet printed from a file that is not written here."""
        for key in ("path", "command"):
            found = _OUTPUT.search(getattr(rule, key) or "")
            if found and "logs/sheet-" not in (self.score.prompt.template or ""):
                message = (
                    f"'{found[0]}' is not written here: what a sheet prints is not kept in its workspace"
                )
                hint = "mzt logs JOB SHEET shows it; let the sheet write what is to be checked into a file"
                self.report.add("S516", (*path, key), message, hint=hint)

    def _check_pattern(self, index: int, rule: ValidationSection) -> None:
        path: KeyPath = ("validations", index)
        if self.report.wrong(*path, "type"):
            return
        if rule.pattern == "" and "pattern" in _NEEDED.get(rule.type, ()):
            self.report.add("S020", (*path, "pattern"), "the pattern may not be empty")
        fault = pattern_fault(rule.pattern) if rule.type == "content_regex" and rule.pattern else None
        if fault:
            self.report.add("S017", (*path, "pattern"), fault)

    def _check_fields(self, rule: ValidationSection, path: KeyPath) -> None:
        """Report fields of `field_match` that can't be looked for, or compared with."""
        if (rule.expected_value is None) == (rule.source_path is None) and not self.report.wrong(*path):
            message = "one of 'expected_value' and 'source_path' is needed, and only one"
            self.report.add("S015", path, message)
        for key in ("field_path", "source_field_path"):
            written = getattr(rule, key)
            if written and not _FIELD_PATH.fullmatch(written):
                message = f"'{written[:40]}' is no path of a field"
                hint = "keys joined by dots, an item of a list as in 'key[0]'"
                self.report.add("S013", (*path, key), message, hint=hint)

    def checks(self, sheet: int, built_in: dict[str, Any], workspace: str) -> tuple[Check, ...]:
        """Return the checks of one sheet, in the order of the file; `built_in` are its values of §9.2."""
        if not self.score.validations:
            return ()
        names = {key: value for key, value in built_in.items() if isinstance(value, str | int)}
        values = {**self.scalars, **names}
        checks: list[Check] = []
        for index, rule in enumerate(self.score.validations):
            if index in self.undecided or not self._applies(index, sheet, values):
                continue
            self.applied.add(index)
            if index not in self.wrong:
                checks.append(self._define_check(index, rule, sheet, values, workspace))
        return tuple(checks)

    def _applies(self, index: int, sheet: int, values: dict[str, object]) -> bool:
        condition = self.conditions[index]
        if condition is None:
            return True
        try:
            return condition.holds(values)
        except BadCondition as fault:
            hint = self.report.nearest(fault.name, list(values)) if fault.name else None
            place: KeyPath = ("validations", index, "condition")
            self.found["S205", place, f"bad condition: {fault.message}", hint].append(sheet)
            return False

    def _define_check(
        self, index: int, rule: ValidationSection, sheet: int, values: dict[str, object], workspace: str
    ) -> Check:
        def path_of(key: str, text: str) -> str:
            try:
                return resolve(fill_path(text, values), workspace, self.reader)
            except UnknownPlaceholder as fault:
                hint = self.report.nearest(fault.name, list(values))
                self.found["S204", ("validations", index, key), fault.message, hint].append(sheet)
                return workspace

        def command_of(text: str) -> str:
            try:
                return fill_command(text, values)
            except MisplacedPlaceholder as fault:
                self.found["S515", ("validations", index, "command"), fault.message, fault.hint].append(sheet)
                return text

        def data() -> DataCheck | None:
            if rule.type not in DATA_CHECKS:
                return None
            is_scope = rule.type == "path_in_scope"
            source = (rule.path_scope or ".") if is_scope else rule.source_path
            key = "path_scope" if is_scope else "source_path"
            return DataCheck(
                field=rule.key_field if rule.type == "csv_unique_key" else rule.field_path,
                expected=None if rule.expected_value is None else pack(rule.expected_value[0]),
                source=None if source is None else path_of(key, source),
                source_field=rule.source_field_path or rule.field_path,
                digest=rule.sha256.lower() if rule.sha256 else None,
            )

        is_file = rule.type in FILE_CHECKS
        for name in () if is_file else unknown_in_command(rule.command or "", values):
            place: KeyPath = ("validations", index, "command")
            said = f"'{{{name}}}' is not a placeholder, and stays as it is"
            self.found["S514", place, said, self.report.nearest(name, list(values))].append(sheet)
        target = path_of("path", rule.path or "") if is_file else command_of(rule.command or "")
        working_directory = path_of("working_directory", rule.working_directory or ".")
        retries = rule.retry_count
        return Check(
            index=index,
            type=rule.type,
            stage=rule.stage,
            description=rule.description,
            target=target,
            pattern=rule.pattern,
            working_directory=os.path.normpath(working_directory),
            retry_count=(_FILE_RETRIES if is_file else 0) if retries is None else retries,
            retry_delay_seconds=rule.retry_delay_ms,
            timeout_seconds=rule.timeout_seconds,
            data=data(),
        )

    def finish(self) -> None:
        """Report what was found while expanding, and validations that apply to no sheet."""
        for (code, path, message, hint), sheets in self.found.items():
            self.report.add(code, path, message, sheets=sheets, hint=hint)
        for index, rule in enumerate(self.score.validations):
            wrong = self.report.wrong("validations", index)
            if index not in self.applied and not wrong:
                key = "condition" if rule.condition is not None else "sheet"
                self.report.add("S212", ("validations", index, key), "this validation applies to no sheet")
