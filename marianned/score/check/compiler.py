"""Compiles the text of a score to what runs, or to the list of its problems: the entry to this room.

Source: docs/reference/score-format.md §25.
"""

import os
import re
from typing import Any

import msgspec

from marianned import formatting
from marianned.instruments.profile import Profile
from marianned.problem import Problem, make_problem
from marianned.score.check.extensions import check_portable, profile_extensions
from marianned.score.check.fingerprints import DigestBuilder
from marianned.score.check.hooks import HookExpander
from marianned.score.check.instruments import InstrumentResolver, ResolvedInstrument
from marianned.score.check.profiles import ProfileSet, find_profiles
from marianned.score.check.prompts import PromptChecker
from marianned.score.check.score_checks import check_files, check_score, check_silence
from marianned.score.check.settings import InstrumentChecker, read_text, why_no_text
from marianned.score.check.sheet_layout import SheetLayout, SheetPosition, number_sheets
from marianned.score.check.skips import SkipExpander
from marianned.score.check.stages import (
    expand_loops,
    pauses_by_stage,
    retries_by_stage,
    score_executor,
    score_retry,
    sheet_resources,
)
from marianned.score.check.validations import ValidationExpander
from marianned.score.expanded import (
    ArchivePolicy,
    CompileResult,
    CostLimits,
    CrossSheetSettings,
    ExpandedScore,
    Fallback,
    HookDefinition,
    Injection,
    Isolation,
    Notification,
    Parallelism,
    PromptDefinition,
    RateLimitPolicy,
    Resources,
    SheetDefinition,
    SilencePolicy,
    file_digests,
)
from marianned.score.read import model
from marianned.score.read.common_mistakes import UNREADABLE
from marianned.score.read.document import ScoreDocument, parse_document
from marianned.score.read.model import Score
from marianned.score.read.parameters import apply_values
from marianned.score.read.reader import FileReader, ScoreSource, resolve
from marianned.score.read.report import ProblemReport
from marianned.score.read.rules import StructRule
from marianned.score.read.variables import pack, scalars, with_number_keys
from marianned.score.render.template import render_text, templated_variables
from marianned.yaml_tree import KeyPath, UnreadableYaml

_LOOK_SECONDS = 30.0
"""How often a sign of life is looked for, unless the score says."""
_PINNED: KeyPath = ("concert", "pinned")
_PINNED_MOST = 100
_FILE_ENDINGS = (".md", ".txt")
_BLANK = re.compile(r"\s")


def compile_score(
    source: ScoreSource,
    reader: FileReader,
    builtin: dict[str, Profile],
    *,
    portable: bool = False,
    chained: bool = False,
) -> CompileResult:
    """Check a score and expand it; never raises for what is in it.

    With `portable` each extension that it uses is a warning, S510. `chained`: it is looked at because another
    chains to it; what it chains to itself is not.
    """
    report = ProblemReport(source.file)
    try:
        document = parse_document(source.text)
    except UnreadableYaml as fault:
        hint = UNREADABLE.get(fault.message)
        report.add(fault.code, fault.path, fault.message, place=fault.place, hint=hint)
        return _result_of_problems(report.sorted())
    compiler = _Compiler(source, reader, builtin, document, report)
    if not chained:
        compiler.check_targets()
    return compiler.compile(portable=portable, chained=chained)


def failed_result(file: str, code: str, message: str) -> CompileResult:
    """Return the result for a file that could not be compiled at all: one problem, without a line."""
    return _result_of_problems([make_problem(code, message, file)])


def _result_of_problems(problems: list[Problem]) -> CompileResult:
    return CompileResult(
        expanded=None, problems=problems, files={}, name=None, total_sheets=0, total_stages=0
    )


