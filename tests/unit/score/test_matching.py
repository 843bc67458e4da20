"""Who is who across two revisions: one change touches what was changed and what depends on it, nothing else.

The scores here are full of equal sheets: that is where a pairing can go astray.
"""

from collections.abc import Mapping
from typing import Any

import hypothesis
import msgspec
from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each
from test_plan import planned, score, stage

from marianned.score.expanded import ExpandedScore
from marianned.score.matching import match_revisions
from marianned.score.plan import RevisionPlan

Stages = list[dict[str, Any]]
MANY = hypothesis.settings(max_examples=170)


def equal(count: int) -> Stages:
    return [stage("echo step") for _ in range(count)]


def other(stages: Stages, number: int, made: dict[str, Any] | None = None) -> Stages:
    """The stages, one of them (from 1) another."""
    return [made or stage("another") if n == number else s for n, s in enumerate(stages, 1)]


def touched(result: RevisionPlan) -> set[int | None]:
    return {line.sheet for line in result.lines if line.action != "kept"}


def test_a_finished_sheet_that_changes_moves_no_other_one() -> None:
    result = planned(score(*equal(5)), score(*other(equal(5), 2)), *["completed"] * 3)
    assert [(line.sheet, line.old_sheet, line.action, line.status) for line in result.lines] == [
        (1, 1, "kept", "completed"),
        (2, 2, "kept-changed", "completed"),
        (3, 3, "kept", "completed"),
        (4, 4, "kept", "pending"),
        (5, 5, "kept", "pending"),
    ]


def test_a_change_that_is_dropped_again_moves_no_sheet() -> None:
    """Both stages 2 and 3 become what the others are."""
    before = other(other(equal(5), 2), 3, stage("a third"))
    result = planned(score(*before), score(*equal(5)), "completed", "completed")
    assert result.matched == {number: number for number in range(1, 6)}


def test_equal_stages_between_two_names_stay_between_them() -> None:
    named = [stage("x", name="begin"), *equal(2), stage("x", name="middle"), *equal(2)]
    fewer = [*named[:1], *named[2:]]
    assert planned(score(*named), score(*fewer)).matched == {1: 1, 2: 2, 3: 4, 4: 5, 5: 6}
    assert planned(score(*fewer), score(*named)).matched == {1: 1, 2: 2, 4: 3, 5: 4, 6: 5}


@each("tail", [[], [stage("a tail")]])
def test_of_what_is_as_good_the_earlier_ones_are_the_same_whatever_follows(tail: Stages) -> None:
    """With a tail that is in one score alone it was the first of the two, else the last."""
    one = stage("echo step")
    old, new = score(one, stage("gone"), *tail), score(stage("new"), stage("next"), one, one)
    assert match_revisions(old, new).sheets.get(3) == 1
    assert match_revisions(new, old).sheets.get(1) == 3


def test_of_two_ways_that_are_as_good_the_way_back_is_the_way_there() -> None:
    one, two = score(*map(stage, "aba")), score(*map(stage, "bab"))
    there, back = match_revisions(one, two).stages, match_revisions(two, one).stages
    assert len(there) == 2
    assert back == {was: now for now, was in there.items()}


def test_what_stands_on_the_same_is_the_same_where_definitions_say_nothing() -> None:
    """A chain that begins anew in the middle; another beginning comes before it."""
    before = score(*equal(4), needs={2: [1], 4: [3]})
    after = score(*equal(5), needs={3: [2], 5: [4]})
    result = planned(before, after, "completed")
    assert touched(result) == {1}
    assert result.matched == {2: 1, 3: 2, 4: 3, 5: 4}


kinds = st.sampled_from("ab")
equals = st.lists(st.builds(stage, kinds, st.integers(1, 2)), min_size=1, max_size=7)
named = st.lists(
    st.builds(stage, kinds, st.integers(1, 2), st.sampled_from([None, None, "x", "y"])),
    min_size=1,
    max_size=7,
)


@st.composite
def with_needs(draw: st.DrawFn) -> tuple[Stages, dict[int, list[int]]]:
    stages = draw(named)
    needs = {
        number: draw(st.lists(st.integers(1, number - 1), unique=True, max_size=2).map(sorted))
        for number in range(2, len(stages) + 1)
    }
    return stages, needs


def sheets_below(made: ExpandedScore, first: set[int]) -> set[int]:
    found = set(first)
    for sheet in made.sheets:  # needs are lower numbers here
        if found & set(sheet.needs):
            found.add(sheet.sheet)
    return found


def sheets_of(made: ExpandedScore, number: int) -> set[int]:
    return {sheet.sheet for sheet in made.sheets if sheet.stage == number}


def with_all_below(stages: Stages, needs: Mapping[int, list[int]]) -> dict[int, object]:
    """Return each stage with all that it depends on, as definitions."""
    found: dict[int, object] = {}
    for number, made in enumerate(stages, 1):  # needs are lower numbers here
        below = sorted(repr(found[need]) for need in needs.get(number, []))
        found[number] = made["digests"], made["count"], below
    return found


