"""Skip rules on the bench: asked once, in flight meanwhile, and durable."""

from kit.scores import Bench, chain, score, stage

from marianned.lifecycle import Action
from marianned.progress.deciding.skipping import seen_sheets
from marianned.progress.state.triggers import SkipEvaluated, SkipWarned
from marianned.protocol import JobStatus, Outcome
from marianned.rows import AttemptRow, SkipRow
from marianned.score.expanded import SkipRules

RULE = SkipRules(command="true", description="there already")


def ruled(**fields):
    """Three sheets in a row, of which the second has a skip rule."""
    return score(stage(), stage([1], skip=RULE, **fields), stage([2]))


def at_the_rule(**fields) -> Bench:
    """A bench whose second sheet is being asked."""
    bench = Bench(ruled(**fields))
    bench.go()
    bench.end(1)
    assert bench.flying == [2]
    return bench


def asked_now(bench: Bench) -> list[int]:
    """The sheets whose rules are being asked."""
    return [asked.sheet for asked in bench.state.skips.values()]


def judge(bench: Bench, skip: bool | None, **fields):
    (asked,) = bench.state.skips.values()
    return bench.step(SkipEvaluated(uid=asked.uid, skip=skip, **fields))


def test_a_rule_is_in_flight_and_takes_a_slot_but_is_no_attempt():
    bench = at_the_rule()
    assert not bench.state.attempts
    assert asked_now(bench) == [2]
    assert bench.sheets == ["completed", "running", "pending"]
    assert bench.sheet(2).attempts == 0
    assert bench.state.facts.in_flight


def test_an_asking_has_a_row_of_its_own_which_goes_with_the_answer():
    bench = at_the_rule()
    assert [row.sheet for row in bench.disk.of(SkipRow)] == [2]
    judge(bench, False)
    assert bench.disk.of(SkipRow) == []
    assert all(row.attempt > 0 for row in bench.disk.of(AttemptRow))


def test_what_hinders_the_question_is_noted():
    bench = at_the_rule()
    (asked,) = bench.state.skips.values()
    decision = bench.step(SkipWarned(uid=asked.uid, texts=["it was killed"]))
    assert [(event.type, event.sheet, event.attempt) for event in decision.changes.events] == [
        ("skip.lost", 2, None)
    ]
    judge(bench, False)
    assert bench.step(SkipWarned(uid=asked.uid, texts=["too late"])).changes.events == []


def test_a_skipped_sheet_satisfies_those_that_need_it():
    bench = at_the_rule()
    decision = judge(bench, True, reason="there already")
    assert [attempt.sheet for attempt in decision.starts] == [3]
    assert bench.sheets == ["completed", "skipped", "running"]
    assert bench.sheet(2).skip_reason == "there already"
    event = next(event for event in decision.changes.events if event.type == "sheet.skipped")
    assert (event.reason, event.sheet) == ("there already", 2)
    bench.end(3)
    assert bench.status == JobStatus.COMPLETED
    assert [row.attempt for row in bench.disk.of(AttemptRow)] == [1, 1]


def test_a_no_gives_the_sheet_its_first_attempt_at_once_and_is_not_asked_again():
    bench = at_the_rule()
    decision = judge(bench, False)
    assert [(attempt.sheet, attempt.attempt, attempt.kind) for attempt in decision.starts] == [
        (2, 1, "first")
    ]
    bench.end(2, Outcome.LOST)
    assert [(a.kind, a.attempt) for a in bench.state.attempts.values()] == [("first", 2)]


def test_a_rule_without_an_answer_is_an_event_and_the_sheet_runs():
    decision = judge(at_the_rule(), False, fault="there is no 9")
    assert next(event.type for event in decision.changes.events) == "skip.failed"
    assert [attempt.sheet for attempt in decision.starts] == [2]


def test_a_pause_waits_for_the_answer_and_keeps_it():
    bench = at_the_rule()
    bench.ask(Action.PAUSE)
    assert bench.status == JobStatus.PAUSING
    judge(bench, False)
    assert (bench.status, bench.sheets[1]) == (JobStatus.PAUSED, "pending")
    bench.crash()
    bench.ask(Action.RESUME)
    assert [(a.sheet, a.kind) for a in bench.state.attempts.values()] == [(2, "first")]


def test_a_pause_now_interrupts_it_and_it_is_asked_again_after_the_resume():
    bench = at_the_rule()
    bench.ask(Action.PAUSE_NOW)
    assert bench.last.interrupts == list(bench.state.skips.values())
    judge(bench, None)
    assert (bench.status, bench.sheets[1]) == (JobStatus.PAUSED, "pending")
    bench.ask(Action.RESUME)
    assert asked_now(bench) == [2]


def test_a_cancel_ends_it():
    bench = at_the_rule()
    bench.ask(Action.CANCEL)
    assert bench.status == JobStatus.CANCELLING
    judge(bench, None)
    assert (bench.status, bench.sheets) == (JobStatus.CANCELLED, ["completed", "cancelled", "cancelled"])


def test_a_crash_in_its_middle_leaves_it_in_flight():
    bench = at_the_rule()
    bench.crash()
    assert asked_now(bench) == [2]
    judge(bench, True, reason="r")
    assert bench.sheets == ["completed", "skipped", "running"]


def test_what_runs_again_is_asked_again():
    bench = at_the_rule()
    judge(bench, True, reason="r")
    bench.end(3)
    bench.ask(Action.RESUME_FROM, sheets="2")
    assert asked_now(bench) == [2]
    assert bench.sheet(2).skip_reason is None


def test_another_rule_is_asked_anew_and_an_equal_one_is_not():
    bench = at_the_rule()
    bench.ask(Action.PAUSE)
    judge(bench, False)
    bench.ask(Action.MODIFY_RESUME, ruled(digests={"prompt": "same", "validations": "same", "skip": "other"}))
    assert asked_now(bench) == [2]
    bench = at_the_rule()
    bench.ask(Action.PAUSE)
    judge(bench, False)
    bench.ask(Action.MODIFY_RESUME, score(stage(), stage([1], skip=RULE), stage([2], prompt="other")))
    assert [a.kind for a in bench.state.attempts.values()] == ["first"]


def test_a_late_answer_changes_nothing():
    bench = at_the_rule()
    uid = bench.sheet(2).uid
    judge(bench, False)
    bench.step(SkipEvaluated(uid=uid, skip=True, reason="late"))
    assert bench.sheets[1] == "running"


def test_an_expression_sees_how_other_sheets_ended():
    bench = Bench(chain(3, fail_fast=False))
    bench.go()
    bench.end(1, exit_code=0, validations=[])
    bench.end(2, Outcome.FAILED, category="config", message="no such file", exit_code=4)
    seen = seen_sheets(bench.state, "sheets[2].attempts")
    assert list(seen) == [2]
    assert (seen[2].status, seen[2].exit_code, seen[2].attempts) == ("failed", 4, 1)
    assert seen[2].error == "no such file"
    assert seen_sheets(bench.state, "sheets[stage]")[1].exit_code == 0


def test_a_sheet_whose_rules_can_not_be_asked_at_all_fails():
    bench = at_the_rule()
    judge(bench, False, unasked="the workspace is gone")
    assert bench.sheets == ["completed", "failed", "pending"]
    assert (bench.sheet(2).error_category, bench.sheet(2).error_message) == (
        "config",
        "the workspace is gone",
    )
    assert (bench.status, bench.sheet(2).attempts) == (JobStatus.FAILED, 0)
