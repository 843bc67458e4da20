"""Rounds over modifies: a loop that leaves and comes back, and what counts from 1."""

import msgspec
from kit.scores import Bench, chain, score, stage
from looping import looped, standing, to_the_question

from marianned.lifecycle import Action
from marianned.protocol import LoopState, Outcome
from marianned.score.expanded import LoopDefinition


def in_round_two(*, stages: int = 3) -> Bench:
    """A loop of two stages in its second round, the first of them done, paused."""
    bench = looped(stages)
    to_the_question(bench).judged(False)
    bench.ask(Action.PAUSE)
    bench.end(1)
    return bench


def shown_rounds(bench: Bench, new) -> list[list[int]]:
    plan = bench.answer(bench.ask(Action.MODIFY, new, plan=True)).plan
    return [line.rounds for line in plan]


def without_the_last_of_the_loop():
    return score(stage(), stage([1], prompt="z"))


def whole_with_the_loop():
    loop = LoopDefinition(first=1, last=2, sheets=(1, 2), ends=(2,), until="it is so", rounds=3)
    return score(stage(), stage([1], prompt="l"), stage([2], prompt="z"), loops=(loop,))


def test_rounds_stay_though_the_last_stage_was_taken_out_before_it_was_done():
    bench = Bench(whole_with_the_loop())
    bench.go()
    to_the_question(bench).judged(False)
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.MODIFY, without_the_last_of_the_loop())
    bench.crash()
    assert shown_rounds(bench, whole_with_the_loop()) == [[3, 3], [], []]
    bench.ask(Action.MODIFY, whole_with_the_loop())
    assert standing(bench) == (2, LoopState.OPEN)
    same_without_a_loop = msgspec.structs.replace(whole_with_the_loop(), loops=())
    bench.ask(Action.MODIFY, same_without_a_loop)
    bench.ask(Action.MODIFY, without_the_last_of_the_loop())
    bench.ask(Action.MODIFY_RESUME, whole_with_the_loop())
    assert (standing(bench), bench.flying) == ((2, LoopState.OPEN), [2])


def test_rounds_count_from_one_where_what_leads_to_a_last_stage_runs_again_while_it_is_out():
    bench = Bench(whole_with_the_loop())
    bench.go()
    to_the_question(bench).judged(False)
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.MODIFY, without_the_last_of_the_loop(), sheets="1")
    bench.crash()
    bench.ask(Action.MODIFY, whole_with_the_loop())
    assert standing(bench) == (1, LoopState.OPEN)


def test_a_closed_loop_that_comes_back_is_closed_though_a_sheet_of_it_runs_alone():
    bench = to_the_question(looped())
    with_loop = bench.state.score
    bench.judged(True)
    bench.ask(Action.PAUSE)
    bench.end(3)
    bench.ask(Action.RESUME_FROM, sheets="1", alone=True)
    bench.ask(Action.PAUSE)
    bench.end(1, Outcome.INTERRUPTED)
    bench.ask(Action.MODIFY, chain(3))
    bench.ask(Action.MODIFY, with_loop)
    assert standing(bench) == (1, LoopState.CLOSED)


def test_a_span_with_another_last_stage_counts_from_one_and_plan_reply_and_journal_say_so():
    bench = in_round_two()
    wide = LoopDefinition(first=1, last=3, sheets=(1, 2, 3), ends=(3,), until="it is so", rounds=3)
    said = "loop 1-3 counts from round 1, for its last stage is another; loop 1-2 in round 2 is gone"
    shown = bench.answer(bench.ask(Action.MODIFY, chain(3, loops=(wide,)), plan=True))
    assert shown.message.endswith(f"nothing is changed; {said}")
    done = bench.answer(bench.ask(Action.MODIFY, chain(3, loops=(wide,))))
    assert done.message.endswith(said)
    assert bench.last is not None
    assert f"revision 2 is in force; {said}" in [event.text for event in bench.last.changes.events]
    assert standing(bench) == (1, LoopState.OPEN)