def with_all_above(stages: Stages, needs: Mapping[int, list[int]]) -> dict[int, object]:
    """Return each stage with all that depends on it, as definitions."""
    found: dict[int, object] = {}
    for number, made in reversed([*enumerate(stages, 1)]):
        above = sorted(repr(found[other]) for other in found if number in needs.get(other, []))
        found[number] = made["digests"], made["count"], above
    return found


def looks_like_another(old: dict[int, object], new: dict[int, object], changed: int) -> bool:
    """Tell whether a stage beside the changed one has another footing now, which another stage had."""
    moved = [number for number in new if number != changed and new[number] != old[number]]
    return any(new[now] in (old[was] for was in old if was != now) for now in moved)


@MANY
@given(with_needs(), st.integers(1, 7), st.sampled_from("abc"), st.data())
def test_a_changed_stage_touches_itself_and_what_depends_on_it(
    made: tuple[Stages, dict[int, list[int]]], number: int, kind: str, data: st.DataObject
) -> None:
    stages, needs = made
    number = min(number, len(stages))
    old = stages[number - 1]
    changed = other(stages, number, stage(kind, old["count"], old["name"]))
    for footing in (with_all_below, with_all_above):  # equal dependencies, or dependents, are the same sooner
        then, now = footing(stages, needs), footing(changed, needs)
        hypothesis.assume(not looks_like_another(then, now, number))
        hypothesis.assume(not looks_like_another(now, then, number))
    before, after = score(*stages, needs=needs), score(*changed, needs=needs)
    result = planned(before, after)
    assert result.matched == {sheet.sheet: sheet.sheet for sheet in before.sheets}
    assert touched(result) <= sheets_of(after, number)
    back = planned(after, before)
    assert back.matched == result.matched


@MANY
@given(equals, st.integers(1, 8), st.sampled_from("abc"), st.booleans())
def test_a_stage_that_comes_or_goes_touches_what_stands_behind_it(
    stages: Stages, number: int, kind: str, chained: bool
) -> None:
    number = min(number, len(stages) + 1)
    more = [*stages[: number - 1], stage(kind), *stages[number - 1 :]]

    def needs(count: int) -> dict[int, list[int]]:
        return {n: [n - 1] for n in range(2, count + 1)} if chained else {}

    less_score, more_score = score(*stages, needs=needs(len(stages))), score(*more, needs=needs(len(more)))
    comes = planned(less_score, more_score, *["completed"] * len(less_score.sheets))
    assert len(comes.matched) == len(less_score.sheets), "each of before is still there"
    assert sum(line.action == "added" for line in comes.lines) == 1
    behind = {sheet.sheet for sheet in more_score.sheets if sheet.stage >= number}
    assert touched(comes) <= behind
    if not chained:
        assert {line.action for line in comes.lines} <= {"kept", "added"}
    goes = planned(more_score, less_score)
    assert goes.matched == {before: now for now, before in comes.matched.items()}


@MANY
@given(st.lists(st.builds(stage, kinds), max_size=6), st.lists(st.builds(stage, kinds), max_size=6))
def test_as_many_as_can_keep_their_order_and_of_these_most_keep_their_number(
    old: Stages, new: Stages
) -> None:
    """Against a plain writing that tries every way."""
    before, after = score(*old), score(*new)
    found = match_revisions(before, after).stages
    best = max(_ways([s["digests"]["prompt"] for s in old], [s["digests"]["prompt"] for s in new]))
    kept = {now: was for now, was in found.items() if old[was - 1] == new[now - 1]}
    in_order = _longest_in_order(kept)
    assert max(_worth(way) for way in in_order) >= best


