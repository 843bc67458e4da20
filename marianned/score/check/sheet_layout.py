"""From stages to sheets: their numbers, items, instances, and what each needs.

Source: docs/reference/score-format.md §6, §7.
"""

from collections.abc import Iterator
from typing import NamedTuple

from marianned.score.read.model import Score
from marianned.score.read.report import ProblemReport
from marianned.yaml_tree import KeyPath

MOST_SHEETS = 10_000
MOST_NEEDS = 1_000_000


class SheetPosition(NamedTuple):
    """One sheet's place in the score."""

    sheet: int
    stage: int
    instance: int
    fan_count: int
    start_item: int
    end_item: int


class SheetLayout(NamedTuple):
    """All sheets by number, the sheets of each stage, and what each sheet needs."""

    positions: list[SheetPosition]
    stages: dict[int, range]
    needs: dict[int, tuple[int, ...]]

    @property
    def fan_out(self) -> bool:
        """Whether some stage has several sheets."""
        return len(self.positions) != len(self.stages)


def number_sheets(score: Score, report: ProblemReport) -> SheetLayout | None:
    """Number the sheets and find their needs; None when the numbers themselves are wrong."""
    if any(report.wrong("sheet", key) for key in ("size", "total_items", "start_item")):
        return None
    sheet = score.sheet
    if sheet.start_item > sheet.total_items:
        message = f"{sheet.start_item} is out of range: 'total_items' is {sheet.total_items}"
        report.add("S013", ("sheet", "start_item"), message)
        return None
    copies = _instance_counts(score, report)
    if copies is None:
        return None
    positions = list(_positions(score, copies))
    stages: dict[int, range] = {}
    for position in positions:
        if position.instance == 1:
            stages[position.stage] = range(position.sheet, position.sheet + position.fan_count)
    _check_stage_numbers(score, len(stages), report)
    needs = _sheet_needs(score, stages, report)
    return None if needs is None else SheetLayout(positions, stages, needs)


