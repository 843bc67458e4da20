"""A person's word about sheets: what it makes of them, what it is refused for, what undoes it."""

import pytest
from kit.scores import ANN, Bench, chain, report, score, stage
from kit.tables import each

from marianned.errors import BadRequest, WrongStatus
from marianned.lifecycle import Action
from marianned.progress.deciding.skipping import seen_sheets
from marianned.progress.views.job import job_view, sheet_views
from marianned.protocol import JobStatus, Outcome, PlanAction
from marianned.score.expanded import CostLimits


def failed(**fields) -> Bench:
    """Three sheets in a row, of which the second has failed."""
    bench = Bench(chain(3, **fields))
    bench.go()
    bench.end(1)
    bench.fail(2)
    return bench


def test_an_accepted_sheet_is_completed_its_checks_passed_and_says_by_whom_and_why():
    bench = failed()
    bench.ask(Action.RESUME_MARK, accept="2", reason="looked at it")
    assert bench.sheets == ["completed", "completed", "running"]
    row = bench.sheet(2)
    assert (row.validation_passed, row.error_message, row.attempts) == (True, None, 1)
    view = sheet_views(bench.state, [2])[0]
    assert view.accepted is not None
    assert (view.accepted.owner, view.accepted.reason, view.skipped_by) == (ANN, "looked at it", None)
    seen = seen_sheets(bench.state, "sheets[2].validation_passed")[2]
    assert (seen.status, seen.validation_passed, seen.error) == ("completed", True, None)
    (event,) = [event for event in bench.disk.events if event.type == "sheet.accepted"]
    assert (event.sheet, event.text) == (2, "sheet 2: accepted as it is, as was asked: looked at it")
    assert (event.caller, event.reason) == (None, "asked")
    (asked,) = [event for event in bench.disk.events if event.caller is not None][-1:]
    assert (asked.type, asked.caller, asked.reason) == ("job.running", ANN, "looked at it")


def test_a_skipped_sheet_says_by_whom_and_satisfies_those_that_need_it():
    bench = failed()
    bench.ask(Action.RESUME_MARK, skip="2")
    assert bench.sheets == ["completed", "skipped", "running"]
    view = sheet_views(bench.state, [2])[0]
    assert (view.skip_reason, view.accepted) == ("asked", None)
    assert view.skipped_by is not None
    assert view.skipped_by.owner == ANN
    bench.end(3)
    assert bench.status is JobStatus.COMPLETED


def test_the_last_sheet_that_is_accepted_ends_the_job_in_the_reply():
    bench = failed()
    answer = bench.answer(bench.ask(Action.RESUME_MARK, accept="2", skip="3", wait=True))
    assert (answer.status, answer.acknowledged) == ("completed", True)


def test_other_sheets_that_have_failed_begin_anew_as_with_a_resume():
    bench = Bench(score(stage(), stage(), stage([1, 2]), at_once=2, fail_fast=False))
    bench.go()
    bench.fail(1)
    bench.fail(2)
    bench.ask(Action.RESUME_MARK, accept="1")
    assert bench.sheets == ["completed", "running", "pending"]


@each(("sheets", "said"), [("1", "is completed"), ("2", "is running")])
def test_a_sheet_in_flight_or_done_takes_no_word(sheets, said):
    bench = Bench(chain(3))
    bench.go()
    bench.end(1)
    bench.ask(Action.PAUSE)
    for word in ({"skip": sheets}, {"accept": sheets}):
        with pytest.raises(WrongStatus, match=said):
            bench.ask(Action.RESUME_MARK, **word)
    assert bench.status is JobStatus.PAUSING


def test_a_sheet_is_either_skipped_or_accepted():
    bench = failed()
    with pytest.raises(BadRequest, match="sheets 2, 3: either"):
        bench.ask(Action.RESUME_MARK, skip="2-3", accept="2,3")


