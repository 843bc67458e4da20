"""What is wrong with a score beyond its types: fields that contradict, numbers out of range, warnings.

Instruments, validations and prompts have modules of their own. Source: docs/reference/score-format.md §25.
"""

import re
from collections.abc import Iterator

from marianned.score.check.settings import check_sheets, check_timeouts
from marianned.score.check.sheet_layout import SheetLayout
from marianned.score.check.stages import SkipLanguages, check_expression, check_retries, executor_sections
from marianned.score.check.unsupported import check_unsupported
from marianned.score.read import sbatch
from marianned.score.read.document import ScoreDocument
from marianned.score.read.model import ExecutorSection, InjectionSection, Score
from marianned.score.read.reader import FileReader, ScoreSource, resolve
from marianned.score.read.report import ProblemReport
from marianned.score.read.variables import BUILT_IN
from marianned.score.render.assembly import has_single_path
from marianned.score.render.injected_files import passed_over_text, subdirectories
from marianned.score.render.template import template_fault
from marianned.score.render.templated_variables import is_dynamic
from marianned.yaml_tree import KeyPath, ScalarNode, find, place_inside, scalars

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LEFT_IN = "[CHANGE THIS"
_TEMPLATE_BRACES = re.compile(r"(?<![{$\\])\{([a-z_]+)\}(?!\})")


def check_score(
    score: Score, layout: SheetLayout | None, document: ScoreDocument, report: ProblemReport
) -> None:
    """Report what can be seen in the score alone."""
    if not _NAME.fullmatch(score.name) and not report.wrong("name"):
        message = f"'{score.name[:40]}' is not a valid job name"
        report.add("S016", ("name",), message, hint="letters, digits, '.', '_', '-'; at most 100")
    for key in ("total_sheets", "fan_out_stage_map"):
        if find(document.root, ("sheet", key)):
            report.add("S018", ("sheet", key), f"'{key}' is computed, this one is ignored", key=True)
    if score.backend is not None:
        message = "'backend' is the older spelling of 'instrument' and 'instrument_config'"
        report.add("S019", ("backend",), message, key=True)
    if not score.validations and not report.wrong("validations"):
        report.add("S504", ("validations",), "no validations: a sheet is done when its process succeeds")
    for path, scalar in scalars(document.root):
        line = scalar.text[: scalar.text.find(_LEFT_IN)].count("\n") + 1 if _LEFT_IN in scalar.text else 0
        if line:
            place = place_inside(document.lines, scalar, line, "CHANGE")
            report.add("S502", path, f"'{_LEFT_IN}' is left in", place=place)
    _check_pairs(score, report)
    _check_items(score, report)
    _check_arguments(score, report)
    _check_prompt(score, document, report)
    check_unsupported(score, document, report)
    for path, settings in instrument_settings(score):
        check_timeouts(settings, path, layout, report)
    if layout is not None:
        _check_sheet_numbers(score, layout, report)
        _check_assigned(score, layout, report)
        _check_parallel(score, layout, report)


def instrument_settings(score: Score) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """Yield every place with settings of an instrument, and what it sets."""
    yield ("instrument_config",), score.instrument_config
    backend = score.backend or {}
    yield ("backend",), backend
    for sheet, settings in backend.get("sheet_overrides", {}).items():
        yield ("backend", "sheet_overrides", sheet), settings
    for name, alias in score.instruments.items():
        yield ("instruments", name, "config"), alias.config
    for stage, movement in score.movements.items():
        yield ("movements", stage, "instrument_config"), movement.instrument_config
    for sheet, settings in score.sheet.per_sheet_instrument_config.items():
        yield ("sheet", "per_sheet_instrument_config", sheet), settings


def _check_pairs(score: Score, report: ProblemReport) -> None:
    """Report keys that exclude, contradict or need each other (S011, S013, S015)."""
    if score.prompt.template is not None and score.prompt.template_file is not None:
        report.add(
            "S015", ("prompt", "template_file"), "'template' and 'template_file' exclude each other", key=True
        )
    check_retries(score, report)
    stale = score.stale_detection
    if (stale.check_interval_seconds or 0) >= stale.idle_timeout_seconds and not report.wrong(
        "stale_detection"
    ):
        message = f"out of range: 'idle_timeout_seconds' is {stale.idle_timeout_seconds:g}s"
        report.add("S013", ("stale_detection", "check_interval_seconds"), message)


