"""What a score says of single stages: loops, pauses, retries, executors; checked, and as they run.

Source: docs/reference/score-format.md §15.3, §28.9, §29, §30.
"""

import bisect
import keyword
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import itemgetter
from typing import Any

import msgspec

from marianned import yaml_tree
from marianned.formatting import did_you_mean, plural
from marianned.score.check.sheet_layout import SheetLayout, SheetPosition
from marianned.score.expanded import LoopDefinition, Resources, RetryPolicy, StagePauses
from marianned.score.language.advice import advice, advice_for_name, find_objection
from marianned.score.language.expressions import (
    OWN_NAMES,
    SKIP_LANGUAGE,
    ExpressionLanguage,
    expression_fault,
    literals_of,
    loop_language,
    names_of,
    required_sheets,
    until_language,
)
from marianned.score.language.placeholders import placeholders
from marianned.score.read import sbatch
from marianned.score.read.document import ScoreDocument
from marianned.score.read.model import ActionSection, ExecutorSection, LoopSection, RetrySection, Score
from marianned.score.read.report import ProblemReport
from marianned.score.read.rules import pattern_fault
from marianned.score.read.variables import BUILT_IN
from marianned.yaml_tree import KeyPath, find

DEFAULT_ROUNDS = 10
_LONGEST_DELAY = 3600.0
_SPAN = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?")
_TAKEN = ("previous", "passed")


def expand_loops(score: Score, layout: SheetLayout, report: ProblemReport) -> tuple[LoopDefinition, ...]:
    """Return the loops in the order of their stages; those that are wrong are left out, and reported."""
    found: dict[str, LoopDefinition] = {}
    for key, part in score.sheet.loops.items():
        path: KeyPath = ("sheet", "loops", key)
        span = _checked_span(key, layout, path, report)
        _check_loop(score, part, layout, path, report)
        if span is not None and not report.wrong(*path):
            found[key] = _define_loop(part, *span, layout)
    _check_overlaps(found, report)
    _check_shape(score, found, layout, report)
    return tuple(sorted(found.values(), key=lambda loop: loop.first))


class SkipLanguages:
    """The language of each stage's `skip_when`: inside a loop it knows the round, too.

    Where a loop is wrong, any stage may be part of it, and its round have any name.
    """

    def __init__(self, score: Score, report: ProblemReport) -> None:
        known = [(_parse_span(key), part.index) for key, part in score.sheet.loops.items()]
        self._spans = sorted((*span, index) for span, index in known if span is not None)
        self._wrong = (
            report.wrong("sheet", "loops")
            or len(self._spans) < len(known)
            or any(first > last or index in _TAKEN for first, last, index in self._spans)
        )

    def at(self, stage: int) -> ExpressionLanguage:
        """Return the language of a stage's `skip_when`."""
        if self._wrong:
            return ExpressionLanguage(loop=None)
        place = bisect.bisect_right(self._spans, stage, key=itemgetter(0))
        inside = place > 0 and stage <= self._spans[place - 1][1]
        return loop_language(self._spans[place - 1][2]) if inside else SKIP_LANGUAGE


def _parse_span(key: str) -> tuple[int, int] | None:
    """Read a span, '2-3' or '2'; nothing where it is none."""
    written = _SPAN.fullmatch(key)
    return None if written is None else (int(written[1]), int(written[2] or written[1]))


def _checked_span(
    key: str, layout: SheetLayout, path: KeyPath, report: ProblemReport
) -> tuple[int, int] | None:
    """Return the first and the last stage of a loop; report a key that is no span of stages there are."""
    span = _parse_span(key)
    if span is None:
        message = f"a span of stages is needed as key, this is '{key[:40]}'"
        report.add("S012", path, message, key=True, hint="write the first and the last stage, as in '2-3'")
        return None
    total = len(layout.stages)
    for stage in span:
        if not 1 <= stage <= total:
            report.add("S105", path, f"there is no stage {stage}, there are {total} stages", key=True)
            return None
    if span[0] > span[1]:
        message = f"the span begins at stage {span[0]} and ends at {span[1]}, before it"
        report.add("S013", path, message, key=True, hint=f"write '{span[1]}-{span[0]}'")
        return None
    return span


