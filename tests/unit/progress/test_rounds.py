"""Rounds of a loop on the bench: asked when due, counted once, judged by the newest word, over every crash."""

import msgspec
import pytest
from kit.hooks import command
from kit.scores import Bench, chain, report, score, stage
from kit.tables import each
from looping import looped, standing, to_the_question

from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.progress.views.job import job_view, sheet_views
from marianned.progress.views.reasons import reasons
from marianned.protocol import HoldCause, JobStatus, LoopState, Outcome
from marianned.rows import AttemptRow
from marianned.score.expanded import LoopDefinition, StagePauses


def test_the_question_is_asked_when_all_sheets_are_done_and_nothing_behind_starts_before_its_answer():
    bench = to_the_question(looped())
    assert bench.flying == []
    assert bench.status is JobStatus.RUNNING
    assert bench.sheets == ["completed", "completed", "pending"]
    decision = bench.judged(True)
    assert [row.sheet for row in decision.starts] == [3]
    assert standing(bench) == (1, LoopState.CLOSED)


def test_a_no_begins_the_next_round_in_the_same_commit_with_fresh_tries():
    bench = looped()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.tick(7200)
    assert bench.sheet(1).tries == 1
    to_the_question(bench)
    decision = bench.judged(False)
    assert [row.sheet for row in decision.starts] == [1]
    assert standing(bench) == (2, LoopState.OPEN)
    assert [(row.tries, row.attempts) for row in (bench.sheet(1), bench.sheet(2))] == [(0, 3), (0, 1)]
    assert [row.round for row in bench.disk.of(AttemptRow)] == [1, 1, 1, 2]
    (event,) = [event for event in bench.disk.events if event.type == "loop.round"]
    assert event.text == "loop 1-2: round 2 of up to 3 begins"


def test_at_the_end_of_the_last_round_the_last_stage_has_failed_and_a_resume_plays_it_once_more():
    bench = looped(rounds=2)
    for _ in range(2):
        to_the_question(bench).judged(False)
    assert bench.status is JobStatus.FAILED
    assert bench.sheets == ["completed", "failed", "pending"]
    assert (bench.sheet(2).error_category, bench.sheet(2).error_message) == (
        "rounds",
        "its until does not hold after round 2",
    )
    assert why_again(bench, Action.RESUME) == "failed, runs again in round 2"
    assert why_again(bench, Action.RESUME_FROM, sheets="2", alone=True) == "failed, runs again in round 2"
    assert why_again(bench, Action.RESUME_FROM, sheets="1") == "failed, runs again in round 1"
    bench.ask(Action.RESUME)
    assert bench.flying == [2]
    to_the_question(bench).judged(True)
    assert bench.flying == [3]
    assert standing(bench) == (2, LoopState.CLOSED)


def why_again(bench: Bench, action: Action, **fields: object) -> str:
    """What the plan says of the last sheet of the loop."""
    return str(bench.answer(bench.ask(action, plan=True, **fields)).plan[1].why)


def test_on_exhausted_continue_goes_on():
    bench = looped(rounds=1, exhausted="continue")
    to_the_question(bench).judged(False)
    assert bench.flying == [3]
    assert standing(bench) == (1, LoopState.CLOSED)


def test_count_plays_exactly_so_many_rounds_whatever_they_bring():
    bench = looped(stages=2, until=None, rounds=3, exact=True)
    for number in (1, 2, 3):
        assert standing(bench)[0] == number
        to_the_question(bench).judged(True)
    assert bench.status is JobStatus.COMPLETED
    assert bench.sheet(1).attempts == 3


@each("category", ["exit", "validation", "no_result"])
def test_an_attempt_of_the_last_stage_that_ends_by_itself_ends_the_round(category):
    bench = looped(until=None)
    bench.end(1)
    checks = [report("failed")] if category == "validation" else []
    bench.end(2, Outcome.FAILED, category=category, exit_code=1, validations=checks)
    row = bench.sheet(2)
    assert (row.status, row.validation_passed, row.tries) == ("completed", False, 0)
    bench.judged()
    assert bench.status is JobStatus.RUNNING
    assert standing(bench)[0] == 1, "no answer: it is asked again"
    bench.judged(False)
    assert standing(bench)[0] == 2, "the default looks at exit codes and checks"