def _check_arguments(score: Score, report: ProblemReport) -> None:
    """Report what may not be among the arguments of sbatch (S412)."""
    for path, executor in executor_sections(score):
        if isinstance(executor, ExecutorSection):
            for index, word in enumerate(executor.arguments):
                if (why := sbatch.reason_to_refuse(word)) is not None:
                    report.add("S412", (*path, "arguments", index), why, hint="remove it")


def _check_items(score: Score, report: ProblemReport) -> None:
    costs = score.cost_limits
    if costs and costs.enabled and costs.max_cost_per_sheet is None and costs.max_cost_per_job is None:
        report.add("S011", ("cost_limits",), "a limit is missing: 'max_cost_per_sheet' or 'max_cost_per_job'")
    _check_injections(score, report)
    for index, notification in enumerate(score.notifications):
        names = {"webhook": ("url", "url_env"), "slack": ("webhook_url", "webhook_url_env")}
        keys = names.get(notification.type)
        if keys and not any(getattr(notification.config, key) for key in keys):
            report.add("S011", ("notifications", index, "config"), f"'{keys[0]}' or '{keys[1]}' is missing")
    languages = SkipLanguages(score, report)
    for stage, rule in score.sheet.skip_when.items():
        path: KeyPath = ("sheet", "skip_when", stage)
        if not isinstance(rule, str):
            if stage in score.sheet.skip_when_command:
                report.add("S015", path, f"'skip_when_command' gives stage {stage} a command, too", key=True)
        elif not report.wrong(*path):
            check_expression(rule, languages.at(stage), path, score.prompt.variables, report)


def _check_injections(score: Score, report: ProblemReport) -> None:
    for path, item in injections(score):
        if (item.file is None) == (item.directory is None) and not report.wrong(*path):
            report.add("S015", path, "one of 'file' and 'directory' is needed, and only one")
        fault = template_fault(item.file or item.directory or "")
        if fault:
            key = "file" if item.file else "directory"
            report.add(fault.code, (*path, key), fault.message)


def injections(score: Score) -> Iterator[tuple[KeyPath, InjectionSection]]:
    """Yield every item of `prelude` and `cadenzas` with its path."""
    for index, item in enumerate(score.sheet.prelude):
        yield ("sheet", "prelude", index), item
    for sheet, items in score.sheet.cadenzas.items():
        for index, item in enumerate(items):
            yield ("sheet", "cadenzas", sheet, index), item


def _check_prompt(score: Score, document: ScoreDocument, report: ProblemReport) -> None:
    built_in = BUILT_IN | {"loop"} if score.sheet.loops else BUILT_IN
    for name in score.prompt.variables:
        if name in built_in:
            message = f"'{name}' is the name of a built-in, which wins"
            report.add("S209", ("prompt", "variables", name), message, key=True)
    for key, text in (("stakes", score.prompt.stakes), ("thinking_method", score.prompt.thinking_method)):
        if "{{" in text:
            message = f"'{{{{' is plain text here: '{key}' is not rendered"
            report.add("S208", ("prompt", key), message, hint="a variable may be a template")
    node = find(document.root, ("prompt", "template"))
    if score.prompt.template is None or not isinstance(node, ScalarNode):
        return
    seen: set[str] = set()
    for number, line in enumerate(score.prompt.template.split("\n"), 1):
        for found in _TEMPLATE_BRACES.finditer(line):
            name = found[1]
            if name in BUILT_IN and name not in seen:
                seen.add(name)
                place = place_inside(document.lines, node, number, name)
                message = f"'{{{name}}}' is plain text here; '{{{{ {name} }}}}' is the value"
                report.add("S208", ("prompt", "template"), message, place=place)