def _define_loop(part: LoopSection, first: int, last: int, layout: SheetLayout) -> LoopDefinition:
    exact = part.count is not None and part.until is None
    return LoopDefinition(
        first=first,
        last=last,
        sheets=tuple(sheet for stage in range(first, last + 1) for sheet in layout.stages[stage]),
        ends=tuple(layout.stages[last]),
        index=part.index,
        until=part.until,
        rounds=part.count or part.max_iterations or DEFAULT_ROUNDS,
        exact=exact,
        exhausted=part.on_exhausted,
        cost_limit_usd=part.cost_limit_usd,
    )


def _check_loop(
    score: Score, part: LoopSection, layout: SheetLayout, path: KeyPath, report: ProblemReport
) -> None:
    if part.index in _TAKEN:
        message = f"'loop.{part.index}' is something else: the round needs another name"
        report.add("S013", (*path, "index"), message)
    if keyword.iskeyword(part.index) and part.until is not None:
        message = f"'loop.{part.index}' can't be written in an expression: the round needs another name"
        report.add("S013", (*path, "index"), message)
        return
    if part.count is not None and part.max_iterations not in {None, part.count}:
        message = f"'count' says {part.count} rounds, 'max_iterations' {part.max_iterations} at most"
        report.add("S015", (*path, "count"), message)
    if part.until is not None and not report.wrong(*path, "until"):
        span = _parse_span(str(path[-1]))
        ends = layout.stages.get(span[1]) if span is not None else None
        _check_until(
            score, part.until, until_language(part.index), (*path, "until"), report, ends[0] if ends else None
        )
        total = sum(map(len, layout.stages.values()))
        for number in sorted(required_sheets(part.until, until_language(part.index))):
            if not 1 <= number <= total:
                message = f"bad expression: there is no sheet {number}, there are {plural(total, 'sheet')}"
                report.add("S206", (*path, "until"), message, hint=f"sheets are numbered from 1 to {total}")


def check_expression(
    text: str,
    language: ExpressionLanguage,
    path: KeyPath,
    variables: Mapping[str, Any],
    report: ProblemReport,
) -> bool:
    """Report a text that is no expression of a language, or can't be meant so; tell whether it is fine."""
    fault = expression_fault(text, language)
    if fault is not None:
        report.add("S206", path, f"bad expression: {fault}", hint=advice(text, language))
    elif (against := find_objection(text, language, variables)) is not None:
        report.add("S206", path, f"bad expression: {against.message}", hint=against.hint)
    else:
        return True
    return False


def _check_until(
    score: Score,
    text: str,
    language: ExpressionLanguage,
    path: KeyPath,
    report: ProblemReport,
    end: int | None,
) -> None:
    """Report what is wrong with an `until`; `end` is the first sheet of the loop's last stage."""
    if not check_expression(text, language, path, score.prompt.variables, report):
        return
    known = sorted({*BUILT_IN, *OWN_NAMES, *score.prompt.variables, "loop", "file"})
    for name in sorted(names_of(text, language) - set(known)):
        hint = advice_for_name(name, known, language, end)
        report.add("S206", path, f"bad expression: unknown name '{name}'", hint=hint)
    for file in literals_of(text, "file", language):
        for found in placeholders(file):
            if found.name not in known:
                message = f"unknown placeholder '{{{found.name}}}'"
                hint = did_you_mean(found.name, known) or "a variable, or a name of templates, is meant"
                report.add("S204", path, message, hint=hint)
    for pattern in literals_of(text, "matches", language):
        if (problem := pattern_fault(pattern)) is not None:
            report.add("S017", path, problem)