def test_the_word_is_kept_over_a_modify_and_undone_by_a_rerun():
    bench = failed()
    bench.ask(Action.RESUME_MARK, accept="2")
    bench.fail(3)
    bench.ask(Action.MODIFY, score(stage(), stage([1], prompt="new"), stage([2])))
    assert bench.sheet(2).word is not None
    assert bench.sheet(2).status == "completed"
    bench.ask(Action.RESUME_FROM, sheets="2")
    assert bench.sheet(2).word is None
    assert bench.sheet(2).status == "running"


def test_an_attempt_whose_checks_were_to_run_again_is_given_up_and_a_breakpoint_goes():
    bench = Bench(chain(3))
    bench.go()
    bench.ask(Action.PAUSE)
    bench.park(1)
    bench.ask(Action.BREAK, sheets="2")
    bench.ask(Action.RESUME_MARK, accept="1-2")
    assert not bench.state.parked
    assert not bench.state.breakpoints
    assert bench.sheets == ["completed", "completed", "running"]


def test_a_plan_says_what_is_accepted_and_changes_nothing():
    bench = failed()
    answer = bench.answer(bench.ask(Action.RESUME_MARK, accept="2", skip="3", plan=True))
    assert [(line.action, line.runs, line.why) for line in answer.plan[1:]] == [
        (PlanAction.KEPT, False, "accepted, as was asked"),
        (PlanAction.KEPT, False, "skipped, as was asked"),
    ]
    assert [line.status for line in answer.plan] == bench.sheets, "what they are now"
    assert answer.hints == ["mzt resume release-notes --skip 3 --accept 2"]
    assert bench.sheets == ["completed", "failed", "pending"]


def test_a_cost_limit_that_would_hold_it_at_once_refuses_it_unless_nothing_is_left():
    bench = failed(cost_limits=CostLimits(max_cost_per_job=1.0))
    bench.ask(Action.RESUME)
    bench.end(2, Outcome.FAILED, category="config", cost_usd=5.0)
    with pytest.raises(WrongStatus, match="cost limit"):
        bench.ask(Action.RESUME_MARK, accept="2")
    bench.ask(Action.RESUME_MARK, accept="2-3")
    assert bench.status is JobStatus.COMPLETED


def test_its_checks_count_as_passed_though_they_have_failed():
    bench = Bench(chain(2))
    bench.go()
    for _ in range(20):
        if not bench.flying:
            bench.tick(7200)
        if bench.status is JobStatus.FAILED:
            break
        bench.end(1, Outcome.FAILED, category="validation", validations=[report("failed")])
    assert bench.sheet(1).validation_passed is False
    bench.ask(Action.RESUME_MARK, accept="1")
    assert bench.sheet(1).validation_passed is True


@each("said", ["accept", "skip"])
def test_a_resume_that_comes_to_a_breakpoint_names_it_also_to_who_waits(said: str) -> None:
    for wait in (False, True):
        bench = failed()
        bench.ask(Action.BREAK, sheets="3")
        answer = bench.answer(bench.ask(Action.RESUME_MARK, wait=wait, **{said: "2"}))
        assert bench.status is JobStatus.PAUSED
        assert answer.message == (
            "'release-notes' is paused: it is held at a breakpoint: before sheet 3"
            if wait
            else "release-notes: paused; held at a breakpoint: before sheet 3"
        )


def test_what_stands_behind_a_breakpoint_is_not_said_to_start_next_though_what_it_needs_was_skipped():
    bench = Bench(score(stage(), stage([1]), stage([2]), stage([1, 3])))
    bench.go()
    bench.ask(Action.BREAK, sheets="2")
    bench.ask(Action.PAUSE_NOW)
    bench.end(1, Outcome.INTERRUPTED)
    bench.ask(Action.RESUME_MARK, skip="3")
    assert bench.flying == [1]
    view = job_view(bench.state, bench.now)
    assert view.next is not None
    assert view.next.text == "sheet 1 ends"
    bench.end(1)
    assert (bench.status, bench.sheets[3]) == (JobStatus.PAUSED, "pending")
