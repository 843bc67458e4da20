"""From stages to sheets: numbers, items, needs."""

from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each
from scores import compiled, expanded, score

STAGES = st.integers(1, 8).flatmap(
    lambda total: st.tuples(
        st.lists(st.integers(1, 4), min_size=total, max_size=total),
        st.dictionaries(
            st.integers(1, total),
            st.lists(st.integers(1, total), max_size=3),
            max_size=total,
        ),
    )
)


def fan_out_score(copies: list[int], dependencies: dict[int, list[int]]) -> str:
    fan_out = {stage: count for stage, count in enumerate(copies, 1) if count > 1}
    return score(
        sheet=f"{{size: 1, total_items: {len(copies)}, fan_out: {fan_out}, dependencies: {dependencies}}}"
    )


def test_the_worked_example_of_the_contract():
    text = score(
        sheet="{size: 1, total_items: 5, fan_out: {2: 3, 3: 3, 4: 2},"
        " dependencies: {2: [1], 3: [2], 4: [3], 5: [4, 1]}}"
    )
    sheets = expanded(text).sheets
    assert [(s.sheet, s.stage, s.instance, s.fan_count, s.needs) for s in sheets] == [
        (1, 1, 1, 1, ()),
        (2, 2, 1, 3, (1,)),
        (3, 2, 2, 3, (1,)),
        (4, 2, 3, 3, (1,)),
        (5, 3, 1, 3, (2,)),
        (6, 3, 2, 3, (3,)),
        (7, 3, 3, 3, (4,)),
        (8, 4, 1, 2, (5, 6, 7)),
        (9, 4, 2, 2, (5, 6, 7)),
        (10, 5, 1, 1, (1, 8, 9)),
    ]


def test_without_dependencies_stages_are_a_chain():
    sheets = expanded(fan_out_score([1, 3, 3, 2, 1], {})).sheets
    assert [s.needs for s in sheets[4:7]] == [(2, 3, 4)] * 3
    assert sheets[9].needs == (8, 9)


@given(STAGES)
def test_sheets_are_numbered_without_gaps_in_stage_order(stages):
    copies, _ = stages
    sheets = expanded(fan_out_score(copies, {})).sheets
    assert [s.sheet for s in sheets] == list(range(1, sum(copies) + 1))
    assert [(s.stage, s.instance) for s in sheets] == [
        (stage, instance) for stage, count in enumerate(copies, 1) for instance in range(1, count + 1)
    ]
    assert all(s.fan_count == copies[s.stage - 1] for s in sheets)


@given(STAGES)
def test_needs_follow_the_table(stages):
    copies, wanted = stages
    wanted = {stage: [other for other in named if other < stage] for stage, named in wanted.items()}
    sheets = expanded(fan_out_score(copies, wanted)).sheets
    place = {(s.stage, s.instance): s.sheet for s in sheets}
    for sheet in sheets:
        edges = set()
        named = wanted.get(sheet.stage, []) if wanted else [sheet.stage - 1] * (sheet.stage > 1)
        for other in named:
            many, few = copies[other - 1], copies[sheet.stage - 1]
            pairwise = bool(wanted) and many == few > 1
            instances = [sheet.instance] if pairwise else range(1, many + 1)
            edges |= {place[other, instance] for instance in instances}
        assert sheet.needs == tuple(sorted(edges))


@given(STAGES)
def test_a_graph_is_refused_exactly_when_a_sheet_would_need_itself(stages):
    copies, wanted = stages
    result = compiled(fan_out_score(copies, wanted))
    reached = {stage: set(named) for stage, named in wanted.items()}
    for _ in range(len(copies)):
        for named in reached.values():
            named |= {further for other in list(named) for further in reached.get(other, ())}
    circular = any(stage in named for stage, named in reached.items())
    assert (result.expanded is None) == circular
    assert {p.code for p in result.problems if p.severity == "error"} <= {"S102", "S103"}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_items_are_dealt_out_in_order(size, start, more):
    total = start + more - 1
    sheets = expanded(score(sheet=f"{{size: {size}, start_item: {start}, total_items: {total}}}")).sheets
    items = [item for s in sheets for item in range(s.start_item, s.end_item + 1)]
    assert items == list(range(start, total + 1))
    assert all(s.end_item - s.start_item + 1 == size for s in sheets[:-1])
    assert [s.needs for s in sheets] == [(n,) if n else () for n in range(len(sheets))]


def test_with_fan_out_the_items_of_a_sheet_are_its_number():
    assert [(s.start_item, s.end_item) for s in expanded(fan_out_score([1, 2], {})).sheets] == [
        (1, 1), (2, 2), (3, 3),
    ]  # fmt: skip


def test_voices_are_fan_out():
    text = score(sheet="{size: 1, total_items: 2}") + "movements: {2: {voices: 2, name: Drafts}}\n"
    sheets = expanded(text).sheets
    assert [(s.stage, s.instance, s.movement) for s in sheets] == [
        (1, 1, None), (2, 1, "Drafts"), (2, 2, "Drafts"),
    ]  # fmt: skip


@each(
    ("descriptions", "labels"),
    [
        ("{1: a, 2: b}", ["a", "b", "b"]),
        ("{1: a, 2: b, 3: c}", ["a", "b", "c"]),
        ("{1: a, 3: c}", ["a", None, "c"]),
    ],
)
def test_descriptions_are_of_stages_when_they_name_each_stage(descriptions, labels):
    text = score(sheet=f"{{size: 1, total_items: 2, fan_out: {{2: 2}}, descriptions: {descriptions}}}")
    assert [s.label for s in expanded(text).sheets] == labels


def test_a_stage_may_need_a_later_one():
    sheets = expanded(score(sheet="{size: 1, total_items: 2, dependencies: {1: [2]}}")).sheets
    assert [s.needs for s in sheets] == [(2,), ()]