@each("outcome", [Outcome.LOST, Outcome.TIMED_OUT, Outcome.INTERRUPTED])
def test_what_does_not_end_by_itself_ends_no_round(outcome):
    bench = looped()
    bench.end(1)
    bench.end(2, outcome, category=None if outcome is Outcome.INTERRUPTED else str(outcome))
    assert not bench.state.loops.asking
    assert bench.sheet(2).status != "completed"


def test_a_fault_of_the_question_is_never_another_round():
    bench = to_the_question(looped())
    bench.judged(fault="there is no 7")
    assert bench.status is JobStatus.FAILED
    assert (bench.sheet(2).error_category, bench.sheet(2).error_message) == (
        "config",
        "until has no answer: there is no 7",
    )


def test_a_crash_while_it_is_asked_asks_again_and_counts_once():
    bench = to_the_question(looped())
    bench.crash()
    bench.judged(False)
    bench.crash()
    assert standing(bench)[0] == 2
    to_the_question(bench)
    assert [row.round for row in bench.disk.of(AttemptRow) if row.uid == 2] == [1, 2]


def test_a_pause_stands_between_rounds_and_what_a_person_mends_in_it_counts():
    bench = looped()
    bench.end(1)
    bench.ask(Action.PAUSE)
    bench.end(2)
    assert bench.status is JobStatus.PAUSED
    assert not bench.state.loops.asking
    bench.ask(Action.RESUME)
    assert bench.state.loops.asking
    assert bench.status is JobStatus.RUNNING


def test_a_pause_while_it_is_asked_is_pausing_and_its_answer_counts():
    bench = to_the_question(looped())
    bench.ask(Action.PAUSE)
    assert bench.status is JobStatus.PAUSING
    bench.judged(False)
    assert bench.status is JobStatus.PAUSED
    assert standing(bench)[0] == 2
    assert bench.sheets == ["pending", "pending", "pending"]


def test_an_answer_that_finds_a_new_revision_is_dropped_and_asked_again():
    bench = to_the_question(looped())
    loop = LoopDefinition(first=1, last=2, sheets=(1, 2), ends=(2,), until="loop.round > 1", rounds=3)
    bench.ask(Action.MODIFY_RESUME, chain(3, loops=(loop,)))
    bench.judged(True)
    assert standing(bench) == (1, LoopState.OPEN)
    assert bench.state.loops.asking
    bench.judged(False)
    assert standing(bench)[0] == 2


def test_rounds_stay_over_modifies_and_a_loop_that_is_taken_out_is_closed():
    bench = looped()
    with_loop = bench.state.score
    to_the_question(bench).judged(False)
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.MODIFY, chain(3))
    bench.ask(Action.MODIFY, with_loop)
    assert standing(bench) == (2, LoopState.OPEN)
    bench.ask(Action.MODIFY_RESUME, chain(3))
    bench.end(2)
    assert bench.flying == [3]


@each("sheets", ["1", "2"])
def test_rounds_of_a_loop_that_is_taken_out_count_from_one_when_its_sheets_run_again_meanwhile(sheets):
    bench = looped()
    with_loop = bench.state.score
    to_the_question(bench).judged(False)
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.MODIFY, chain(3), sheets=sheets)
    assert bench.sheets[1] == "pending"
    bench.crash()
    bench.ask(Action.MODIFY_RESUME, with_loop)
    assert standing(bench) == (1, LoopState.OPEN)


def test_a_loop_put_around_finished_sheets_is_closed_unless_a_rerun_names_one():
    bench = Bench(chain(3))
    bench.go()
    bench.end(1)
    bench.end(2)
    bench.ask(Action.PAUSE)
    loop = LoopDefinition(first=1, last=2, sheets=(1, 2), ends=(2,), until="x", rounds=3)
    bench.end(3, Outcome.INTERRUPTED)
    bench.ask(Action.MODIFY_RESUME, chain(3, loops=(loop,)))
    assert bench.flying == [3]
    assert standing(bench) == (1, LoopState.CLOSED)
    bench.end(3)
    bench.ask(Action.RESUME_FROM, sheets="2")
    assert standing(bench) == (1, LoopState.OPEN)
    assert bench.flying == [2]


