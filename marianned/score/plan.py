"""What becomes of each sheet under a new score: one planner for showing it and for doing it.

Stages of the two revisions are matched, then sheets within them; what differs is named by the aspects of
a sheet's definition. Linear in the sheets and their needs. Source: docs/reference/score-format.md §7.3,
docs/design/control.md §5.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from itertools import accumulate

import msgspec

from marianned.protocol import PlanAction, PlanLine, SheetStatus
from marianned.score.expanded import Expanded, Sheet

_ASPECTS = ("prompt", "files", "instrument", "settings", "fallbacks", "validations", "needs", "skip", "retry")
_PLURAL = frozenset({"files", "settings", "fallbacks", "validations", "needs"})
_STAYS = (SheetStatus.COMPLETED, SheetStatus.SKIPPED)
_STARTS_AGAIN = (SheetStatus.FAILED, SheetStatus.CANCELLED)
_NO_STAGE_BELOW, _NO_STAGE_ABOVE = 0, 2**63

_Stages = dict[int, list[Sheet]]


class Standing(msgspec.Struct, frozen=True):
    """How a sheet of the old revision stands; `begun`: it was attempted, or its skip rules were asked."""

    status: str
    in_flight: bool
    begun: bool


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The lines to show, and what to do: which new sheet number is which old one.

    `restarts` are the new numbers of the sheets that return to pending with fresh tries.
    """

    lines: list[PlanLine]
    matched: dict[int, int]
    restarts: list[int]


def plan(old: Expanded, new: Expanded, standing: Mapping[int, Standing], old_revision: int) -> Planned:
    """Plan the change from `old`, whose sheets stand as `standing` says by number, to `new`.

    Lines come in ascending new number; a sheet that is removed follows its neighbour of before.
    """
    old_stages, new_stages = _stages(old), _stages(new)
    stages = _match_stages(old_stages, new_stages)
    matched = _match_sheets(old_stages, new_stages, stages)
    old_sheets = {sheet.sheet: sheet for sheet in old.sheets}
    lines: dict[int, PlanLine] = {}
    restarts: list[int] = []
    for sheet in new.sheets:
        if sheet.sheet not in matched:
            lines[sheet.sheet] = _added(sheet, stage_is_new=sheet.stage not in stages)
            continue
        before = old_sheets[matched[sheet.sheet]]
        stands = standing[before.sheet]
        line = _matched(before, sheet, stands, _differences(before, sheet, matched), old_revision)
        lines[sheet.sheet] = line
        if _restarts(line, stands):
            restarts.append(sheet.sheet)
    removed = _removed_lines(old, set(stages.values()), matched, standing, old_revision)
    ordered = list(removed[0])
    for number in sorted(lines):
        ordered.append(lines[number])
        ordered += removed[number]
    return Planned(lines=ordered, matched=matched, restarts=restarts)


def _match_stages(old: _Stages, new: _Stages) -> dict[int, int]:
    """Return which stage of the old revision each stage of the new one is, where it is one."""
    matched = _same_unique_name(old, new)
    matched |= _same_definitions(_without(old, set(matched.values())), _without(new, set(matched)))
    matched |= _same_number(_without(old, set(matched.values())), _without(new, set(matched)), matched)
    return matched


def _stages(score: Expanded) -> _Stages:
    stages: defaultdict[int, list[Sheet]] = defaultdict(list)
    for sheet in score.sheets:
        stages[sheet.stage].append(sheet)
    return {stage: stages[stage] for stage in sorted(stages)}


def _without(stages: _Stages, taken: set[int]) -> _Stages:
    return {stage: sheets for stage, sheets in stages.items() if stage not in taken}


def _same_unique_name(old: _Stages, new: _Stages) -> dict[int, int]:
    old_names = _unique_names(old)
    return {stage: old_names[name] for name, stage in _unique_names(new).items() if name in old_names}


def _unique_names(stages: _Stages) -> dict[str, int]:
    names = {stage: sheets[0].movement for stage, sheets in stages.items()}
    counts = Counter(names.values())
    return {name: stage for stage, name in names.items() if name is not None and counts[name] == 1}


def _same_definitions(old: _Stages, new: _Stages) -> dict[int, int]:
    waiting: defaultdict[tuple[object, ...], deque[int]] = defaultdict(deque)
    for stage, sheets in old.items():
        waiting[_definition(sheets)].append(stage)
    matched = {}
    for stage, sheets in new.items():
        same = waiting.get(_definition(sheets))
        if same:
            matched[stage] = same.popleft()
    return matched


def _definition(sheets: list[Sheet]) -> tuple[object, ...]:
    """Return what makes two stages equal; their needs are compared when it is known who is who."""
    return tuple((sheet.instance, frozenset(sheet.digests.items())) for sheet in sheets)


