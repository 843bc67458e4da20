"""Sheets by stages: folded with counts, and how the lines between the stages run; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

Value = Mapping[str, Any]


class Stage(NamedTuple):
    """A stage with its sheets, by number."""

    number: int
    label: str | None
    sheets: tuple[Value, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many of its sheets have each status."""
        return Counter(sheet["status"] for sheet in self.sheets)


def stages_of(sheets: Iterable[Value]) -> list[Stage]:
    """Return the stages, by number."""
    ordered = sorted(sheets, key=lambda sheet: (sheet["stage"], sheet["instance"]))
    found = []
    for number, members in groupby(ordered, key=lambda sheet: int(sheet["stage"])):
        own = tuple(members)
        names = {sheet.get("name") for sheet in own} - {None}
        labels = {sheet["label"] for sheet in own}
        label = names.pop() if len(names) == 1 else labels.pop() if len(labels) == 1 else None
        found.append(Stage(number, label, own))
    return found


def topological_order(stages: Sequence[int], needs: Mapping[int, Sequence[int]]) -> list[int]:
    """Return the stages so that each comes after those it needs; otherwise by number."""
    waiting = {stage: set(needs.get(stage, ())) & set(stages) for stage in sorted(stages)}
    done: list[int] = []
    while waiting:
        ready = next((stage for stage, open_ in waiting.items() if not open_), min(waiting))
        done.append(ready)
        del waiting[ready]
        for open_ in waiting.values():
            open_.discard(ready)
    return done


class StageLines(NamedTuple):
    """The graph's lines left of a stage: `gutter` has `*` where the stage's own sign goes.

    `below` is the same for the rows of its sheets, when they are unfolded.
    """

    stage: int
    gutter: str
    below: str


def draw_graph(stages: Sequence[int], needs: Mapping[int, Sequence[int]]) -> list[StageLines]:
    """Draw the stages from top to bottom, a line from each to all that need it.

    A stage's line stands in a column until the last stage that needs it; a column is used again. Each stage
    is joined from the side to the lines that it needs, and stands below one of them that ends in it.
    """
    order = topological_order(stages, needs)
    left = Counter(need for stage in order for need in set(needs.get(stage, ())) if need in order)
    lanes: list[int | None] = []
    """By column: the stage whose line stands there; null: the column is free."""
    result = []
    for stage in order:
        joined = {column for column, source in enumerate(lanes) if source in set(needs.get(stage, ()))}
        ending = set()
        for column in joined:
            source = lanes[column]
            assert source is not None, "joined columns have lines"
            left[source] -= 1
            if not left[source]:
                ending.add(column)
        own = min(ending, default=_free_column(lanes))
        if own == len(lanes):
            lanes.append(None)
        gutter = _draw_row(lanes, own, joined, ending)
        for column in ending:
            lanes[column] = None
        lanes[own] = stage if left[stage] else None
        below = "".join("│ " if source is not None else "  " for source in lanes)
        result.append(StageLines(stage, gutter, below))
    width = 2 * len(lanes)
    return [StageLines(one.stage, one.gutter.ljust(width), one.below.ljust(width)) for one in result]


def _free_column(lanes: Sequence[int | None]) -> int:
    return next((column for column, source in enumerate(lanes) if source is None), len(lanes))


def _draw_row(lanes: Sequence[int | None], own: int, joined: set[int], ending: set[int]) -> str:
    """Draw one row: lines that pass, lines that are joined, and the stage itself."""
    ends = [own, *joined]
    first, last = min(ends), max(ends)
    drawn_row = ""
    for column, source in enumerate(lanes):
        inside = first <= column <= last and first != last
        if column == own:
            sign = "*"
        elif column in joined:
            sign = _joint_sign(ends_here=column in ending, left_end=column == first, right_end=column == last)
        elif source is not None:
            sign = "│"
        else:
            sign = "─" if inside else " "
        drawn_row += sign + ("─" if first <= column < last else " ")
    return drawn_row


def _joint_sign(*, ends_here: bool, left_end: bool, right_end: bool) -> str:
    if left_end:
        return "╰" if ends_here else "├"
    if right_end:
        return "╯" if ends_here else "┤"
    return "┴" if ends_here else "┼"
