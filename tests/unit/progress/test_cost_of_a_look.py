"""A look at a job costs what the score says, not how many ways lead through it."""

import random
import sys
from collections.abc import Callable
from functools import cache
from types import FrameType

import pytest
from kit.scores import Bench, score, stage
from kit.tables import each

from marianned.progress.state.graph import SheetGraph
from marianned.progress.state.run import RunState
from marianned.progress.views.job import WAITS_MOST, job_view, problems_of_sheets, sheet_views
from marianned.protocol import Outcome
from marianned.score.expanded import ExpandedScore, LoopDefinition


def ways(graph: SheetGraph) -> int:
    """Count the ways that are kept from a sheet to those that need it."""
    return sum(len(groups) for groups in graph._needed_by)


def wide(stages: int, width: int) -> ExpandedScore:
    """Return stages that each need the whole of the one before."""
    every = [stage() for _ in range(width)]
    for number in range(1, stages):
        above = list(range((number - 1) * width + 1, number * width + 1))
        every += [stage(above) for _ in range(width)]
    return score(*every, at_once=20, fail_fast=False)


def test_the_ways_through_fan_outs_are_as_many_as_their_sheets() -> None:
    bench = Bench(wide(10, 100), slots=20, checked=False)
    assert ways(bench.state._graph) == 9 * 100


def test_sheets_below_the_same_failures_share_the_list_of_them() -> None:
    bench = Bench(wide(4, 30), slots=30, checked=False)
    bench.go()
    while bench.flying:
        bench.end(bench.flying[0], Outcome.FAILED, category="config")
    views = sheet_views(bench.state, list(bench.state.sheets))
    assert [view.blocked_by for view in views[:30]] == [[]] * 30
    assert all(view.blocked_by == list(range(1, 31)) for view in views[30:])
    assert len({id(view.blocked_by) for view in views[30:]}) == 1


@each("seed", range(30))
def test_what_is_above_is_what_a_walk_over_each_need_finds(seed: int) -> None:
    chance = random.Random(seed)
    count = chance.randint(1, 40)
    needs: dict[int, list[int]] = {
        sheet: sorted(chance.sample(range(1, sheet), chance.randint(0, min(3, sheet - 1))))
        for sheet in range(1, count + 1)
    }
    bench = Bench(score(*(stage(needs[sheet]) for sheet in needs)), checked=False)
    these = chance.sample(range(1, count + 1), chance.randint(0, count))

    @cache
    def walked(sheet: int) -> set[int]:
        return set(needs[sheet]).union(*(walked(need) for need in needs[sheet]))

    found = bench.state._graph.above(list(needs), these)
    assert found == {sheet: sorted(walked(sheet) & set(these)) for sheet in needs}
    below = {sheet: {other for other in needs if sheet in walked(other)} for sheet in needs}
    assert {sheet: set(bench.state._graph.below(sheet)) for sheet in needs} == below


def test_a_line_of_a_thousand_stages_is_looked_at_without_recursion() -> None:
    bench = Bench(score(stage(), *(stage([n]) for n in range(1, 1500))), checked=False)
    bench.go()
    bench.end(1, Outcome.FAILED, category="config")
    views = sheet_views(bench.state, list(bench.state.sheets))
    assert all(view.blocked_by == [1] for view in views[1:])


def test_a_state_is_made_without_a_walk_for_each_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(wide(4, 30), slots=30, checked=False)
    bench.go()
    while bench.flying:
        fails = bench.flying[0] % 2
        outcome = Outcome.FAILED if fails else Outcome.SUCCEEDED
        bench.end(bench.flying[0], outcome, category="config" if fails else None)

    def walked(_graph: SheetGraph, sheet: int) -> list[int]:
        raise AssertionError(f"a walk for sheet {sheet}: thousands of them took seconds")

    monkeypatch.setattr(SheetGraph, "below", walked)
    made = RunState(bench.state.run, bench.state.current, list(bench.state.sheets.values()))
    for count in ("_unmet", "_failed_upstream", "_breakpoints_upstream"):
        assert list(getattr(made, count)) == list(getattr(bench.state, count))
    assert (made._open, made._open_free) == (bench.state._open, bench.state._open_free)