class _Compiler:
    """One compilation: the score as read, and what is known of it so far."""

    def __init__(
        self,
        source: ScoreSource,
        reader: FileReader,
        builtin: dict[str, Profile],
        document: ScoreDocument,
        report: ProblemReport,
    ) -> None:
        self.source = source
        self.reader = reader
        self.builtin = builtin
        self.document = document
        self.report = report
        self.files: dict[str, str] = {}
        self.unread: set[str] = set()
        self.stored: dict[int, tuple[ResolvedInstrument, dict[str, Any]]] = {}
        self.resources: dict[tuple[str, int | None], Resources] = {}
        report.root = document.root
        for path, place in document.duplicates:
            report.add("S003", path, f"'{path[-1]}' is given twice", place=place)
        read: Score = StructRule(Score).read(document.root, (), report)
        self.score, self.parameters = apply_values(read, source, report)
        self.layout = number_sheets(self.score, report)
        report.stage_names = self._stage_names()
        self.found: ProfileSet = find_profiles(source.directory, builtin, reader, report, self.files)
        self.instruments = InstrumentResolver(self.score, self.found.profiles, report)
        own = self.score.workspace or f"~/workspaces/{self.score.name}"
        self.given_workspace = resolve(own, source.directory, reader)
        if source.workspace is None:
            self.workspace = self.given_workspace
        else:
            self.workspace = resolve(source.workspace, source.submit_directory, reader)
        sheets = len(self.layout.positions) if self.layout else 0
        names = scalars(self._job_variables(sheets))
        self.hooks = HookExpander(self.score, names, sheets, source, self.workspace)
        self.failure_hooks = HookExpander(self.score, names, sheets, source, self.workspace, "on_failure")

    def _stage_names(self) -> dict[int, str]:
        """Return the stages' names by sheet number, as far as they have one."""
        named = {stage: movement.name for stage, movement in self.score.movements.items() if movement.name}
        positions = self.layout.positions if named and self.layout else ()
        return {position.sheet: named[position.stage] for position in positions if position.stage in named}

    def _job_variables(self, sheets: int) -> dict[str, Any]:
        """Return the variables as hooks see them; report those that need each other.

        No sheet's names are among what a template in them may use.
        """
        variables = {name: with_number_keys(v) for name, v in self.score.prompt.variables.items()}
        found = templated_variables(variables)
        for name, others in found.cyclic.items():
            message = f"'{name}' needs {', '.join(map(repr, others))}, which needs it in turn"
            message = f"'{name}' needs itself" if others == [name] else message
            self.report.add("S215", ("prompt", "variables", name), message, key=True)
        names = {
            "workspace": self.workspace,
            "score_dir": self.source.directory,
            "total_sheets": sheets,
            "stakes": self.score.prompt.stakes,
            "thinking_method": self.score.prompt.thinking_method,
        }
        return {**variables, **found.render({**variables, **names}, render_text)[0]}

    def check_targets(self) -> None:
        """Report scores to chain to that are missing or themselves invalid (S306)."""
        targets = [*self.hooks.targets(self.reader, self.report)]
        targets += self.failure_hooks.targets(self.reader, self.report)
        for path, file in targets:
            directory = os.path.dirname(file)  # noqa: PTH120  a text, no file
            try:
                text = self.reader.read(file)
            except OSError as error:
                self.report.add("S306", path, f"'{file}' can't be read: {error.strerror}")
                continue
            target = ScoreSource(
                text=text, file=file, directory=directory, submit_directory=self.source.submit_directory
            )
            problems = compile_score(target, self.reader, self.builtin, chained=True).problems
            errors = [problem for problem in problems if problem.severity == "error"]
            if errors:
                message = f"'{file}' is itself invalid: {errors[0].code}, {errors[0].message}"
                self.report.add("S306", path, message, hint=f"mzt validate {formatting.typed(file)}")

    def compile(self, *, portable: bool, chained: bool) -> CompileResult:
        check_score(self.score, self.layout, self.document, self.report)
        check_files(self.score, self.source, self.workspace, self.reader, self.report)
        prompt = self._define_prompt()
        hooks = self.hooks.expand(self.reader, self.report)
        failed = self.failure_hooks.expand(self.reader, self.report)
        expanded = self._expand(self.layout, prompt) if self.layout else None
        if expanded is not None:
            concert = self.hooks.concert(self.reader)
            expanded = msgspec.structs.replace(expanded, hooks=hooks, failure_hooks=failed, concert=concert)
            if self.score.concert.pinned and not chained:
                concert = msgspec.structs.replace(concert, pins=self._pins(expanded))
                expanded = msgspec.structs.replace(expanded, concert=concert)
        if portable:
            check_portable(self.score, self.report)
            places = (self.found.places.get(name) for name in (expanded.profiles if expanded else ()))
            self.report.problems += profile_extensions({p: self.files[p] for p in places if p is not None})
        return CompileResult(
            expanded=None if self.report.has_errors else expanded,
            problems=self.report.sorted(),
            files=self.files,
            name=None if self.report.wrong("name") else self.score.name,
            total_sheets=len(self.layout.positions) if self.layout else 0,
            total_stages=len(self.layout.stages) if self.layout else 0,
            parameters=self.parameters,
        )

    def _pins(self, first: ExpandedScore) -> dict[str, dict[str, str]]:
        """Return what each score that this one leads to is made of by now; report what can't be read (S308).

        Chains lead in circles: a file is looked at once.
        """
        pins: dict[str, dict[str, str]] = {}
        todo = _chaining_hooks(first)
        while todo:
            hook, workspace = todo.pop()
            file = next((file for file in hook.files if self.reader.is_file(file)), None)
            if file in pins:
                continue
            if file is None or len(pins) >= _PINNED_MOST:
                why = "it is not there" if file is None else f"there are over {_PINNED_MOST}"
                self.report.add("S308", _PINNED, f"'{file or hook.files[0]}' can't be pinned: {why}")
                continue
            found = self._compile_chained(file, workspace)
            if found is not None:
                compiled, pins[file] = found
                todo += _chaining_hooks(compiled)
        return pins

    def _compile_chained(
        self, file: str, workspace: str | None
    ) -> tuple[ExpandedScore, dict[str, str]] | None:
        """Return a score that is chained to, and its digests; report why there is none."""
        place = self.reader.real(file)
        try:
            text = self.reader.read(place)
        except OSError as error:
            self.report.add("S308", _PINNED, f"'{file}' can't be pinned: {error.strerror}")
            return None
        target = ScoreSource(
            text=text,
            file=place,
            directory=os.path.dirname(place),  # noqa: PTH120  a text, no file
            submit_directory=self.source.submit_directory,
            workspace=workspace,
        )
        compiled = compile_score(target, self.reader, self.builtin, chained=True)
        if compiled.expanded is None:
            hint = f"mzt validate {formatting.typed(file)}"
            self.report.add("S308", _PINNED, f"'{file}' can't be pinned: it is itself invalid", hint=hint)
            return None
        return compiled.expanded, file_digests(place, text, compiled.files)

    def _define_prompt(self) -> PromptDefinition:
        part = self.score.prompt
        template = part.template
        if part.template_file is not None and template is None:
            template = self._read_file(part.template_file, ("prompt", "template_file"))
        variables = {name: with_number_keys(value) for name, value in part.variables.items()}
        return PromptDefinition(
            template=template,
            variables=pack(variables),
            stakes=part.stakes,
            thinking_method=part.thinking_method,
            extensions=self._read_extensions(part.prompt_extensions, ("prompt", "prompt_extensions")),
        )

    def _read_file(self, name: str, path: KeyPath) -> str:
        absolute = resolve(name, self.source.directory, self.reader)
        text = read_text(absolute, self.reader)
        if text is None:
            self.report.add("S301", path, why_no_text(absolute, self.reader))
            return ""
        self.files[absolute] = text
        return text

    def _read_extensions(self, entries: list[str], path: KeyPath) -> tuple[str, ...]:
        texts = []
        for index, entry in enumerate(entries):
            is_file = entry.endswith(_FILE_ENDINGS) and not _BLANK.search(entry)
            texts.append(self._read_file(entry, (*path, index)) if is_file else entry)
            if "{{" in texts[-1]:
                message = "'{{' is plain text here: extensions are not rendered"
                self.report.add("S208", (*path, index), message)
        return tuple(texts)

    def _expand(self, layout: SheetLayout, prompt: PromptDefinition) -> ExpandedScore | None:
        """Expand all sheets; nothing when an instrument is unknown, so that no prompt can be made."""
        chosen = {position.sheet: self.instruments.resolve(position) for position in layout.positions}
        self.instruments.finish(self.report)
        uses = InstrumentChecker(self.source.directory, self.reader, self.report, self.files)
        for choice in chosen.values():
            if choice is not None:
                uses.check(choice)
        known = {sheet: choice for sheet, choice in chosen.items() if choice is not None}
        if self.score.isolation.enabled and self.score.isolation.mode != "none":
            uses.check_isolation(known)
        check_silence(self.score, [choice.timeout_seconds for choice in known.values()], self.report)
        if len(known) < len(chosen):
            return None
        sheets = tuple(
            self._define_sheet(position, known[position.sheet], layout) for position in layout.positions
        )
        for sheet in sheets:
            uses.check_wall(known[sheet.sheet], sheet.resources.executor or score_executor(self.score))
        expanded = self._build_score(sheets, prompt, layout, known)
        return self._add_checks_and_digests(expanded, layout, known)

    def _define_sheet(
        self, position: SheetPosition, chosen: ResolvedInstrument, layout: SheetLayout
    ) -> SheetDefinition:
        """Return a sheet, still without checks and digests: they need to know of all sheets."""
        movement = self.score.movements.get(position.stage)
        part = self.score.sheet
        by_stage = layout.fan_out and part.descriptions.keys() == layout.stages.keys()
        settings = self._shared_settings(chosen)
        extensions = part.prompt_extensions.get(position.sheet, [])
        return SheetDefinition(
            sheet=position.sheet,
            stage=position.stage,
            instance=position.instance,
            fan_count=position.fan_count,
            start_item=position.start_item,
            end_item=position.end_item,
            movement=movement.name if movement else None,
            label=part.descriptions.get(position.stage if by_stage else position.sheet),
            needs=layout.needs[position.sheet],
            instrument=chosen.profile.name,
            settings=settings,
            fallbacks=tuple(
                self._define_fallback(one.profile, one.settings, self.instruments.fallback_names(position)[0])
                for one in chosen.fallbacks
            ),
            timeout_seconds=chosen.timeout_seconds,
            working_directory=settings.get("working_directory", self.workspace),
            checks=(),
            digests={},
            extensions=self._read_extensions(extensions, ("sheet", "prompt_extensions", position.sheet)),
            resources=self._resources_of(position, chosen),
            injections=tuple(
                Injection(
                    path=item.file or item.directory or "",
                    directory=item.file is None,
                    section=item.as_,
                    required=item.required,
                )
                for item in (*part.prelude, *part.cadenzas.get(position.sheet, ()))
            ),
        )

    def _define_fallback(self, profile: Profile, given: dict[str, Any], path: KeyPath) -> Fallback:
        settings = self._stored_settings(given)
        prompt = settings.get("system_prompt_file")
        if prompt is not None and prompt not in self.files and prompt not in self.unread:
            text = read_text(prompt, self.reader)
            if text is None:
                self.unread.add(prompt)
                self.report.add("S304", path, why_no_text(prompt, self.reader))
            else:
                self.files[prompt] = text
        return Fallback(
            instrument=profile.name,
            settings=settings,
            timeout_seconds=given["timeout_seconds"],
            working_directory=settings.get("working_directory", self.workspace),
        )

    def _shared_settings(self, chosen: ResolvedInstrument) -> dict[str, Any]:
        """Return the settings of sheets as they are stored: those who share an instrument share them."""
        if id(chosen) not in self.stored:
            self.stored[id(chosen)] = (chosen, self._stored_settings(chosen.settings))
        return self.stored[id(chosen)][1]

    def _resources_of(self, position: SheetPosition, chosen: ResolvedInstrument) -> Resources:
        key = (chosen.selected.name, position.stage if position.stage in self.score.movements else None)
        if key not in self.resources:
            self.resources[key] = sheet_resources(self.score, position, chosen.selected.name)
        return self.resources[key]

    def _stored_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings as they are stored: paths absolute, keys texts."""
        stored = pack(settings)
        for key in ("working_directory", "system_prompt_file"):
            if key in stored:
                stored[key] = resolve(stored[key], self.source.directory, self.reader)
        if "timeout_overrides" in settings:
            stored["timeout_overrides"] = {
                str(sheet): seconds for sheet, seconds in settings["timeout_overrides"].items()
            }
        return stored  # type: ignore[no-any-return]  # a packed mapping with text keys is a mapping

    def _build_score(
        self,
        sheets: tuple[SheetDefinition, ...],
        prompt: PromptDefinition,
        layout: SheetLayout,
        chosen: dict[int, ResolvedInstrument],
    ) -> ExpandedScore:
        score = self.score
        used = [choice.profile for choice in chosen.values()]
        used += [one.profile for choice in chosen.values() for one in choice.fallbacks]
        cross_sheet = msgspec.structs.asdict(score.cross_sheet)
        return ExpandedScore(
            name=score.name,
            description=score.description,
            labels=tuple(dict.fromkeys(score.labels)),
            workspace=self.workspace,
            total_stages=len(layout.stages),
            sheets=sheets,
            prompt=prompt,
            retry=score_retry(score),
            retries=retries_by_stage(score, self.document),
            parallel=Parallelism(
                max_concurrent=score.parallel.max_concurrent if score.parallel.enabled else 1,
                fail_fast=score.parallel.fail_fast,
                stagger_seconds=score.parallel.stagger_delay_ms,
                pause_between_sheets_seconds=score.pause_between_sheets_seconds,
            ),
            cross_sheet=CrossSheetSettings(
                **{**cross_sheet, "capture_files": tuple(score.cross_sheet.capture_files)}
            ),
            profiles={profile.name: profile for profile in used},
            directory=self.source.directory,
            on_failure="fail" if isinstance(score.on_failure, list) else score.on_failure,
            max_wall_seconds=score.max_wall_seconds,
            loops=expand_loops(score, layout, self.report),
            triggers=pauses_by_stage(score, self.report),
            rate_limit=self._rate_limit(),
            cost_limits=self._cost_limits(),
            silence=self._silence(),
            notifications=tuple(
                _define_notification(one) for one in score.notifications if one.type != "email"
            ),
            isolation=self._isolation(sheets, contain=any(profile.contain == "hide" for profile in used)),
            given_workspace=self.given_workspace,
            archive=self._archive(),
            executor=score_executor(score),
        )

    def _rate_limit(self) -> RateLimitPolicy:
        given = self.score.rate_limit
        if given is None:
            return RateLimitPolicy()
        return RateLimitPolicy(
            detection_patterns=tuple(given.detection_patterns or ()),
            wait_seconds=given.wait_minutes,
            max_waits=given.max_waits,
            max_quota_waits=given.max_quota_waits,
        )

    def _cost_limits(self) -> CostLimits | None:
        given = self.score.cost_limits
        if given is None or given.enabled is False:
            return None
        fields = msgspec.structs.asdict(given)
        del fields["enabled"]
        return CostLimits(**fields)

    def _isolation(self, sheets: tuple[SheetDefinition, ...], *, contain: bool) -> Isolation | None:
        given = self.score.isolation
        if not given.enabled or given.mode == "none":
            return None
        fields = msgspec.structs.asdict(given)
        del fields["enabled"], fields["mode"]
        directory = self.source.directory
        if given.worktree_base is not None:
            fields["worktree_base"] = resolve(given.worktree_base, directory, self.reader)
        own = sheets[0].settings.get("working_directory") if sheets else None
        places = (own, directory) if own else (directory,)
        return Isolation(**fields, places=places, contain=contain)

    def _archive(self) -> ArchivePolicy | None:
        given = self.score.workspace_lifecycle
        if not given.archive_on_fresh:
            return None
        return ArchivePolicy(
            directory=given.archive_dir,
            naming=given.archive_naming,
            max_archives=given.max_archives,
            preserve_patterns=tuple(given.preserve_patterns),
        )

    def _silence(self) -> SilencePolicy | None:
        given = self.score.stale_detection
        if not given.enabled:
            return None
        idle = given.idle_timeout_seconds
        interval = given.check_interval_seconds
        if interval is None:
            interval = _LOOK_SECONDS if idle > _LOOK_SECONDS else idle / 3
        return SilencePolicy(idle_timeout_seconds=idle, check_interval_seconds=interval)

    def _add_checks_and_digests(
        self, expanded: ExpandedScore, layout: SheetLayout, chosen: dict[int, ResolvedInstrument]
    ) -> ExpandedScore:
        """Add checks and digests; report what rendering and expanding found."""
        for name in expanded.profiles:
            self.report.problems.extend(self.found.warnings.get(name, []))
        variables = scalars(self.score.prompt.variables)
        validations = ValidationExpander(self.score, layout, variables, self.reader, self.report)
        skips = SkipExpander(self.score, variables, self.report)
        prompts = PromptChecker(expanded, self.document, self.report, self.score, self.reader)
        fingerprints = DigestBuilder(self.score, expanded, self.files)
        finished: list[SheetDefinition] = []
        readable = not self.report.wrong("prompt")
        for sheet in expanded.sheets:
            built_in = prompts.known_values(sheet)
            checks = validations.checks(sheet.sheet, built_in, expanded.workspace)
            checked = msgspec.structs.replace(
                sheet, checks=checks, skip=skips.rules_for(sheet.stage, built_in)
            )
            body = prompts.render_definition(checked) if readable else ""
            aspects = fingerprints.by_aspect(checked, chosen[sheet.sheet], body)
            words = fingerprints.of_wording(checked, chosen[sheet.sheet], body)
            finished.append(msgspec.structs.replace(checked, digests=aspects, words=words))
        validations.finish()
        prompts.finish()
        return msgspec.structs.replace(expanded, sheets=tuple(finished))


def _chaining_hooks(score: ExpandedScore) -> list[tuple[HookDefinition, str | None]]:
    """Return the hooks of a score that start jobs, each with the workspace that it gives its job."""
    inherited = score.workspace if score.concert.inherit_workspace else None
    hooks = (*score.hooks, *score.failure_hooks)
    return [(hook, hook.job_workspace or inherited) for hook in hooks if hook.starts_job]


def _define_notification(given: model.NotificationSection) -> Notification:
    target = given.config
    slack = given.type == "slack"
    return Notification(
        type=given.type,
        on_events=tuple(given.on_events),
        url=target.webhook_url if slack else target.url,
        url_env=target.webhook_url_env if slack else target.url_env,
        headers=target.headers,
        timeout_seconds=target.timeout,
        max_retries=target.max_retries,
    )
