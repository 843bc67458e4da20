"""A graph by stages says exactly what each sheet needs, in a few nodes."""

from typing import Any

import msgspec
import yaml
from kit.tables import each

from marianned.instruments.loader import builtin_profiles
from marianned.progress.views.graph import stage_graph
from marianned.score.check.compiler import compile_score
from marianned.score.expanded import ExpandedScore
from marianned.score.read.reader import DiskReader, ScoreSource


def expanded(**sheet: Any) -> ExpandedScore:
    text = yaml.safe_dump(
        {
            "name": "graph",
            "workspace": "./work",
            "instrument": "cli",
            "sheet": sheet,
            "prompt": {"template": "true"},
        }
    )
    source = ScoreSource(text=text.encode(), file="graph.yaml", directory="/", submit_directory="/")
    compiled = compile_score(source, DiskReader(), builtin_profiles())
    assert compiled.expanded is not None
    return compiled.expanded


def spelled_out(score: ExpandedScore) -> dict[int, list[int]]:
    """Return what each sheet needs, by its graph alone."""
    graph = stage_graph(score)
    spans = {one.stage: range(one.first, one.first + one.count) for one in graph.stages}
    needs = {
        sheet: sorted(
            [number for stage in one.needs for number in spans[stage]]
            + [spans[stage][place] for stage in one.needs_own]
        )
        for one in graph.stages
        for place, sheet in enumerate(spans[one.stage])
    }
    return needs | {one.sheet: one.needs for one in graph.sheets}


@each(
    "sheet",
    [
        {"size": 1, "total_items": 4},
        {"size": 3, "total_items": 10},
        {"size": 1, "total_items": 3, "fan_out": {2: 5}},
        {"size": 1, "total_items": 3, "fan_out": {1: 5, 2: 5, 3: 4}, "dependencies": {2: [1], 3: [2]}},
        {"size": 1, "total_items": 4, "fan_out": {1: 3, 2: 3}, "dependencies": {2: [1], 4: [1, 2]}},
        {"size": 1, "total_items": 4, "dependencies": {2: [1], 3: [1], 4: [2, 3]}},
    ],
)
def test_it_says_what_each_sheet_needs(sheet: dict[str, Any]) -> None:
    score = expanded(**sheet)
    assert spelled_out(score) == {one.sheet: list(one.needs) for one in score.sheets}
    assert stage_graph(score).sheets == []


def test_a_sheet_that_needs_something_else_than_its_stage_is_told_by_itself() -> None:
    score = expanded(size=1, total_items=2, fan_out={1: 3, 2: 3})
    sheets = list(score.sheets)
    sheets[4] = msgspec.structs.replace(sheets[4], needs=(2, 3))
    other = msgspec.structs.replace(score, sheets=tuple(sheets))
    assert [(one.sheet, one.needs) for one in stage_graph(other).sheets] == [(5, [2, 3])]
    assert spelled_out(other) == {one.sheet: list(one.needs) for one in sheets}


def test_ten_stages_of_three_hundred_sheets_are_ten_nodes() -> None:
    score = expanded(size=1, total_items=10, fan_out=dict.fromkeys(range(1, 11), 300))
    graph = stage_graph(score)
    assert [(one.first, one.count, one.needs) for one in graph.stages] == [
        (300 * place + 1, 300, [place] if place else []) for place in range(10)
    ]