def _check_sheet_numbers(score: Score, layout: SheetLayout, report: ProblemReport) -> None:
    part = score.sheet
    numbered: list[tuple[KeyPath, dict[int, object]]] = [
        (("sheet", "cadenzas"), {**part.cadenzas}),
        (("sheet", "prompt_extensions"), {**part.prompt_extensions}),
        (("sheet", "per_sheet_instruments"), {**part.per_sheet_instruments}),
        (("sheet", "per_sheet_instrument_config"), {**part.per_sheet_instrument_config}),
        (("sheet", "per_sheet_fallbacks"), {**part.per_sheet_fallbacks}),
        (("sheet", "descriptions"), {**part.descriptions}),
        (("backend", "sheet_overrides"), {**(score.backend or {}).get("sheet_overrides", {})}),
    ]
    for path, numbers in numbered:
        check_sheets(numbers, path, layout, report)
    for name, sheets in part.instrument_map.items():
        for index, sheet in enumerate(sheets):
            path = ("sheet", "instrument_map", name, index)
            if not 1 <= sheet <= len(layout.positions) and not report.wrong(*path):
                message = f"there is no sheet {sheet}, there are {len(layout.positions)} sheets"
                report.add("S107", path, message)


def _check_assigned(score: Score, layout: SheetLayout, report: ProblemReport) -> None:
    """Report stages of which some sheets are given an instrument of their own and not all (S112)."""
    part = score.sheet
    mapped = [sheet for sheets in part.instrument_map.values() for sheet in sheets]
    for key, given in (
        ("per_sheet_instruments", {*part.per_sheet_instruments}),
        ("instrument_map", {*mapped}),
    ):
        known = {*part.per_sheet_instruments, *mapped}
        for stage, sheets in layout.stages.items():
            left = [sheet for sheet in sheets if sheet not in known]
            if len(sheets) > 1 and left and given.intersection(sheets):
                message = (
                    f"stage {stage} has sheets {sheets[0]} to {sheets[-1]}: not all are given an instrument"
                )
                report.add("S112", ("sheet", key), message, key=True, sheets=left)


def _check_parallel(score: Score, layout: SheetLayout, report: ProblemReport) -> None:
    if report.wrong("parallel"):
        return
    if layout.fan_out and not score.parallel.enabled:
        key = "fan_out" if score.sheet.fan_out or not score.sheet.fan_out_from else "fan_out_from"
        path: KeyPath = ("parallel",) if find(report.root, ("parallel",)) else ("sheet", key)
        message = "without 'parallel: {enabled: true}' the instances run one by one"
        report.add("S110", path, message, key=True)
    if score.parallel.enabled and has_single_path(layout.needs) and not score.sheet.fan_out_from:
        report.add("S110", ("parallel", "enabled"), "no two sheets can run in parallel")
    if score.parallel.enabled and score.isolation.enabled and score.isolation.mode != "none":
        report.add("S509", ("isolation",), "parallel sheets share one worktree", key=True)


def check_silence(score: Score, timeouts: list[float], report: ProblemReport) -> None:
    """Report a silence limit that no sheet's time limit leaves room for (S506)."""
    stale = score.stale_detection
    if stale.enabled and timeouts and stale.idle_timeout_seconds >= max(timeouts):
        message = f"{stale.idle_timeout_seconds:g}s of silence are never reached before the time limit"
        path: KeyPath = ("stale_detection", "idle_timeout_seconds")
        report.add("S506", path if find(report.root, path) else path[:1], message)


def check_files(
    score: Score, source: ScoreSource, workspace: str, reader: FileReader, report: ProblemReport
) -> None:
    """Report what is missing on this machine: workspace, injected files."""
    if not report.wrong("workspace") and (why := reader.unwritable(workspace)) is not None:
        report.add("S303", ("workspace",), f"'{workspace}' cannot be created or written: {why}")
    for path, item in injections(score):
        name = item.file or item.directory
        there = reader.is_file if item.file else reader.is_directory
        if name is None or is_dynamic(name) or report.wrong(*path):
            continue
        places = [resolve(name, base, reader) for base in (workspace, source.directory)]
        found = next((place for place in places if there(place)), None)
        if found is None:
            report.add("S302", (*path, "file" if item.file else "directory"), f"'{name}' is not there")
        elif item.file is None and (names := subdirectories(found, reader)):
            report.add("S307", (*path, "directory"), passed_over_text(names, name))