def _same_number(old: _Stages, new: _Stages, matched: Mapping[int, int]) -> dict[int, int]:
    """Match stages of the same number, between whose neighbours on both sides no match crosses it."""
    pairs = sorted(matched.items())
    highest = list(accumulate((before for _, before in pairs), max, initial=_NO_STAGE_BELOW))
    lowest = list(accumulate((before for _, before in reversed(pairs)), min, initial=_NO_STAGE_ABOVE))[::-1]
    found = {}
    index = 0
    for stage in new:
        while index < len(pairs) and pairs[index][0] < stage:
            index += 1
        if stage in old and highest[index] < stage < lowest[index]:
            found[stage] = stage
    return found


def _match_sheets(old: _Stages, new: _Stages, stages: Mapping[int, int]) -> dict[int, int]:
    matched: dict[int, int] = {}
    for stage, before in stages.items():
        instances = {sheet.instance: sheet.sheet for sheet in old[before]}
        matched |= {
            sheet.sheet: instances[sheet.instance] for sheet in new[stage] if sheet.instance in instances
        }
    return matched


def _differences(old: Sheet, new: Sheet, matched: Mapping[int, int]) -> list[str]:
    differ = {
        aspect for aspect in old.digests | new.digests if old.digests.get(aspect) != new.digests.get(aspect)
    }
    if {matched.get(need) for need in new.needs} != set(old.needs):
        differ.add("needs")
    return [aspect for aspect in _ASPECTS if aspect in differ]


def _matched(old: Sheet, new: Sheet, stands: Standing, differences: list[str], revision: int) -> PlanLine:
    words = _differ(differences)
    runs = stands.status not in _STAYS
    reasons = differences
    if stands.in_flight:
        action, why, runs = PlanAction.IN_FLIGHT, f"finishes under revision {revision}", False
    elif differences and runs:
        action, why = PlanAction.CHANGED, words
    elif differences:
        action, why = PlanAction.KEPT_CHANGED, f"{words}; {stands.status}, stays"
    elif stands.status == SheetStatus.FAILED:
        action, why, reasons = PlanAction.CHANGED, "failed, runs again", ["failed"]
    else:
        action, why = PlanAction.KEPT, "definition unchanged"
    return PlanLine(
        sheet=new.sheet,
        old_sheet=old.sheet,
        stage=new.stage,
        instance=new.instance,
        status=stands.status,
        action=action,
        runs=runs,
        why=why,
        reasons=reasons,
    )


def _differ(differences: list[str]) -> str:
    one = len(differences) == 1 and differences[0] not in _PLURAL
    return f"{', '.join(differences)} {'differs' if one else 'differ'}"


def _restarts(line: PlanLine, stands: Standing) -> bool:
    """Tell whether a sheet begins anew: it had ended badly, or was tried under another definition."""
    if not line.runs:
        return False
    begun = stands.begun or stands.status != SheetStatus.PENDING
    return stands.status in _STARTS_AGAIN or (line.action == PlanAction.CHANGED and begun)


def _added(sheet: Sheet, *, stage_is_new: bool) -> PlanLine:
    return PlanLine(
        sheet=sheet.sheet,
        old_sheet=None,
        stage=sheet.stage,
        instance=sheet.instance,
        status=None,
        action=PlanAction.ADDED,
        runs=True,
        why=f"{_place(sheet, whole_stage=stage_is_new)} is new",
        reasons=["new"],
    )


def _removed_lines(
    old: Expanded,
    stages: set[int],
    matched: Mapping[int, int],
    standing: Mapping[int, Standing],
    revision: int,
) -> defaultdict[int, list[PlanLine]]:
    """Return the lines of the sheets that are gone, by the new number that they follow (0: none)."""
    new_numbers = {before: number for number, before in matched.items()}
    lines: defaultdict[int, list[PlanLine]] = defaultdict(list)
    neighbour = 0
    for sheet in old.sheets:
        if sheet.sheet in new_numbers:
            neighbour = new_numbers[sheet.sheet]
            continue
        stands = standing[sheet.sheet]
        gone = f"{_place(sheet, whole_stage=sheet.stage not in stages)} is gone"
        lines[neighbour].append(
            PlanLine(
                sheet=None,
                old_sheet=sheet.sheet,
                stage=sheet.stage,
                instance=sheet.instance,
                status=stands.status,
                action=PlanAction.REMOVED,
                runs=False,
                why=f"{gone}; finishes under revision {revision}" if stands.in_flight else gone,
                reasons=["gone"],
            )
        )
    return lines


def _place(sheet: Sheet, *, whole_stage: bool) -> str:
    return f"stage {sheet.stage}" if whole_stage else f"instance {sheet.instance} of stage {sheet.stage}"
