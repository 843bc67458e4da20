"""A sheet that a revision takes out and a later one has again: what it has done is not done twice."""

from kit.scores import Bench, chain, score, stage

from marianned.lifecycle import Action
from marianned.score.expanded import Expanded


def named(*prompts: str) -> Expanded:
    """A chain whose stages are told apart by what they do."""
    stages = (stage([n] if n else [], name=p[0], prompt=p) for n, p in enumerate(prompts))
    return score(*stages)


def paused_before_the_last(expanded: Expanded) -> Bench:
    """All sheets but the last are done, and it may not start."""
    bench = Bench(expanded)
    bench.ask(Action.BREAK, sheets=str(len(expanded.sheets)))
    bench.play()
    assert bench.status == "paused"
    return bench


def plan_of(bench: Bench, to: Expanded, **fields: object) -> list[tuple[int | None, str, bool, str]]:
    bench.ask(Action.MODIFY, to, **fields)
    assert bench.state.current.plan
    return [(line.sheet, line.action, line.runs, line.why) for line in bench.state.current.plan]


def test_what_was_done_before_it_was_taken_out_is_done_when_it_is_back_and_the_plan_says_so() -> None:
    whole = named("a", "b", "c", "d")
    bench = paused_before_the_last(whole)
    uids = [bench.sheet(number).uid for number in (1, 2, 3)]
    bench.ask(Action.MODIFY, named("a", "d"))
    bench.crash()
    plan = plan_of(bench, whole)
    assert plan[1] == (2, "kept", False, "is back as it was; completed under revision 1, stays")
    assert plan[2] == (3, "kept", False, "is back as it was; completed under revision 1, stays")
    assert [bench.sheet(number).uid for number in (1, 2, 3)] == uids
    assert bench.state.past_sheets == {}
    bench.ask(Action.RESUME)
    assert bench.play() == [4]
    assert bench.status == "completed"


def test_what_comes_back_as_something_else_runs() -> None:
    bench = paused_before_the_last(named("a", "b", "c"))
    bench.ask(Action.MODIFY, named("a", "c"))
    plan = plan_of(bench, named("a", "b!", "c"))
    assert plan[1] == (2, "added", True, "stage 2 is new")
    bench.ask(Action.RESUME)
    assert bench.play() == [2, 3]


def test_a_sheet_that_needs_another_one_than_it_did_is_new() -> None:
    bench = paused_before_the_last(named("a", "b", "c", "d"))
    bench.ask(Action.MODIFY, named("a", "d"))
    plan = plan_of(bench, named("a", "x", "c", "d"))
    assert [line[1] for line in plan] == ["kept", "added", "added", "changed"]


def test_what_depended_on_a_sheet_that_ran_again_meanwhile_runs_again_too() -> None:
    whole = named("a", "b", "c", "d")
    bench = paused_before_the_last(whole)
    bench.ask(Action.MODIFY, named("a", "d"))
    bench.ask(Action.MODIFY, sheets="1")
    assert bench.state.past_sheets == {}
    plan = plan_of(bench, whole)
    assert [line[2] for line in plan] == [True, True, True, True]
    bench.ask(Action.RESUME)
    assert bench.play() == [1, 2, 3, 4]


def test_what_comes_back_runs_again_with_a_sheet_that_it_needs_and_that_is_asked_for() -> None:
    whole = named("a", "b", "c")
    bench = paused_before_the_last(whole)
    bench.ask(Action.MODIFY, named("a", "c"))
    plan = plan_of(bench, whole, sheets="1")
    assert plan[1] == (2, "rerun", True, "depends on sheet 1")
    bench.ask(Action.RESUME)
    assert bench.play() == [1, 2, 3]


def test_of_sheets_that_are_equal_those_come_back_that_were_there() -> None:
    bench = paused_before_the_last(chain(5))
    done = [bench.sheet(number).uid for number in range(1, 5)]
    bench.ask(Action.MODIFY, chain(2))
    bench.ask(Action.MODIFY, chain(6))
    assert [bench.sheet(number).uid for number in range(1, 5)] == done
    assert bench.sheets == ["completed"] * 4 + ["pending"] * 2
    bench.ask(Action.RESUME)
    assert bench.play() == [5, 6]


def test_what_was_not_done_is_new_when_it_is_back() -> None:
    whole = named("a", "b", "c")
    bench = paused_before_the_last(whole)
    bench.ask(Action.MODIFY, named("a", "b"))
    assert plan_of(bench, whole)[2] == (3, "added", True, "stage 3 is new")