def _check_overlaps(found: Mapping[str, LoopDefinition], report: ProblemReport) -> None:
    other, last = "", 0
    for key, loop in sorted(found.items(), key=lambda entry: entry[1].first):
        if loop.first <= last:
            message = f"the loops '{other}' and '{key}' share stages"
            hint = "a loop stands beside another, never inside it"
            report.add("S511", ("sheet", "loops", key), message, key=True, hint=hint)
        if loop.last > last:
            other, last = key, loop.last


def _check_shape(
    score: Score, found: Mapping[str, LoopDefinition], layout: SheetLayout, report: ProblemReport
) -> None:
    """Report loops that can't be repeated: a stage doesn't lead to the last, or a path leaves and returns."""
    if score.sheet.dependencies:
        needs = {stage: set(score.sheet.dependencies.get(stage, ())) for stage in layout.stages}
    else:
        needs = {stage: {stage - 1} if stage > 1 else set() for stage in layout.stages}
    if not found:
        return
    above = _upstream_bits(needs)
    below = _upstream_bits(_dependents(needs))
    for key, loop in found.items():
        path: KeyPath = ("sheet", "loops", key)
        span = range(loop.first, loop.last + 1)
        whole = (1 << loop.last + 1) - (1 << loop.first)
        for stage in span:
            if stage != loop.last and not above[loop.last] >> stage & 1:
                message = f"stage {stage} does not lead to stage {loop.last}, where a round ends"
                hint = f"let a later stage of the loop need it: dependencies: {{{loop.last}: [{stage}]}}"
                report.add("S113", path, message, key=True, hint=hint)
        behind = reduce(operator.or_, (below[stage] for stage in span))
        for stage in _stages_in(above[loop.last] & behind & ~whole):
            first = next(_stages_in(above[stage] & whole))
            message = f"stage {stage} needs stage {first} of the loop, and the loop needs it"
            report.add("S113", path, message, key=True, hint=f"take stage {stage} into the loop")