def _worth(pairs: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    return len(pairs), sum(now == was for now, was in pairs)


def _longest_in_order(pairs: dict[int, int]) -> list[tuple[tuple[int, int], ...]]:
    found: list[tuple[tuple[int, int], ...]] = [()]
    for pair in sorted(pairs.items()):
        found += [(*way, pair) for way in found if not way or way[-1][1] < pair[1]]
    return found


def _ways(old: list[str], new: list[str]) -> set[tuple[int, int]]:
    """How many pairs each common subsequence has, and how many of them keep their number."""
    ways: dict[tuple[int, int], set[tuple[int, int]]] = {}

    def from_(a: int, b: int) -> set[tuple[int, int]]:
        if a == len(old) or b == len(new):
            return {(0, 0)}
        if (a, b) not in ways:
            found = from_(a + 1, b) | from_(a, b + 1)
            if old[a] == new[b]:
                found |= {(count + 1, same + (a == b)) for count, same in from_(a + 1, b + 1)}
            ways[a, b] = {max(found)} | found
        return ways[a, b]

    return from_(0, 0)


def test_a_stage_that_needs_nothing_stays_the_one_that_needed_nothing() -> None:
    """Not the one that nothing needed, whose place in the graph is as like, seen from the other side."""
    old = score(*equal(5), needs={2: [1], 4: [2, 3], 5: [4]})
    result = planned(old, score(*equal(2)), *["completed"] * 3)
    assert result.matched == {1: 1, 2: 3}
    assert [line.status for line in result.lines if line.action == "kept"] == ["completed"] * 2


def test_of_ten_thousand_equal_sheets_one_that_changes_is_found() -> None:
    before = score(*equal(10_000), needs={number: [number - 1] for number in range(2, 10_001)})
    another = score(stage("another")).sheets[0].digests
    for gone in (1, 5_000, 10_000):
        sheets = [*before.sheets]
        sheets[gone - 1] = msgspec.structs.replace(sheets[gone - 1], digests=another)
        result = match_revisions(before, msgspec.structs.replace(before, sheets=tuple(sheets)))
        assert result.sheets == {number: number for number in range(1, 10_001)}, gone


# --- edits that change every definition at once -----------------------------------------------------------


def checked(stages: Stages, check: str) -> Stages:
    """The stages under a check that all have."""
    return [s | {"digests": s["digests"] | {"validations": check}} for s in stages]


def modelled(stages: Stages, model: str) -> Stages:
    """The stages, played by another model."""
    return [s | {"digests": s["digests"] | {"settings": model}} for s in stages]


def places(old: Stages, new: Stages) -> dict[int, int]:
    return match_revisions(score(*old), score(*new)).sheets


def test_a_stage_inserted_where_others_are_renamed_and_all_checks_change_has_not_run() -> None:
    old = [stage(what, name=what) for what in "abc"]
    new = [stage("x", name="x"), stage("a", name="a2"), stage("b", name="b2"), stage("c", name="c")]
    result = planned(score(*checked(old, "1")), score(*checked(new, "2")), *["completed"] * 3)
    assert [(line.sheet, line.old_sheet, line.action) for line in result.lines] == [
        (1, None, "added"),
        (2, 1, "kept-changed"),
        (3, 2, "kept-changed"),
        (4, 3, "kept-changed"),
    ]


def test_of_two_names_that_differ_each_is_another_stage_unless_both_run_the_same() -> None:
    """Its number says nothing then: the one may have been put in the place of the other."""
    assert places([stage("a", name="a")], [stage("x", name="x")]) == {}
    assert places([stage("a", name="a")], [stage("x")]) == {1: 1}
    assert places([stage("a", name="a", skip="1")], [stage("a", name="x", skip="2")]) == {1: 1}
    other_tool = stage("a", name="x", instrument="codex")
    assert places([stage("a", name="a", instrument="claude")], [other_tool]) == {}


@each("all_of_them", [checked, modelled])
def test_a_stage_without_a_name_inserted_first_has_not_run_whatever_changes_for_all(all_of_them: Any) -> None:
    old = [stage(what) for what in "abc"]
    moved = [stage(what) for what in "xabc"]
    assert places(all_of_them(old, "1"), all_of_them(moved, "2")) == {2: 1, 3: 2, 4: 3}
    assert places(all_of_them(moved, "1"), all_of_them(old, "2")) == {1: 2, 2: 3, 3: 4}
    last_is_first = [stage(what) for what in "cab"]
    assert places(all_of_them(old, "1"), all_of_them(last_is_first, "2")) == {1: 3, 2: 1, 3: 2}


def test_a_fan_out_that_grows_behind_a_new_stage_is_still_the_same() -> None:
    old, new = [stage("a"), stage("b", 3)], [stage("a"), stage("x"), stage("b", 4)]
    assert places(old, new) == {1: 1, 3: 2, 4: 3, 5: 4}
    assert places(new, old) == {1: 1, 2: 3, 3: 4, 4: 5}


def test_a_stage_that_is_renamed_and_grows_is_the_same_where_all_that_both_have_runs_alike() -> None:
    """Else it would be done under another name what it never ran."""
    a, b, x = ({"digests": {"prompt": what}} for what in "abx")
    old = score(stage("a", 2, "a"))
    grown = score(stage("a", 3, "b", validations="2"))
    assert match_revisions(old, grown).sheets == {1: 1, 2: 2}
    assert match_revisions(grown, old).sheets == {1: 1, 2: 2}
    two = [msgspec.structs.replace(s, **d) for s, d in zip(old.sheets, (a, b), strict=True)]
    three = [msgspec.structs.replace(s, **d) for s, d in zip(grown.sheets, (a, x, b), strict=True)]
    before, after = (
        msgspec.structs.replace(one, sheets=tuple(sheets)) for one, sheets in ((old, two), (grown, three))
    )
    assert match_revisions(before, after).sheets == {}


def test_an_equal_prompt_alone_makes_no_stage_of_one_name_that_of_another() -> None:
    old = checked([stage("p", name="a", files="1"), stage("p", name="b", files="2")], "1")
    new = checked([stage("p", name="x", files="3"), stage("p", name="b", files="2")], "2")
    assert places(old, new) == {2: 2}
