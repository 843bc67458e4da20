"""A sheet that a revision takes out and a later one has again: what it has done is not done twice."""

from kit.scores import Bench, chain, score, stage

from marianned.lifecycle import Action
from marianned.score.expanded import ExpandedScore


def named(*prompts: str) -> ExpandedScore:
    """A chain whose stages are told apart by what they do."""
    stages = (stage([n] if n else [], name=p[0], prompt=p) for n, p in enumerate(prompts))
    return score(*stages)


def paused_before_the_last(expanded: ExpandedScore) -> Bench:
    """All sheets but the last are done, and it may not start."""
    bench = Bench(expanded)
    bench.ask(Action.BREAK, sheets=str(len(expanded.sheets)))
    bench.play()
    assert bench.status == "paused"
    return bench


def plan_of(bench: Bench, to: ExpandedScore, **fields: object) -> list[tuple[int | None, str, bool, str]]:
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


def test_what_is_again_what_it_was_done_as_has_not_changed_and_is_not_among_the_changed_ones() -> None:
    first, second = named("a", "b", "c"), named("a!", "b", "c")
    bench = paused_before_the_last(first)
    assert plan_of(bench, second)[0] == (
        1,
        "kept-changed",
        False,
        "prompt, validations differ; completed, stays",
    )
    bench.crash()
    back = (1, "kept", False, "is back as it was; completed under revision 1, stays")
    shown = bench.answer(bench.ask(Action.MODIFY, first, plan=True)).plan
    assert (shown[0].action, shown[0].reasons) == ("kept", [])
    assert plan_of(bench, first, sheets="changed")[0] == back
    bench.ask(Action.RESUME)
    assert bench.play() == [3]


def test_what_ran_again_meanwhile_is_changed_where_it_is_to_be_what_it_was_first() -> None:
    first, second = named("a", "b", "c"), named("a!", "b", "c")
    bench = paused_before_the_last(first)
    bench.ask(Action.MODIFY_RESUME, second, sheets="1")
    bench.play()
    assert bench.sheet(1).revision == 2
    assert (
        bench.answer(bench.ask(Action.MODIFY, first, sheets="changed", plan=True)).plan[0].action == "rerun"
    )


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


# --- whatever happened in between --------------------------------------------------------------------------


def walk(bench: Bench, *scores: ExpandedScore) -> list[int]:
    """Modify to each of these in turn; return what the last plan says will run."""
    for to in scores:
        bench.ask(Action.MODIFY, to)
        bench.crash()
    return [line.sheet for line in bench.state.current.plan if line.runs and line.sheet is not None]


def only_these_run(bench: Bench, *sheets: int) -> None:
    """What is planned is what is done."""
    bench.ask(Action.RESUME)
    assert bench.play() == list(sheets)
    assert bench.status == "completed"


def test_a_sheet_that_an_insertion_changed_and_that_was_removed_is_done_when_it_is_back() -> None:
    bench = paused_before_the_last(named("x", "y", "l"))
    inserted = named("w", "x", "y", "l")
    assert walk(bench, inserted, named("w", "y", "l"), inserted) == [1, 4]
    only_these_run(bench, 1, 4)


def test_a_sheet_that_stood_in_for_another_one_is_itself_again() -> None:
    whole = named("x", "y", "z", "l")
    bench = paused_before_the_last(whole)
    assert walk(bench, named("y", "l"), named("x", "l"), whole) == [4]
    only_these_run(bench, 4)


def test_a_sheet_that_was_edited_and_removed_is_done_when_either_is_back() -> None:
    bench = paused_before_the_last(named("x", "l"))
    assert walk(bench, named("x2", "l"), named("l"), named("x2", "l")) == [2]
    assert walk(bench, named("x", "l")) == [2]
    only_these_run(bench, 2)


def test_a_sheet_that_was_moved_and_removed_is_done_when_either_is_back() -> None:
    bench = paused_before_the_last(named("x", "y"))
    assert walk(bench, named("y", "x"), named("y"), named("y", "x")) == [1]
    assert walk(bench, named("x", "y")) == [2]
    only_these_run(bench, 2)


def test_a_sheet_that_stands_as_another_one_is_itself_beside_it() -> None:
    bench = paused_before_the_last(named("x", "y", "l"))
    done = [bench.sheet(number).uid for number in (1, 2)]
    assert walk(bench, named("y2", "l"), named("y", "l"), named("x", "y", "z", "l")) == [3, 4]
    assert [bench.sheet(number).uid for number in (1, 2)] == done
    only_these_run(bench, 3, 4)


def test_a_sheet_that_was_edited_is_itself_again_where_both_are_wanted() -> None:
    def unnamed(*prompts: str) -> ExpandedScore:
        return score(*(stage([n] if n else [], prompt=p) for n, p in enumerate(prompts)))

    bench = paused_before_the_last(unnamed("x", "l"))
    done = bench.sheet(1).uid
    assert walk(bench, unnamed("x2", "l"), unnamed("x", "x2", "l")) == [2, 3]
    assert bench.sheet(1).uid == done
    only_these_run(bench, 2, 3)


