"""Reruns, and what a reply tells of a revision: what joins, what is replaced, what counts as changed."""

from kit.scores import Bench, chain, score, stage

from marianned.errors import Problem
from marianned.lifecycle import Action
from marianned.progress.views.job import job_view
from marianned.protocol import Outcome
from marianned.score.expanded import ExpandedScore

WARNING = Problem(code="S501", severity="warning", message="it has no effect", file="/home/ann/rel/new.yaml")


def test_a_rerun_beside_a_staged_one_joins_it_with_one_hold_that_a_discard_takes_away() -> None:
    bench = at_third_of(chain(4))
    first = bench.ask(Action.MODIFY, sheets="1", wait=True, key="one")
    second = bench.ask(Action.MODIFY, sheets="2", wait=True, key="two")
    assert (bench.state.run.rewind, len(bench.state.holds)) == ([1, 2], 1)
    bench.crash()
    assert bench.state.run.rewind == [1, 2]
    next_step = job_view(bench.state, bench.now).next
    assert next_step is not None
    assert next_step.text == "sheets 1, 2 run again when sheet 3 ends, then it stays paused"
    bench.ask(Action.DISCARD)
    assert (bench.state.run.rewind, bench.state.holds) == ([], {})
    assert all("was taken back" in bench.answer(request).message for request in (first, second))


def test_a_new_score_takes_the_place_of_a_staged_rerun_and_whoever_waits_for_that_is_told() -> None:
    bench = at_third_of(chain(4))
    rerun = bench.ask(Action.MODIFY_RESUME, sheets="1", wait=True)
    bench.ask(Action.MODIFY_RESUME, chain(5))
    assert "was taken back" in bench.answer(rerun).message
    assert bench.state.run.rewind == []


def at_third_of(expanded: ExpandedScore) -> Bench:
    bench = Bench(expanded)
    bench.go()
    bench.end(1)
    bench.end(2)
    assert bench.flying == [3]
    return bench


def versions(*prompts: str) -> ExpandedScore:
    return score(
        *(
            stage([number] if number else [], name=f"s{number}", prompt=prompt)
            for number, prompt in enumerate(prompts)
        )
    )


def test_changed_are_those_that_completed_under_another_definition_however_long_ago() -> None:
    bench = Bench(versions("a", "b", "c", "d"))
    bench.go()
    bench.end(1)
    bench.end(2)
    bench.ask(Action.MODIFY, versions("A", "b", "c", "d"))
    bench.end(3)
    bench.ask(Action.MODIFY, versions("A", "b", "C", "d"))
    shown = bench.answer(bench.ask(Action.MODIFY, sheets="changed", plan=True)).plan
    assert [line.sheet for line in shown if line.reasons == ["asked"]] == [1, 3]
    bench.ask(Action.MODIFY, versions("a", "b", "C", "d"))
    bench.crash()
    shown = bench.answer(bench.ask(Action.MODIFY, sheets="changed", plan=True)).plan
    assert [line.sheet for line in shown if line.reasons == ["asked"]] == [3], (
        "1 is again what it completed as"
    )
    there_too = bench.ask(Action.MODIFY, versions("a", "B", "C", "d"), sheets="changed", plan=True)
    assert [line.sheet for line in bench.answer(there_too).plan if line.reasons == ["asked"]] == [2, 3]


def test_a_plan_says_where_a_breakpoint_moves() -> None:
    bench = Bench(versions("a", "b"))
    bench.ask(Action.BREAK, sheets="2")
    new = score(stage(name="s0", prompt="a"), stage(name="new"), stage([1], name="s1", prompt="b"))
    plan = bench.answer(bench.ask(Action.MODIFY, new, plan=True)).plan
    assert plan[2].why == "definition unchanged; its breakpoint moves from sheet 2"


def test_what_a_waiting_modify_brought_is_told_by_a_fact_and_its_warnings_outlive_the_daemon() -> None:
    bench = at_third_of(chain(4))
    same_moment = bench.now.at
    brings = bench.ask(Action.MODIFY_RESUME, chain(5), wait=True, key="one", problems=[WARNING])
    equal = bench.ask(Action.MODIFY_RESUME, chain(5), wait=True, key="two")
    assert bench.now.at == same_moment
    bench.crash()
    bench.end(3)
    assert (bench.answer(brings).changed, bench.answer(brings).new_revision) == (True, 2)
    assert bench.answer(brings).problems == [WARNING]
    assert bench.answer(brings).plan
    assert (bench.answer(equal).changed, bench.answer(equal).new_revision) == (False, None)


def test_a_reply_lists_a_hundred_holds_the_oldest() -> None:
    bench = Bench(chain(2), checked=False)
    bench.go()
    for number in range(150):
        bench.ask(Action.PAUSE, reason=f"{number}")
    reply = bench.answer(bench.ask(Action.PAUSE))
    assert (len(bench.state.holds), len(reply.holds), reply.holds[0].reason) == (151, 100, "0")


def test_a_sheet_that_is_to_run_again_forgets_how_often_it_was_lost() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE)
    bench.end(1, Outcome.LOST)
    bench.ask(Action.RESUME_FROM, sheets="1")
    bench.end(1, Outcome.LOST)
    bench.end(1, Outcome.LOST)
    assert (bench.sheet(1).status, bench.sheet(1).lost) == ("waiting", 2)  # a third in a row has failed
