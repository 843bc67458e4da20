"""A score's text becomes what runs, or the list of what is wrong with it: the door of this room.

Source: docs/reference/score-format.md §25.
"""

import os
import re
from typing import Any

import msgspec

from marianned import formatting
from marianned.errors import Problem
from marianned.instruments.profile import Profile
from marianned.problem import ERROR
from marianned.score.check.expand import SheetPlan, SheetPosition, number_sheets
from marianned.score.check.extensions import check_portable, profile_extensions
from marianned.score.check.fingerprints import Digests
from marianned.score.check.hooks import Hooks
from marianned.score.check.instruments import InstrumentResolver, ResolvedInstrument
from marianned.score.check.profiles import Found, find_profiles
from marianned.score.check.prompts import Prompts
from marianned.score.check.settings import UseChecks, read_text
from marianned.score.check.sheets import check_files, check_score, check_silence
from marianned.score.check.skips import Skips
from marianned.score.check.stages import executor_of, loops, resources_of, retries_of, retry_of, triggers
from marianned.score.check.validations import Validations
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
from marianned.score.read.document import ScoreDocument, parse_document
from marianned.score.read.habits import UNREADABLE
from marianned.score.read.model import Score
from marianned.score.read.parameters import apply_values
from marianned.score.read.reader import FileReader, ScoreSource, resolve
from marianned.score.read.report import ProblemReport
from marianned.score.read.rules import StructRule
from marianned.score.read.variables import pack, scalars, with_number_keys
from marianned.score.render.template import render_text, templates
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
        return _nothing(report.sorted())
    compiler = _Compiler(source, reader, builtin, document, report)
    if not chained:
        compiler.check_targets()
    return compiler.compiled(portable=portable, chained=chained)


def refused(file: str, code: str, message: str) -> CompileResult:
    """Return what a file compiles to that could not be looked into: one problem, without a line."""
    return _nothing([Problem(code=code, severity=ERROR, message=message, file=file)])