def test_the_name_of_a_stage_is_its_place_so_nothing_is_done_by_another_one() -> None:
    def only(*names: str) -> ExpandedScore:
        return score(*(stage(name=name, prompt="same") for name in names))

    bench = Bench(only("a", "b", "c"))
    bench.go()
    bench.end(1)
    bench.ask(Action.PAUSE)
    bench.end(2)
    assert walk(bench, only("c"), only("c", "d")) == [1, 2]
    assert walk(bench, only("b", "c", "d")) == [2, 3]
    only_these_run(bench, 2, 3)


def test_what_a_plan_finds_while_it_is_in_flight_is_found_when_it_has_ended() -> None:
    bench = Bench(named("x", "y", "l"))
    bench.go()
    bench.end(1)
    shown = bench.answer(bench.ask(Action.MODIFY, named("y", "l"))).plan
    bench.end(2)
    assert [line.runs for line in shown] == [line.runs for line in bench.state.current.plan]
    bench.ask(Action.RESUME)
    assert bench.flying == [2]
    shown = bench.answer(bench.ask(Action.MODIFY, named("x", "y", "l"))).plan
    assert [line.runs for line in shown] == [False, False, False]
    bench.end(3 - 1)
    assert [line.runs for line in bench.state.current.plan] == [False, False, False]


def test_what_comes_back_is_forgotten_with_what_it_needed_when_it_was_done() -> None:
    whole = named("x", "y", "l")
    bench = paused_before_the_last(whole)
    assert walk(bench, named("y", "l")) == [2]  # y needs nothing now
    assert walk(bench, whole) == [3]
    bench.ask(Action.MODIFY, named("x", "l"))  # y is gone
    bench.ask(Action.MODIFY, sheets="1")
    assert walk(bench, whole) == [1, 2, 3]


def test_what_stood_behind_a_sheet_that_never_ran_is_done_when_both_are_back() -> None:
    bench = paused_before_the_last(named("x", "y", "l"))
    inserted = named("w", "x", "y", "l")
    assert walk(bench, inserted, named("l"), inserted) == [1, 4]
    only_these_run(bench, 1, 4)


# --- wherever it stood -------------------------------------------------------------------------------------


def apart(*prompts: str) -> ExpandedScore:
    """Stages without names, none of which needs another."""
    return score(*(stage(prompt=prompt) for prompt in prompts))


def test_a_sheet_that_never_ran_gives_way_to_what_was_done_at_another_number() -> None:
    bench = Bench(apart("a", "e", "h", "k"))
    bench.ask(Action.BREAK, sheets="3-4")
    bench.play()
    e = bench.sheet(2).uid
    assert walk(bench, apart("a", "h", "k")) == [2, 3]
    assert walk(bench, apart("a", "h", "e")) == [2]
    assert bench.sheet(3).uid == e
    why = [(line.action, line.why) for line in bench.state.current.plan][2:]
    back = "is back as it was; completed under revision 1, stays"
    assert why == [("removed", "stage 3 is gone"), ("kept", back)]
    only_these_run(bench, 2)


def test_a_sheet_that_has_failed_gives_way_too_for_it_would_begin_anew() -> None:
    bench = Bench(apart("a", "e", "k"))
    bench.go()
    bench.end(1)
    bench.end(2)
    e = bench.sheet(2).uid
    bench.fail(3)
    assert walk(bench, apart("a", "k")) == [2]
    assert walk(bench, apart("x", "k", "e")) == [2]
    assert bench.sheet(3).uid == e


def test_what_stands_as_another_one_is_itself_where_a_sheet_that_never_ran_stood() -> None:
    bench = Bench(apart("a", "e", "h", "k"))
    bench.ask(Action.BREAK, sheets="3-4")
    bench.play()
    e = bench.sheet(2).uid
    assert walk(bench, apart("a", "x", "h", "k")) == [3, 4]  # e stands as x
    assert walk(bench, apart("a", "h", "e")) == [2]
    assert bench.sheet(3).uid == e
    only_these_run(bench, 2)


def test_what_is_in_flight_or_done_does_not_give_way() -> None:
    bench = Bench(apart("a", "e", "h", "k", "l"))
    bench.ask(Action.BREAK, sheets="4-5")
    bench.play()
    walk(bench, apart("a", "h", "k", "l"))  # e is gone
    bench.ask(Action.RESUME)
    assert bench.flying == [3]
    k = bench.sheet(3).uid
    shown = bench.answer(bench.ask(Action.MODIFY, apart("a", "h", "e", "l"))).plan
    assert [line.runs for line in shown] == [False, False, False, True]
    bench.end(3)
    assert [line.runs for line in bench.state.current.plan] == [False, False, False, True]
    assert bench.sheet(3).uid == k
    only_these_run(bench, 4)


def test_what_stands_as_one_that_another_sheet_is_again_is_itself_where_it_was_done() -> None:
    def unnamed(*prompts: str) -> ExpandedScore:
        return score(*(stage(prompt=prompt) for prompt in prompts))

    bench = Bench(unnamed("a", "e"))
    bench.ask(Action.BREAK, sheets="1")
    assert bench.play() == [2]
    bench.ask(Action.MODIFY, unnamed("h", "e", "l"))
    bench.ask(Action.MODIFY, unnamed("h", "a"))
    bench.ask(Action.RESUME)
    assert bench.flying == [1]
    bench.ask(Action.MODIFY, unnamed("e", "k", "a"))
    bench.end(1)
    assert bench.status == "paused"
    plan = plan_of(bench, unnamed("h", "e", "l"))
    assert [line[2] for line in plan if line[0]] == [False, False, True]