def test_from_counts_from_round_one():
    bench = looped()
    to_the_question(bench).judged(False)
    bench.fail(1)
    bench.ask(Action.RESUME_FROM, sheets="1")
    assert standing(bench) == (1, LoopState.OPEN)
    to_the_question(bench).judged(False)
    assert standing(bench)[0] == 2


def test_a_breakpoint_in_the_span_stops_each_round_once():
    bench = looped()
    bench.ask(Action.BREAK, sheets="2")
    for number in (1, 2):
        assert standing(bench)[0] == number
        bench.end(1)
        assert bench.status is JobStatus.PAUSED
        bench.ask(Action.RESUME)
        assert bench.flying == [2]
        to_the_question(bench).judged(False)
    bench.end(1)
    bench.ask(Action.BREAK, clear=True)
    bench.ask(Action.RESUME)
    bench.end(2)
    bench.judged(True)
    assert not bench.state.passed


def test_a_sheet_outside_waits_for_the_end_of_the_loop_whichever_sheet_of_it_it_needs():
    loop = LoopDefinition(first=1, last=2, sheets=(1, 2), ends=(2,), until="x", rounds=2)
    bench = Bench(score(stage(), stage([1]), stage([1]), at_once=3, loops=(loop,)))
    bench.go()
    bench.end(1)
    assert bench.flying == [2]
    bench.end(2)
    bench.judged(False)
    bench.end(1)
    assert bench.flying == [2]
    bench.end(2)
    bench.judged(True)
    assert bench.flying == [3]


def test_a_failed_sheet_of_the_span_is_no_round_and_a_resume_goes_on_in_it():
    bench = looped()
    to_the_question(bench).judged(False)
    bench.fail(1)
    assert bench.status is JobStatus.FAILED
    bench.ask(Action.RESUME)
    assert (bench.flying, standing(bench)[0]) == ([1], 2)


def test_skip_of_all_of_the_last_stage_closes_the_loop():
    bench = looped(rounds=1)
    to_the_question(bench).judged(False)
    bench.ask(Action.RESUME_MARK, skip="2")
    assert standing(bench) == (1, LoopState.CLOSED)
    assert bench.flying == [3]


@each("fields", [{"until": None}, {"until": "it is so"}, {"until": None, "exact": True}])
def test_an_accepted_last_stage_closes_the_loop_and_no_until_is_asked(fields):
    bench = looped(**fields)
    bench.ask(Action.BREAK, sheets="2")
    bench.end(1)
    bench.ask(Action.RESUME_MARK, accept="2")
    assert standing(bench) == (1, LoopState.CLOSED)
    assert (bench.state.loops.asking, bench.flying) == ([], [3])
    bench.end(3)
    bench.ask(Action.RESUME_FROM, sheets="1")
    assert (bench.flying, standing(bench)) == ([1], (1, LoopState.OPEN)), "--from undoes it"
    to_the_question(bench)


def test_an_accepted_last_stage_closes_a_loop_whose_rounds_are_used_up():
    bench = looped(rounds=1)
    to_the_question(bench).judged(False)
    assert bench.status is JobStatus.FAILED
    bench.ask(Action.RESUME_MARK, accept="2")
    assert (bench.flying, standing(bench)) == ([3], (1, LoopState.CLOSED))


def test_a_word_or_a_way_back_that_is_refused_in_a_loop_names_its_stages():
    bench = looped(4, 2, 3)
    bench.end(1)
    with pytest.raises(WrongStatus, match=r"loop 2-3 \(stages 2, 3\) is in round 1 of up to 3$"):
        bench.ask(Action.RESUME_FROM, sheets="2")
    with pytest.raises(WrongStatus) as outside:
        bench.ask(Action.RESUME_FROM, sheets="1")
    assert "loop" not in outside.value.message
    bench.ask(Action.PAUSE)
    bench.end(2)
    assert bench.status is JobStatus.PAUSED
    with pytest.raises(
        WrongStatus, match=r"is completed; .*; loop 2-3 \(stages 2, 3\) is in round 1"
    ) as done:
        bench.ask(Action.RESUME_MARK, accept="2")
    assert done.value.hints == ["mzt resume release-notes --accept 3"]
    bench.ask(Action.RESUME)
    bench.ask(Action.PAUSE)
    bench.end(3)
    with pytest.raises(WrongStatus, match="is completed") as judged:
        bench.ask(Action.RESUME_MARK, accept="3")
    assert judged.value.hints == ["mzt modify release-notes -c FILE -r"]