def _instance_counts(score: Score, report: ProblemReport) -> dict[int, int] | None:
    """Return the number of instances of each stage that has several."""
    listed = _counts_from_variables(score, report)
    if report.wrong("sheet", "fan_out_from"):
        return None
    fan_out = {**score.sheet.fan_out, **listed}
    for stage, movement in score.movements.items():
        if movement.voices is None:
            continue
        if fan_out.get(stage, movement.voices) != movement.voices:
            message = f"'fan_out' gives stage {stage} {fan_out[stage]} instances, 'voices' {movement.voices}"
            report.add("S106", ("movements", stage, "voices"), message)
        fan_out.setdefault(stage, movement.voices)
    several = {stage: count for stage, count in fan_out.items() if count > 1}
    if several and (score.sheet.size != 1 or score.sheet.start_item != 1):
        key = "size" if score.sheet.size != 1 else "start_item"
        report.add("S104", ("sheet", key), "fan-out needs 'size: 1' and 'start_item: 1'")
        return None
    items = score.sheet.total_items - score.sheet.start_item + 1
    total = -(-items // score.sheet.size) + sum(count - 1 for count in several.values())
    if total > MOST_SHEETS:
        report.add("S111", ("sheet", "total_items"), f"{total} sheets, at most {MOST_SHEETS} are possible")
        return None
    return several


def _counts_from_variables(score: Score, report: ProblemReport) -> dict[int, int]:
    """Return the number of instances of each stage that has one for each item of a variable."""
    copies: dict[int, int] = {}
    variables = score.prompt.variables
    for stage, name in score.sheet.fan_out_from.items():
        path: KeyPath = ("sheet", "fan_out_from", stage)
        items = variables.get(name)
        if stage in score.sheet.fan_out:
            report.add("S015", path, f"'fan_out' gives stage {stage} a number of instances, too")
        elif isinstance(items, list) and items:
            copies[stage] = len(items)
        elif isinstance(items, list):
            report.add("S013", path, f"the list '{name}' is empty: a stage has one sheet at least")
        elif not report.wrong("parameters", name):
            kind = "is not a list" if name in variables else "is not a variable"
            hint = report.nearest(
                name, [known for known, value in variables.items() if isinstance(value, list)]
            )
            report.add("S012", path, f"a variable that is a list is needed, '{name}' {kind}", hint=hint)
    return copies


def _positions(score: Score, copies: dict[int, int]) -> Iterator[SheetPosition]:
    part = score.sheet
    number = 0
    for stage, first in enumerate(range(part.start_item, part.total_items + 1, part.size), 1):
        count = copies.get(stage, 1)
        for instance in range(1, count + 1):
            number += 1
            if copies:
                yield SheetPosition(number, stage, instance, count, number, number)
            else:
                yield SheetPosition(number, stage, 1, 1, first, min(first + part.size - 1, part.total_items))


def _check_stage_numbers(score: Score, total: int, report: ProblemReport) -> None:
    part = score.sheet
    for path, numbers in (
        (("sheet", "fan_out"), part.fan_out),
        (("sheet", "fan_out_from"), part.fan_out_from),
        (("sheet", "dependencies"), part.dependencies),
        (("sheet", "skip_when"), part.skip_when),
        (("sheet", "skip_when_command"), part.skip_when_command),
        (("sheet", "triggers"), part.triggers),
        (("movements",), score.movements),
    ):
        for stage in numbers:
            if stage > total:
                message = f"there is no stage {stage}, there are {total} stages"
                report.add("S105", (*path, stage), message, key=True)


def _sheet_needs(
    score: Score, stages: dict[int, range], report: ProblemReport
) -> dict[int, tuple[int, ...]] | None:
    in_turn = {stage: [stage - 1] if stage > 1 else [] for stage in stages}
    wanted = {stage: score.sheet.dependencies.get(stage, []) for stage in stages}
    if score.sheet.dependencies and not report.wrong("sheet", "dependencies"):
        _check_dependencies(wanted, len(stages), report)
    chain = not score.sheet.dependencies or report.wrong("sheet", "dependencies")
    if chain:  # also where they are wrong: so that what else is wrong is found as well
        wanted = in_turn
    edges = 0
    needs: dict[int, tuple[int, ...]] = {}
    for stage, sheets in stages.items():
        before = [stages[named] for named in dict.fromkeys(wanted[stage])]
        for instance, sheet in enumerate(sheets):
            needs[sheet] = _instance_needs(before, instance, len(sheets), chain=chain)
            edges += len(needs[sheet])
            if edges > MOST_NEEDS:
                message = f"more than {MOST_NEEDS} dependencies between sheets"
                report.add("S111", ("sheet", "dependencies"), message)
                return None
    return needs


def _instance_needs(before: list[range], instance: int, copies: int, *, chain: bool) -> tuple[int, ...]:
    """Return what one instance needs: of a stage with as many sheets the same instance, else all (§7.1)."""
    found: set[int] = set()
    for sheets in before:
        pairwise = not chain and len(sheets) == copies > 1
        found.update([sheets[instance]] if pairwise else sheets)
    return tuple(sorted(found))


def _check_dependencies(wanted: dict[int, list[int]], total: int, report: ProblemReport) -> None:
    for stage, named in wanted.items():
        for index, other in enumerate(named):
            path = ("sheet", "dependencies", stage, index)
            if not 1 <= other <= total:
                message = f"stage {stage} needs stage {other}, there are {total} stages"
                report.add("S101", path, message)
            elif other == stage:
                report.add("S103", path, f"stage {stage} needs itself")
    if not report.wrong("sheet", "dependencies"):
        for cycle in _cycles(wanted):
            shown = " → ".join(str(stage) for stage in [*cycle, cycle[0]])
            report.add("S102", ("sheet", "dependencies", cycle[0]), f"dependency cycle: {shown}")


def _cycles(wanted: dict[int, list[int]]) -> Iterator[list[int]]:
    """Yield cycles, each as the stages along it; every stage is in one of them at most."""
    done: set[int] = set()
    for start in wanted:
        trail: list[int] = []
        at: dict[int, Iterator[int]] = {}
        following: int | None = start if start not in done else None
        while following is not None:
            trail.append(following)
            at[following] = iter(wanted[following])
            following = None
            while trail and following is None:
                stage = trail[-1]
                following = next((other for other in at[stage] if other not in done), None)
                if following in at:
                    cycle = trail[trail.index(following) :]
                    lowest = cycle.index(min(cycle))
                    yield cycle[lowest:] + cycle[:lowest]
                    done.update(trail)
                    trail.clear()
                    following = None
                elif following is None:
                    done.add(trail.pop())
