"""The prompts of all sheets, rendered before the run: what is wrong with them, and a digest of each.

Source: docs/reference/score-format.md §9.3, §12.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from marianned.formatting import did_you_mean
from marianned.score.expanded import ExpandedScore, SheetDefinition
from marianned.score.read.document import ScoreDocument
from marianned.score.read.model import Score
from marianned.score.read.reader import FileReader
from marianned.score.read.report import ProblemReport
from marianned.score.read.variables import scalars
from marianned.score.render.injected_files import inject, stand_ins
from marianned.score.render.prompt_inputs import InjectedTexts, RenderError, UpstreamOutputs, visible_outputs
from marianned.score.render.script import has_dropped_text
from marianned.score.render.shell_bodies import long_comments
from marianned.score.render.template import INJECTED, Renderer, names_used, unquoted_lines
from marianned.score.render.templated_variables import is_dynamic
from marianned.yaml_tree import KeyPath, ScalarNode, SourcePosition, find, place_inside

_DOTTED = re.compile(r"\{\{-?\s*\.([A-Za-z_]\w*)")
"""A name as templates of Go and Helm write it."""
_OF_LOOP = re.compile(r"'loop' has no attribute '([^']+)'")
SAMPLE = "(what an earlier sheet printed)"


class _PromptFault(NamedTuple):
    code: str
    path: KeyPath
    message: str
    place: SourcePosition | None
    hint: str | None


class PromptChecker:
    """Renders each sheet once; `finish` reports a failure of several sheets as one problem."""

    def __init__(
        self,
        expanded: ExpandedScore,
        document: ScoreDocument,
        report: ProblemReport,
        score: Score,
        reader: FileReader,
    ) -> None:
        self.expanded = expanded
        self.document = document
        self.report = report
        self.template_file = score.prompt.template_file
        self.parameters = score.parameters
        self.preludes = len(score.sheet.prelude)
        self.reader = reader
        self.renderer = Renderer(expanded, any_loop=report.wrong("sheet", "loops"))
        self.path: KeyPath = ("prompt", "template_file" if self.template_file else "template")
        self.found: dict[_PromptFault, list[int]] = defaultdict(list)
        self.above = _UpstreamSheets(expanded) if self._uses("previous_outputs") else None
        self.uses_injected = self._uses(*INJECTED)
        self.uses_loop = self._uses("loop")
        self.long_comments: list[int] | None = None

    def _uses(self, *names: str) -> bool:
        try:
            return not names_used(self.expanded.prompt.template).isdisjoint(names)
        except RenderError:
            return False

    def known_values(self, sheet: SheetDefinition) -> dict[str, object]:
        """Return the values that a placeholder or a condition of a sheet may name, but for constants.

        Variables that are templates are among them; one that can't be rendered is noted (S214).
        """
        variables, faults = self.renderer.templated(sheet)
        for name, fault in faults.items():
            message = f"'{name}' looks like a template and is used as it is: {fault.message}"
            path: KeyPath = ("prompt", "variables", name)
            hint = "literal braces are written {% raw %}…{% endraw %}"
            self.found[_PromptFault("S214", path, message, None, hint)].append(sheet.sheet)
        return {**scalars(variables), **self.renderer.built_in(sheet)}

    def render_definition(self, sheet: SheetDefinition) -> str:
        """Render a sheet's body, note what is wrong, return it with cross-sheet values left blank."""
        lookback = self.expanded.cross_sheet.lookback_sheets
        lowest = max(1, sheet.sheet - lookback) if lookback else 1
        above = self.above.of(sheet.sheet, lowest) if self.above else []
        seen = visible_outputs(self.expanded, sheet.sheet, above)
        self._check_patterns(sheet)
        previous = UpstreamOutputs(outputs=dict.fromkeys(seen, SAMPLE))
        injected = self._usable_injections(sheet, previous)
        try:
            body = self.renderer.body(sheet, previous, injected)
            if self.uses_loop and (loop := self.expanded.loop_of(sheet.stage)) is not None:
                again = dict.fromkeys(loop.sheets, SAMPLE)
                later = msgspec.structs.replace(previous, round=2, earlier=again)
                self.renderer.body(sheet, later, injected)
        except RenderError as fault:
            self._note(fault, sheet)
            return ""
        if not body.strip():
            self.found[_PromptFault("S210", self.path, "the body is empty", None, None)].append(sheet.sheet)
        profile = self.expanded.profiles[sheet.instrument]
        if profile.script == "shell" and has_dropped_text(body, sheet.settings.get("script", "auto")):
            message = "text around the shell blocks is not run"
            self.found[_PromptFault("S213", self.path, message, None, None)].append(sheet.sheet)
        if profile.script == "shell":
            self._note_shell(sheet)
        return self.renderer.definition(sheet, body, stand_ins(sheet, ""))

    def _note_shell(self, sheet: SheetDefinition) -> None:
        """Note what is a mistake in the template of a script."""
        source = self.expanded.prompt.template or ""
        if self.long_comments is None:
            self.long_comments = long_comments(source)
        for line in self.long_comments:
            message = f"the template comment that begins on line {line} of the body is not part of the script"
            hint = "in shell, a comment is a line that begins with '#'"
            self.found[_PromptFault("S512", self.path, message, None, hint)].append(sheet.sheet)
        for line in unquoted_lines(source):
            message = f"line {line} of the body puts what earlier sheets printed into the script as it is"
            hint = "write '| sh' behind it, or read the files in $MARIANNE_PREVIOUS"
            self.found[_PromptFault("S513", self.path, message, None, hint)].append(sheet.sheet)

    def _usable_injections(self, sheet: SheetDefinition, previous: UpstreamOutputs) -> InjectedTexts:
        """Return what the template may use of injected files: samples where one is not there yet."""
        for item, path in zip(sheet.injections, self._injection_paths(sheet), strict=True):
            if is_dynamic(item.path):
                try:
                    self.renderer.text(item.path, sheet, previous)
                except RenderError as fault:
                    hint = self._hint(fault, sheet)
                    self.found[_PromptFault(fault.code, path, fault.message, None, hint)].append(sheet.sheet)
        if not self.uses_injected:
            return InjectedTexts()
        try:
            injected = inject(self.renderer, sheet, previous, self.reader)
        except RenderError:
            return stand_ins(sheet, SAMPLE)
        return stand_ins(sheet, SAMPLE) if injected.missing else injected

    def _injection_paths(self, sheet: SheetDefinition) -> Iterator[KeyPath]:
        for index, item in enumerate(sheet.injections):
            key = "directory" if item.directory else "file"
            own = index - self.preludes
            yield (
                ("sheet", "prelude", index, key) if own < 0 else ("sheet", "cadenzas", sheet.sheet, own, key)
            )

    def _check_patterns(self, sheet: SheetDefinition) -> None:
        for index, text in enumerate(self.expanded.cross_sheet.capture_files):
            try:
                self.renderer.text(text, sheet)
            except RenderError as fault:
                path: KeyPath = ("cross_sheet", "capture_files", index)
                hint = self._hint(fault, sheet)
                self.found[_PromptFault(fault.code, path, fault.message, None, hint)].append(sheet.sheet)

    def _hint(self, fault: RenderError, sheet: SheetDefinition) -> str | None:
        if fault.code == "S201" and (dotted := _DOTTED.search(self.expanded.prompt.template or "")):
            return f"write '{{{{ {dotted[1]} }}}}': a name stands without a dot in front"
        loop = self.expanded.loop_of(sheet.stage)
        if loop is not None and (word := _OF_LOOP.match(fault.message)):
            return did_you_mean(word[1], ("round", "previous", loop.index)) or "it has 'round' and 'previous'"
        if fault.name is None:
            return None
        if fault.name in self.parameters:
            return f"--var {fault.name}=VALUE gives it one; '| default(…)' or a default does without"
        return self.report.nearest(fault.name, list(self.renderer.values(sheet, UpstreamOutputs())))

    def _note(self, fault: RenderError, sheet: SheetDefinition) -> None:
        place = None
        message = fault.message
        node = find(self.document.root, self.path)
        if self.template_file and fault.line:
            message = f"{message} (line {fault.line} of '{self.template_file}')"
        elif fault.line and isinstance(node, ScalarNode):
            place = place_inside(self.document.lines, node, fault.line, fault.name or "")
        self.found[_PromptFault(fault.code, self.path, message, place, self._hint(fault, sheet))].append(
            sheet.sheet
        )

    def finish(self) -> None:
        """Report what was found."""
        for fault, sheets in self.found.items():
            code, path, message, place, hint = fault
            self.report.add(code, path, message, place=place, sheets=sheets, hint=hint)


class _UpstreamSheets:
    """The sheets that each sheet needs, directly or not, as bits: a thousand must not take a second."""

    def __init__(self, expanded: ExpandedScore) -> None:
        self.needs = {sheet.sheet: sheet.needs for sheet in expanded.sheets}
        self.bits: dict[int, int] = {}

    def of(self, sheet: int, lowest: int) -> list[int]:
        """Return the sheets above one, from `lowest`, ascending."""
        waiting = [sheet]
        while waiting:
            number = waiting[-1]
            unknown = [other for other in self.needs[number] if other not in self.bits]
            if unknown:
                waiting.extend(unknown)
                continue
            bits = 0
            for other in self.needs[number]:
                bits |= self.bits[other] | 1 << other
            self.bits[number] = bits
            waiting.pop()
        bits = self.bits[sheet] >> lowest
        return [lowest + offset for offset in range(bits.bit_length()) if bits >> offset & 1]