def fanned_out(stop: str) -> Bench:
    """Sheet 1, sheets 2 and 3 that are the last stage of its loop, and sheet 4; held before one of them."""
    loop = LoopDefinition(first=1, last=2, sheets=(1, 2, 3), ends=(2, 3), until="it is so", rounds=3)
    stages = stage([]), stage([1], count=2), stage([2])
    bench = Bench(score(*stages, loops=(loop,)))
    bench.ask(Action.BREAK, sheets=stop)
    bench.go()
    bench.end(1)
    return bench


@each("word_first", [True, False])
def test_one_accepted_sheet_of_the_last_stage_closes_the_loop_when_the_others_are_done(word_first):
    bench = fanned_out("2-3" if word_first else "3")
    if word_first:
        bench.ask(Action.RESUME_MARK, accept="3")
        assert standing(bench) == (1, LoopState.OPEN)
    bench.end(2, Outcome.FAILED, category="exit", exit_code=1)
    if not word_first:
        bench.ask(Action.RESUME_MARK, accept="3")
    assert standing(bench) == (1, LoopState.CLOSED)
    assert bench.flying == [4]


def test_one_skipped_sheet_of_the_last_stage_leaves_the_question_to_the_others():
    bench = fanned_out("3")
    bench.end(2)
    bench.ask(Action.RESUME_MARK, skip="3")
    assert bench.state.loops.asking


def test_a_loop_with_nothing_behind_it_that_a_word_closes_late_ends_its_job():
    loop = LoopDefinition(first=1, last=1, sheets=(1, 2), ends=(1, 2), until="it is so", rounds=3)
    bench = Bench(score(stage([], count=2), loops=(loop,)))
    bench.ask(Action.BREAK, sheets="1-2")
    bench.go()
    bench.ask(Action.RESUME_MARK, accept="2")
    bench.end(1)
    assert bench.status is JobStatus.COMPLETED


def test_the_cost_of_a_loop_holds_the_job_when_a_round_is_due_and_over_budget_adds_to_it():
    bench = looped(cost_limit_usd=1.0)
    bench.end(1, cost_usd=0.6)
    bench.end(2, cost_usd=0.6)
    assert [(hold.cause, hold.reason) for hold in bench.state.holds.values()] == [
        (HoldCause.BUDGET, "loop 1-2 has cost $1.20 of $1.00")
    ]
    with pytest.raises(WrongStatus, match="loop 1-2 has cost"):
        bench.ask(Action.RESUME)
    bench.ask(Action.RESUME, over_budget=1.0)
    bench.judged(True)
    bench.end(3, cost_usd=5.0)
    assert bench.status is JobStatus.COMPLETED, "a closed loop has no limit"


def test_hooks_and_the_end_wait_for_the_answer():
    bench = looped(stages=2, hooks=(command("a"),))
    to_the_question(bench)
    assert bench.last is not None
    assert bench.last.hook is None
    assert bench.status is JobStatus.RUNNING
    decision = bench.judged(True)
    assert decision.hook is not None


def test_a_pause_after_a_stage_comes_once_in_the_run_and_is_before_the_question():
    bench = looped(triggers={2: StagePauses(pause_after=True)})
    bench.end(1)
    bench.end(2)
    assert bench.status is JobStatus.PAUSED
    bench.ask(Action.RESUME)
    bench.judged(False)
    bench.end(1)
    bench.end(2)
    assert bench.state.loops.asking


def test_the_answer_may_come_over_a_cancel_and_changes_nothing():
    bench = to_the_question(looped())
    bench.ask(Action.CANCEL)
    assert bench.status is JobStatus.CANCELLING
    bench.judged(False)
    assert bench.status is JobStatus.CANCELLED
    assert standing(bench)[0] == 1
    bench.ask(Action.RESUME)
    assert bench.state.loops.asking


def test_a_late_answer_is_ignored():
    bench = to_the_question(looped())
    (row,) = bench.state.loops.asking
    bench.judged(False)
    from marianned.progress.state.triggers import UntilJudged

    before = standing(bench)
    bench.step(UntilJudged(uid=row.uid, round=1, holds=False))
    assert standing(bench) == before


