"""What needs what in a score, told by stages: ten stages of 300 sheets have 810,000 needs, and ten nodes."""

from itertools import groupby
from typing import NamedTuple

from marianned.protocol import SheetNeeds, StageNode
from marianned.score.expanded import ExpandedScore, SheetDefinition


class StageGraph(NamedTuple):
    """The stages of a score with what they need, and the sheets that need something else than their stage."""

    stages: list[StageNode]
    sheets: list[SheetNeeds]


def stage_graph(score: ExpandedScore) -> StageGraph:
    """Return the graph of a score.

    What a stage needs is read off its first sheet; each sheet is then held against it, so that the whole is
    exact whatever the score says.
    """
    members = {stage: list(sheets) for stage, sheets in groupby(score.sheets, key=lambda one: one.stage)}
    spans = {stage: (sheets[0].sheet, len(sheets)) for stage, sheets in members.items()}
    stage_of = [0, *(sheet.stage for sheet in score.sheets)]
    graph = StageGraph([], [])
    for stage, sheets in members.items():
        every, own = _needs(sheets[0], spans, stage_of)
        graph.stages.append(_node(stage, sheets, every, own))
        common = tuple(number for other in every for number in _numbers(*spans[other]))
        for place, sheet in enumerate(sheets):
            wanted = tuple(sorted([*common, *(spans[other][0] + place for other in own)])) if own else common
            if sheet.needs != wanted:
                graph.sheets.append(SheetNeeds(sheet=sheet.sheet, needs=list(sheet.needs)))
    return graph


def _numbers(first: int, count: int) -> range:
    return range(first, first + count)


def _needs(
    sheet: SheetDefinition, spans: dict[int, tuple[int, int]], stage_of: list[int]
) -> tuple[list[int], list[int]]:
    """Return the stages all of which a sheet needs, and those of which it needs its own instance.

    A stage of one sheet is needed whole.
    """
    every, own = [], []
    needs = frozenset(sheet.needs)
    for stage in sorted({stage_of[need] for need in sheet.needs}):
        found = needs.intersection(_numbers(*spans[stage]))
        if len(found) == spans[stage][1]:
            every.append(stage)
        elif found == {spans[stage][0] + sheet.instance - 1} and spans[stage][1] == sheet.fan_count:
            own.append(stage)
    return every, own


def _node(stage: int, sheets: list[SheetDefinition], every: list[int], own: list[int]) -> StageNode:
    labels = {sheet.label for sheet in sheets}
    names = {sheet.movement for sheet in sheets}
    instruments = {sheet.instrument for sheet in sheets}
    return StageNode(
        stage=stage,
        name=names.pop() if len(names) == 1 else None,
        label=labels.pop() if len(labels) == 1 else None,
        first=sheets[0].sheet,
        count=len(sheets),
        instrument=instruments.pop() if len(instruments) == 1 else None,
        needs=every,
        needs_own=own,
    )