def _dependents(needs: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Return for each stage those that need it, the last first: what is below it is known before it."""
    found: dict[int, set[int]] = {number: set() for number in reversed([*needs])}
    for stage, own in needs.items():
        for other in own.intersection(found):
            found[other].add(stage)
    return found


def _upstream_bits(needs: Mapping[int, set[int]]) -> dict[int, int]:
    """Return for each stage those that it needs, directly or not, as bits of a number: 1 << stage.

    One pass is enough where each stage needs earlier ones alone; the last pass changes nothing.
    """
    above = dict.fromkeys(needs, 0)
    changed = True
    while changed:
        changed = False
        for stage, own in needs.items():
            found = above[stage]
            for other in own:
                found |= above.get(other, 0) | 1 << other
            changed = changed or found != above[stage]
            above[stage] = found
    return above


def _stages_in(bits: int) -> Iterator[int]:
    """Yield the stages of a number of bits, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def pauses_by_stage(score: Score, report: ProblemReport) -> dict[int, StagePauses]:
    """Return the pauses that the score asks for, by stage; report what is no action."""
    found: dict[int, StagePauses] = {}
    for stage, part in score.sheet.triggers.items():
        path: KeyPath = ("sheet", "triggers", stage)
        for key, actions in (("on_success", part.on_success), ("on_fail", part.on_fail)):
            for index, action in enumerate(actions):
                _check_action(action, key, (*path, key, index), report)
        failed = [action for action in part.on_fail if action.pause or action.escalate is not None]
        after = any(action.pause for action in part.on_success)
        if after or failed:
            reason = next((action.escalate for action in failed if action.escalate is not None), None)
            found[stage] = StagePauses(pause_after=after, pause_on_fail=bool(failed), reason=reason)
    return found


def _check_action(action: ActionSection, key: str, path: KeyPath, report: ProblemReport) -> None:
    if report.wrong(*path):
        return
    given = [action.pause, action.escalate is not None, action.continue_]
    if sum(given) > 1:
        report.add("S013", path, "an action is a mapping with one key: pause, escalate or continue")
    if key == "on_success" and action.escalate is not None:
        message = "'escalate' is about a failure; after a success the job can pause"
        report.add("S511", (*path, "escalate"), message, key=True, hint="write {pause: true}")


def score_retry(score: Score) -> RetryPolicy:
    """Return the retry policy of the score, for stages without one of their own."""
    return _retry_policy(msgspec.structs.asdict(score.retry))


def retries_by_stage(score: Score, document: ScoreDocument) -> dict[int, RetryPolicy]:
    """Return the retry policy of each stage that has one; a key that it leaves out is the score's."""
    found: dict[int, RetryPolicy] = {}
    for stage, movement in score.movements.items():
        node = find(document.root, ("movements", stage, "retry"))
        if movement.retry is not None and isinstance(node, yaml_tree.MappingNode):
            own = msgspec.structs.asdict(movement.retry)
            given = {key: own[key] for key in node.named if key in own}
            found[stage] = _retry_policy({**msgspec.structs.asdict(score.retry), **given})
    return found


def _retry_policy(values: dict[str, Any]) -> RetryPolicy:
    if values["max_delay_seconds"] is None:
        values = values | {"max_delay_seconds": max(_LONGEST_DELAY, values["base_delay_seconds"])}
    return RetryPolicy(**values)


def check_retries(score: Score, report: ProblemReport) -> None:
    """Report a longest delay that is shorter than the first (S013)."""
    for path, part in _retry_sections(score):
        base = part.base_delay_seconds
        longest = part.max_delay_seconds
        if longest is not None and longest < base and not report.wrong(*path):
            message = f"{longest:g}s is out of range: 'base_delay_seconds' is {base:g}s"
            report.add("S013", (*path, "max_delay_seconds"), message)


def _retry_sections(score: Score) -> Iterator[tuple[KeyPath, RetrySection]]:
    yield ("retry",), score.retry
    for stage, movement in score.movements.items():
        if movement.retry is not None:
            yield ("movements", stage, "retry"), movement.retry


def executor_sections(score: Score) -> Iterator[tuple[KeyPath, str | ExecutorSection | None]]:
    """Yield every place of `executor`, and what it says."""
    yield ("executor",), score.executor
    yield from ((("instruments", name, "executor"), one.executor) for name, one in score.instruments.items())
    yield from ((("movements", stage, "executor"), one.executor) for stage, one in score.movements.items())


def score_executor(score: Score) -> str | None:
    """Return the executor that the score names; a run can be given another."""
    return score.executor.type if isinstance(score.executor, ExecutorSection) else score.executor


def sheet_resources(score: Score, position: SheetPosition, instrument: str) -> Resources:
    """Return the resources of one sheet; `instrument` is the score's name for its instrument.

    `executor` is null unless its stage or its instrument names one.
    """
    alias, movement = score.instruments.get(instrument), score.movements.get(position.stage)
    own = [given.executor for given in (alias, movement) if given is not None]
    merged = _merge_resources([score.executor, *own])
    named = [one.type if isinstance(one, ExecutorSection) else one for one in own]
    return msgspec.structs.replace(merged, executor=next((one for one in reversed(named) if one), None))


def _merge_resources(parts: Iterable[str | ExecutorSection | None]) -> Resources:
    """Merge resources, the last one wins; arguments that a later section overrides are left out."""
    found: dict[str, object] = {}
    arguments: list[str] = []
    for part in parts:
        if isinstance(part, ExecutorSection):
            given = msgspec.structs.asdict(part)
            del given["type"]
            own = given.pop("arguments")
            said = {key: value for key, value in given.items() if value is not None}
            arguments = [*sbatch.arguments_in_force(arguments, said, own), *own]
            found |= said
    return msgspec.convert({**found, "arguments": arguments}, Resources)