def test_of_the_sheets_that_keep_one_back_the_first_hundred_are_named() -> None:
    bench = Bench(wide(2, 130), slots=130, checked=False)
    bench.go()
    while bench.flying:
        bench.end(bench.flying[0], Outcome.FAILED, category="config")
    views = sheet_views(bench.state, [131, 132])
    assert [view.blocked_by for view in views] == [list(range(1, 101))] * 2
    (view,) = sheet_views(bench.state, [131], needs=False, blockers_most=10)
    assert (view.blocked_by, view.needs) == (list(range(1, 11)), None)


def test_of_the_sheets_that_wait_the_hundred_whose_wait_ends_first_are_told() -> None:
    bench = Bench(wide(1, 120), slots=120, checked=False)
    bench.go()
    while bench.flying:
        bench.end(bench.flying[0], Outcome.FAILED, category="exit")
    waits = {row.sheet: row.until.at for row in bench.state.waiting_sheets() if row.until is not None}
    assert len(waits) == 120
    told = [one.sheet for one in job_view(bench.state, bench.now).waiting]
    assert told == sorted(told)
    assert len(told) == WAITS_MOST
    assert max(waits[sheet] for sheet in told if sheet) <= min(
        at for sheet, at in waits.items() if sheet not in told
    )


def calls(look: Callable[[], object]) -> int:
    """Count the calls, of Python's and of C's, that a look takes."""
    count = 0

    def called(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        look()
    finally:
        sys.setprofile(before)
    return count


def one_to_be_tried_again(width: int) -> Bench:
    """A stage below one all of whose sheets are done but two: one runs, one waits to be tried again."""
    above = list(range(1, width + 1))
    every = [stage() for _ in above] + [stage(above) for _ in above]
    bench = Bench(score(*every, at_once=20, fail_fast=False), slots=20, checked=False)
    bench.go()
    while len(bench.flying) > 2:
        bench.end(bench.flying[0])
    bench.end(bench.flying[0], Outcome.FAILED, category="exit")
    assert len(bench.flying) == len(bench.state.waiting_sheets()) == 1
    return bench


def test_what_starts_next_is_found_without_a_walk_over_the_needs_of_each_sheet() -> None:
    """With 5,000 sheets that need 5,000 it held up the whole daemon for seven seconds, at each look."""
    few, many = (one_to_be_tried_again(width) for width in (50, 200))
    took = [calls(lambda bench=bench: job_view(bench.state, bench.now)) for bench in (few, many)]  # type: ignore[misc]
    assert took[1] <= 5 * took[0], took


def test_what_is_kept_back_by_a_loop_is_found_without_a_walk_over_the_needs_of_each_sheet() -> None:
    took = []
    for width in (50, 200):
        loop = LoopDefinition(first=1, last=1, sheets=(1,), ends=(1,), until="file('ok').exists", rounds=3)
        every = [stage() for _ in range(width)] + [stage(range(1, width + 1)) for _ in range(width)]
        bench = Bench(score(*every, at_once=20, loops=(loop,)), slots=20, checked=False)
        bench.go()
        while len(bench.flying) > 1:
            bench.end(bench.flying[1])
        page = range(width + 1, 2 * width + 1)
        assert {one.kept_back_by for one in sheet_views(bench.state, page)} == {"the end of loop 1, round 1"}
        took.append(calls(lambda bench=bench, page=page: sheet_views(bench.state, page)))  # type: ignore[misc]
    assert took[1] <= 5 * took[0], took


@each("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_a_page_of_a_large_job_costs_what_a_page_of_a_small_one_does(outcome: Outcome) -> None:
    took = []
    for width in (100, 1_000):
        bench = Bench(wide(1, width), slots=20, checked=False)
        bench.go()
        bench.end(bench.flying[0], outcome, category="config")
        page = range(1, 51)

        def look(bench: Bench = bench, page: range = page) -> None:
            sheet_views(bench.state, page)
            problems_of_sheets(bench.state, list(bench.state.sheets))

        took.append(calls(look))
    assert took[1] <= 1.1 * took[0], took