def _nothing(problems: list[Problem]) -> CompileResult:
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
        self.found: Found = find_profiles(source.directory, builtin, reader, report, self.files)
        self.instruments = InstrumentResolver(self.score, self.found.profiles, report)
        own = self.score.workspace or f"~/workspaces/{self.score.name}"
        self.given_workspace = resolve(own, source.directory, reader)
        if source.workspace is None:
            self.workspace = self.given_workspace
        else:
            self.workspace = resolve(source.workspace, source.submit_directory, reader)
        sheets = len(self.layout.seats) if self.layout else 0
        names = scalars(self._job_variables(sheets))
        self.hooks = Hooks(self.score, names, sheets, source, self.workspace)
        self.failure_hooks = Hooks(self.score, names, sheets, source, self.workspace, "on_failure")

    def _stage_names(self) -> dict[int, str]:
        """Return the stages' names by sheet number, as far as they have one."""
        named = {stage: movement.name for stage, movement in self.score.movements.items() if movement.name}
        seats = self.layout.seats if named and self.layout else ()
        return {seat.sheet: named[seat.stage] for seat in seats if seat.stage in named}

    def _job_variables(self, sheets: int) -> dict[str, Any]:
        """Return the variables as hooks see them; report those that need each other.

        No sheet's names are among what a template in them may use.
        """
        variables = {name: with_number_keys(v) for name, v in self.score.prompt.variables.items()}
        found = templates(variables)
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
        return {**variables, **found.rendered({**variables, **names}, render_text)[0]}

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

    def compiled(self, *, portable: bool, chained: bool) -> CompileResult:
        check_score(self.score, self.layout, self.document, self.report)
        check_files(self.score, self.source, self.workspace, self.reader, self.report)
        prompt = self._prompt()
        hooks = self.hooks.expanded(self.reader, self.report)
        failed = self.failure_hooks.expanded(self.reader, self.report)
        expanded = self._expanded(self.layout, prompt) if self.layout else None
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
            total_sheets=len(self.layout.seats) if self.layout else 0,
            total_stages=len(self.layout.stages) if self.layout else 0,
            parameters=self.parameters,
        )

    def _pins(self, first: ExpandedScore) -> dict[str, dict[str, str]]:
        """Return what each score that this one leads to is made of by now; report what can't be read (S308).

        Chains lead in circles: a file is looked at once.
        """
        pins: dict[str, dict[str, str]] = {}
        todo = _chained_to(first)
        while todo:
            hook, workspace = todo.pop()
            file = next((file for file in hook.files if self.reader.is_file(file)), None)
            if file in pins:
                continue
            if file is None or len(pins) >= _PINNED_MOST:
                why = "it is not there" if file is None else f"there are over {_PINNED_MOST}"
                self.report.add("S308", _PINNED, f"'{file or hook.files[0]}' can't be pinned: {why}")
                continue
            found = self._chained(file, workspace)
            if found is not None:
                compiled, pins[file] = found
                todo += _chained_to(compiled)
        return pins

    def _chained(self, file: str, workspace: str | None) -> tuple[ExpandedScore, dict[str, str]] | None:
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

    def _prompt(self) -> PromptDefinition:
        part = self.score.prompt
        template = part.template
        if part.template_file is not None and template is None:
            template = self._file(part.template_file, ("prompt", "template_file"))
        variables = {name: with_number_keys(value) for name, value in part.variables.items()}
        return PromptDefinition(
            template=template,
            variables=pack(variables),
            stakes=part.stakes,
            thinking_method=part.thinking_method,
            extensions=self._extensions(part.prompt_extensions, ("prompt", "prompt_extensions")),
        )

    def _file(self, name: str, path: KeyPath) -> str:
        absolute = resolve(name, self.source.directory, self.reader)
        text = read_text(absolute, self.reader)
        if text is None:
            self.report.add("S301", path, f"'{absolute}' cannot be read as UTF-8 text")
            return ""
        self.files[absolute] = text
        return text

    def _extensions(self, entries: list[str], path: KeyPath) -> tuple[str, ...]:
        texts = []
        for index, entry in enumerate(entries):
            is_file = entry.endswith(_FILE_ENDINGS) and not _BLANK.search(entry)
            texts.append(self._file(entry, (*path, index)) if is_file else entry)
            if "{{" in texts[-1]:
                message = "'{{' is plain text here: extensions are not rendered"
                self.report.add("S208", (*path, index), message)
        return tuple(texts)

    def _expanded(self, layout: SheetPlan, prompt: PromptDefinition) -> ExpandedScore | None:
        """Expand all sheets; nothing when an instrument is unknown, so that no prompt can be made."""
        chosen = {seat.sheet: self.instruments.choose(seat) for seat in layout.seats}
        self.instruments.finish(self.report)
        uses = UseChecks(self.source.directory, self.reader, self.report, self.files)
        for choice in chosen.values():
            if choice is not None:
                uses.check(choice)
        known = {sheet: choice for sheet, choice in chosen.items() if choice is not None}
        check_silence(self.score, [choice.timeout_seconds for choice in known.values()], self.report)
        if len(known) < len(chosen):
            return None
        sheets = tuple(self._sheet(seat, known[seat.sheet], layout) for seat in layout.seats)
        for sheet in sheets:
            uses.check_wall(known[sheet.sheet], sheet.resources.executor or executor_of(self.score))
        expanded = self._whole(sheets, prompt, layout, known)
        return self._finished(expanded, layout, known)

    def _sheet(self, seat: SheetPosition, chosen: ResolvedInstrument, layout: SheetPlan) -> SheetDefinition:
        """Return a sheet, still without checks and digests: they need to know of all sheets."""
        movement = self.score.movements.get(seat.stage)
        part = self.score.sheet
        by_stage = layout.fan_out and part.descriptions.keys() == layout.stages.keys()
        settings = self._settings_of(chosen)
        extensions = part.prompt_extensions.get(seat.sheet, [])
        return SheetDefinition(
            sheet=seat.sheet,
            stage=seat.stage,
            instance=seat.instance,
            fan_count=seat.fan_count,
            start_item=seat.start_item,
            end_item=seat.end_item,
            movement=movement.name if movement else None,
            label=part.descriptions.get(seat.stage if by_stage else seat.sheet),
            needs=layout.needs[seat.sheet],
            instrument=chosen.profile.name,
            settings=settings,
            fallbacks=tuple(
                self._fallback(profile, given, self.instruments.chain(seat)[0])
                for profile, given in chosen.fallbacks
            ),
            timeout_seconds=chosen.timeout_seconds,
            working_directory=settings.get("working_directory", self.workspace),
            checks=(),
            digests={},
            extensions=self._extensions(extensions, ("sheet", "prompt_extensions", seat.sheet)),
            resources=self._resources_of(seat, chosen),
            injections=tuple(
                Injection(
                    path=item.file or item.directory or "",
                    directory=item.file is None,
                    section=item.as_,
                    required=item.required,
                )
                for item in (*part.prelude, *part.cadenzas.get(seat.sheet, ()))
            ),
        )

    def _fallback(self, profile: Profile, given: dict[str, Any], path: KeyPath) -> Fallback:
        settings = self._settings(given)
        prompt = settings.get("system_prompt_file")
        if prompt is not None and prompt not in self.files and prompt not in self.unread:
            text = read_text(prompt, self.reader)
            if text is None:
                self.unread.add(prompt)
                self.report.add("S304", path, f"'{prompt}' cannot be read as UTF-8 text")
            else:
                self.files[prompt] = text
        return Fallback(
            instrument=profile.name,
            settings=settings,
            timeout_seconds=given["timeout_seconds"],
            working_directory=settings.get("working_directory", self.workspace),
        )

    def _settings_of(self, chosen: ResolvedInstrument) -> dict[str, Any]:
        """Return the settings of sheets as they are stored: those who share an instrument share them."""
        if id(chosen) not in self.stored:
            self.stored[id(chosen)] = (chosen, self._settings(chosen.settings))
        return self.stored[id(chosen)][1]

    def _resources_of(self, seat: SheetPosition, chosen: ResolvedInstrument) -> Resources:
        key = (chosen.selected.name, seat.stage if seat.stage in self.score.movements else None)
        if key not in self.resources:
            self.resources[key] = resources_of(self.score, seat, chosen.selected.name)
        return self.resources[key]

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
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

    def _whole(
        self,
        sheets: tuple[SheetDefinition, ...],
        prompt: PromptDefinition,
        layout: SheetPlan,
        chosen: dict[int, ResolvedInstrument],
    ) -> ExpandedScore:
        score = self.score
        used = [choice.profile for choice in chosen.values()]
        used += [profile for choice in chosen.values() for profile, _ in choice.fallbacks]
        cross_sheet = msgspec.structs.asdict(score.cross_sheet)
        return ExpandedScore(
            name=score.name,
            description=score.description,
            labels=tuple(dict.fromkeys(score.labels)),
            workspace=self.workspace,
            total_stages=len(layout.stages),
            sheets=sheets,
            prompt=prompt,
            retry=retry_of(score),
            retries=retries_of(score, self.document),
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
            loops=loops(score, layout, self.report),
            triggers=triggers(score, self.report),
            rate_limit=self._rate_limit(),
            cost_limits=self._cost_limits(),
            silence=self._silence(),
            notifications=tuple(_notification(one) for one in score.notifications if one.type != "email"),
            isolation=self._isolation(sheets, contain=any(profile.contain == "hide" for profile in used)),
            given_workspace=self.given_workspace,
            archive=self._archive(),
            executor=executor_of(score),
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

    def _finished(
        self, expanded: ExpandedScore, layout: SheetPlan, chosen: dict[int, ResolvedInstrument]
    ) -> ExpandedScore:
        """Add checks and digests; report what rendering and expanding found."""
        for name in expanded.profiles:
            self.report.problems.extend(self.found.warnings.get(name, []))
        variables = scalars(self.score.prompt.variables)
        validations = Validations(self.score, layout, variables, self.reader, self.report)
        skips = Skips(self.score, variables, self.report)
        prompts = Prompts(expanded, self.document, self.report, self.score, self.reader)
        fingerprints = Digests(self.score, expanded, self.files)
        finished: list[SheetDefinition] = []
        readable = not self.report.wrong("prompt")
        for sheet in expanded.sheets:
            built_in = prompts.names(sheet)
            checks = validations.checks(sheet.sheet, built_in, expanded.workspace)
            checked = msgspec.structs.replace(sheet, checks=checks, skip=skips.of(sheet.stage, built_in))
            body = prompts.definition(checked) if readable else ""
            aspects = fingerprints.of(checked, chosen[sheet.sheet], body)
            words = fingerprints.words(checked, chosen[sheet.sheet], body)
            finished.append(msgspec.structs.replace(checked, digests=aspects, words=words))
        validations.finish()
        prompts.finish()
        return msgspec.structs.replace(expanded, sheets=tuple(finished))


def _chained_to(score: ExpandedScore) -> list[tuple[HookDefinition, str | None]]:
    """Return the hooks of a score that start jobs, each with the workspace that it gives its job."""
    inherited = score.workspace if score.concert.inherit_workspace else None
    hooks = (*score.hooks, *score.failure_hooks)
    return [(hook, hook.job_workspace or inherited) for hook in hooks if hook.starts_job]


def _notification(given: model.NotificationSection) -> Notification:
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