@each("action", [Action.PAUSE_NOW, Action.CANCEL])
def test_the_question_is_interrupted_like_all_that_is_in_flight_and_asked_again(action):
    bench = to_the_question(looped(stages=2, rounds=1))
    (asked,) = bench.state.loops.asking
    bench.ask(action)
    assert bench.last.interrupts == [asked]
    bench.judged()
    assert bench.status is {Action.PAUSE_NOW: JobStatus.PAUSED, Action.CANCEL: JobStatus.CANCELLED}[action]
    bench.ask(Action.RESUME)
    assert bench.state.loops.asking, "it is asked again"


def test_what_is_said_of_a_question_that_is_interrupted():
    bench = to_the_question(looped(stages=2))
    bench.ask(Action.PAUSE_NOW)
    view = job_view(bench.state, bench.now)
    assert view.next is not None
    assert view.next.text == "pauses when the judgement of loop 1-2, round 1 is interrupted"


def test_what_is_said_of_it():
    bench = to_the_question(looped())
    view = job_view(bench.state, bench.now)
    (known,) = view.progress.loops
    assert (known.span, known.round, known.up_to, known.state) == ("1-2", 1, 3, "open")
    assert view.next is not None
    assert view.next.text == "the judgement of loop 1-2, round 1 says whether another round follows"
    assert [flight.loop for flight in view.in_flight] == ["1-2"]
    assert not view.safe_to.switch_off
    said = [(reason.code, reason.text) for reason in reasons(bench.state, bench.now, None, {})]
    assert said == [
        ("in_flight", "the judgement of loop 1-2, round 1 is in flight"),
        ("kept_back", "sheet 3 waits for the end of loop 1-2, round 1"),
    ]
    kept = [one.kept_back_by for one in sheet_views(bench.state, [1, 2, 3])]
    assert kept == [None, None, "the end of loop 1-2, round 1"]
    bench.judged(True)
    assert sheet_views(bench.state, [3])[0].kept_back_by is None


def test_the_plan_says_in_which_round_a_changed_sheet_that_is_done_would_run():
    bench = looped()
    bench.end(1)
    other = [stage([number] if number else [], prompt="other") for number in range(3)]
    new = score(*other, loops=bench.state.score.loops)
    plan = bench.answer(bench.ask(Action.MODIFY, new, plan=True)).plan
    assert plan[0].why.endswith("completed, stays; runs again in round 2 if there is one")
    last = score(*other, loops=(msgspec.structs.replace(bench.state.score.loops[0], rounds=1),))
    plan = bench.answer(bench.ask(Action.MODIFY, last, plan=True)).plan
    assert plan[0].why.endswith("completed, stays")


def to_come(bench: Bench, action: Action, new=None, **fields) -> list[tuple[list[int], bool, str]]:
    """What a plan says of each sheet's rounds to come."""
    plan = bench.answer(bench.ask(action, new, plan=True, **fields)).plan
    return [(line.rounds, line.rounds_sure, line.why) for line in plan]


UNCHANGED = "definition unchanged"


@each("over", [False, True])
def test_the_plan_of_a_resume_says_what_runs_again_in_rounds_to_come(over):
    bench = looped()
    bench.ask(Action.PAUSE)
    bench.end(1)
    if over:
        bench.ask(Action.RESUME)
        bench.ask(Action.PAUSE)
        bench.end(2)
    again = ([2, 3], False, f"{UNCHANGED}; runs again in round 2 if there is one")
    rest = ([], False, UNCHANGED)
    assert to_come(bench, Action.RESUME) == [again, again if over else rest, rest]


def test_the_plan_says_which_rounds_a_raised_count_brings_surely():
    bench = looped(until=None, exact=True, rounds=2)
    to_the_question(bench).judged(True)
    bench.end(1)
    bench.ask(Action.PAUSE)
    bench.end(2)
    assert to_come(bench, Action.RESUME)[0] == ([], False, UNCHANGED)
    more = chain(3, loops=(msgspec.structs.replace(bench.state.score.loops[0], rounds=4),))
    assert (
        to_come(bench, Action.MODIFY, more)[:2]
        == [([3, 4], True, f"{UNCHANGED}; runs again in rounds 3-4")] * 2
    )


def test_the_plan_knows_the_sheets_of_a_wider_span_and_that_a_closed_loop_goes_on_no_more():
    bench = looped(first=2, last=3, stages=4)
    bench.end(1)
    to_the_question(bench)
    bench.judged(False)
    bench.ask(Action.PAUSE)
    bench.end(2)
    wide = msgspec.structs.replace(bench.state.score.loops[0], first=1, sheets=(1, 2, 3))
    again = ([3, 3], False, f"{UNCHANGED}; runs again in round 3 if there is one")
    assert to_come(bench, Action.MODIFY, chain(4, loops=(wide,)))[:2] == [again, again]
    assert [line[0] for line in to_come(bench, Action.RESUME_MARK, accept="3")] == [[]] * 4
    bench.ask(Action.RESUME_MARK, accept="3")
    bench.end(4)
    assert [line[0] for line in to_come(bench, Action.RESUME_FROM, sheets="3")] == [[], [2, 3], [], []]


def test_a_sheet_alone_plays_in_the_present_round_and_does_not_open_the_loop_again():
    bench = to_the_question(looped())
    bench.judged(False)
    bench.end(1)
    bench.ask(Action.PAUSE)
    bench.end(2)
    bench.ask(Action.RESUME_FROM, sheets="1", alone=True)
    assert (bench.flying, standing(bench)) == ([1], (2, LoopState.OPEN))
    to_the_question(bench)
    bench.judged(True)
    bench.end(3)
    assert bench.status is JobStatus.COMPLETED
    bench.ask(Action.RESUME_FROM, sheets="1", alone=True)
    assert (bench.flying, standing(bench)) == ([1], (2, LoopState.CLOSED))
    bench.end(1)
    assert (bench.status, bench.sheets) == (JobStatus.COMPLETED, ["completed"] * 3)


def test_what_was_taken_out_of_a_round_is_played_in_the_next_one_when_it_is_back():
    def played(*prompts: str):
        span = range(1, len(prompts))
        loop = LoopDefinition(
            first=1, last=span[-1], sheets=tuple(span), ends=(span[-1],), until="it is so", rounds=3
        )
        stages = (stage([place] if place else [], prompt=prompt) for place, prompt in enumerate(prompts))
        return score(*stages, loops=(loop,))

    whole = played("a", "b", "c", "l")
    bench = Bench(whole)
    bench.ask(Action.BREAK, sheets="3")
    bench.play()
    bench.ask(Action.MODIFY_RESUME, played("a", "c", "l"))
    bench.end(2)
    bench.judged(False)
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.MODIFY_RESUME, whole)
    assert bench.sheets == ["completed", "running", "pending", "pending"]


def of_instances(count: int):
    """A stage, a loop of its instances and a last stage, and one behind it."""
    span = tuple(range(2, count + 3))
    loop = LoopDefinition(first=2, last=3, sheets=span, ends=(span[-1],), until="it is so", rounds=3)
    stages = (stage(), stage([1], count=count, prompt="b"), stage([2], prompt="l"), stage([3], prompt="z"))
    return score(*stages, loops=(loop,))


def test_what_was_taken_out_of_the_beginning_of_a_round_is_played_in_the_next_one_too():
    whole = of_instances(2)
    bench = Bench(whole)
    bench.ask(Action.BREAK, sheets="4")
    assert bench.play() == [1, 2, 3]
    bench.ask(Action.MODIFY_RESUME, of_instances(1))
    bench.end(3)
    bench.judged(False)
    bench.ask(Action.PAUSE)
    bench.end(2)
    bench.crash()
    bench.ask(Action.MODIFY, whole)
    assert standing(bench) == (2, LoopState.OPEN)
    assert bench.sheets == ["completed", "completed", "pending", "pending", "pending"]


def test_what_was_taken_out_of_a_round_is_done_in_it_when_it_is_back():
    whole = of_instances(2)
    bench = Bench(whole)
    bench.ask(Action.BREAK, sheets="4")
    bench.play()
    bench.ask(Action.MODIFY, of_instances(1))
    bench.ask(Action.RESUME_FROM, sheets="2")
    bench.ask(Action.PAUSE)
    bench.end(2)
    bench.ask(Action.MODIFY, whole)
    assert bench.sheets == ["completed", "completed", "completed", "pending", "pending"]
