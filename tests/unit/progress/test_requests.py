"""What a request does: holds, revisions, resets, and what it leaves as it was."""

import pytest
from kit.invariants import snapshot
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import NameTaken, WrongStatus
from marianned.lifecycle import TABLE, Action, Guard, Refusal
from marianned.progress.deciding.decide import flights_to_terminate
from marianned.protocol import Caller, JobStatus, Outcome

BOB = Caller(uid=1001, pid=7, name="mzt 1.2.0")


def diamond(prompt: str = "same", **fields: object) -> Bench:
    return Bench(score(stage(), stage([1], count=2), stage([2], prompt=prompt), at_once=2, **fields))


def in_status(status: JobStatus) -> Bench:
    """A job of three sheets in a chain, in this status."""
    bench = Bench(chain(3))
    if status is JobStatus.QUEUED:
        return bench
    bench.go()
    match status:
        case JobStatus.PAUSING:
            bench.ask(Action.PAUSE)
        case JobStatus.PAUSED:
            bench.ask(Action.PAUSE)
            bench.end(1)
        case JobStatus.CANCELLING:
            bench.ask(Action.CANCEL)
        case JobStatus.COMPLETED:
            bench.play()
        case JobStatus.FAILED:
            bench.fail(1)
        case JobStatus.CANCELLED:
            bench.ask(Action.CANCEL)
            bench.end(1, Outcome.INTERRUPTED)
        case _:
            pass
    return bench


@each("action", Action)
@each("status", JobStatus)
def test_a_request_is_accepted_or_refused_as_the_table_says(action: Action, status: JobStatus) -> None:
    bench = in_status(status)
    assert bench.status is status
    before, rows = snapshot(bench.state), len(bench.disk.events)
    cell = TABLE[action, status]
    guards = () if isinstance(cell, Refusal) else cell.guards
    would_run = action in (Action.MODIFY, Action.MODIFY_RESUME)  # the new score has another sheet
    guarded = (
        Guard.HOLDS_END in guards
        or Guard.STAGED in guards
        or Guard.WAITS in guards
        or Guard.FAILING in guards
        or (Guard.WOULD_RUN in guards and not would_run)
    )
    new = chain(4) if action in (Action.MODIFY, Action.MODIFY_RESUME) else None
    if isinstance(cell, Refusal) or guarded:
        with pytest.raises(WrongStatus) as refused:
            bench.ask(action, new)
        assert refused.value.status == status
        assert "'release-notes'" in refused.value.message
        assert refused.value.hints
        assert (snapshot(bench.state), len(bench.disk.events)) == (before, rows)
    else:
        name = bench.ask(action, new)
        assert not bench.waits(name)
        assert len(bench.disk.events) > rows


def test_a_fresh_run_takes_the_place_of_a_paused_or_failed_one_only() -> None:
    for status in JobStatus:
        bench = in_status(status)
        if status in (JobStatus.PAUSED, JobStatus.FAILED):
            bench.give_up()
            assert bench.status is JobStatus.CANCELLED
        elif status in (JobStatus.COMPLETED, JobStatus.CANCELLED):
            before = snapshot(bench.state)
            bench.give_up()
            assert snapshot(bench.state) == before
        else:
            with pytest.raises(NameTaken) as refused:
                bench.give_up()
            assert refused.value.status == status


def test_a_pause_of_a_job_that_then_fails_and_is_to_pause_on_failure_starts_afresh_when_resumed() -> None:
    bench = Bench(chain(1, on_failure="pause"))
    bench.go()
    bench.ask(Action.PAUSE)
    bench.fail(1)
    assert [hold.cause for hold in bench.state.holds.values()] == ["user", "failure"]
    bench.ask(Action.RESUME)
    assert bench.flying == [1]


def test_the_plan_that_a_modify_of_a_failed_job_did_is_the_one_it_showed() -> None:
    bench = in_status(JobStatus.FAILED)
    new = chain(4)
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, new, plan=True))
    done = bench.answer(bench.ask(Action.MODIFY_RESUME, new))
    assert next((line.sheet, line.action, line.reasons) for line in shown.plan) == (1, "changed", ["failed"])
    assert done.plan == shown.plan


def test_a_resume_releases_all_holds_whoever_owns_them() -> None:
    bench = in_status(JobStatus.QUEUED)
    bench.ask(Action.PAUSE)
    bench.file("stop")
    assert len(bench.state.holds) == 2
    bench.ask(Action.RESUME, caller=BOB)
    assert bench.state.holds == {}
    assert bench.flying == [1]


def test_a_resume_while_something_is_in_flight_leaves_it_untouched() -> None:
    bench = in_status(JobStatus.PAUSING)
    answer = bench.answer(bench.ask(Action.RESUME))
    assert (answer.status, answer.acknowledged, bench.flying) == ("running", True, [1])
    assert bench.last is not None
    assert bench.last.interrupts == []


def test_a_resume_of_a_failed_job_runs_the_failed_sheets_afresh_and_no_completed_one() -> None:
    bench = Bench(score(stage(count=3), at_once=3))
    bench.go()
    bench.end(1)
    bench.fail(2)
    bench.end(3, Outcome.FAILED, category="exit")
    assert bench.status is JobStatus.FAILED
    bench.ask(Action.RESUME)
    assert bench.flying == [2, 3]
    assert [(bench.sheet(n).tries, bench.sheet(n).attempts) for n in (2, 3)] == [(0, 2), (1, 2)]
    assert bench.state.run.ended_at is None


def test_a_resume_of_a_cancelled_job_runs_what_was_cancelled() -> None:
    bench = in_status(JobStatus.CANCELLED)
    assert bench.sheets == ["cancelled"] * 3
    bench.ask(Action.RESUME)
    assert bench.play() == [1, 2, 3]
    assert bench.status is JobStatus.COMPLETED


def test_a_resume_of_a_user_pause_changes_no_sheet() -> None:
    bench = Bench(score(stage(count=2), stage([1]), fail_fast=False, on_failure="pause"))
    bench.go()
    bench.fail(1)
    bench.ask(Action.PAUSE)
    bench.end(2)
    assert [hold.cause for hold in bench.state.holds.values()] == ["user", "failure"]
    bench = Bench(score(stage(count=3), fail_fast=False))
    bench.go()
    bench.fail(1)
    bench.ask(Action.PAUSE)
    bench.end(2)
    rows = dict(bench.state.sheets)
    bench.slots = 0
    bench.ask(Action.RESUME)
    assert bench.state.sheets == rows


def test_a_job_that_is_to_pause_on_failure_is_held_and_starts_afresh_when_resumed() -> None:
    bench = Bench(score(stage(), stage([1]), stage(), fail_fast=False, on_failure="pause"))
    bench.go()
    bench.fail(1)
    bench.end(3)
    assert bench.status is JobStatus.PAUSED
    assert [(hold.cause, hold.owner) for hold in bench.state.holds.values()] == [("failure", None)]
    assert bench.sheets == ["failed", "pending", "completed"]
    bench.ask(Action.RESUME)
    assert bench.play() == [1, 2]
    assert bench.status is JobStatus.COMPLETED


def test_what_a_cancel_ends_is_cancelled_and_what_completed_meanwhile_stays() -> None:
    bench = diamond()
    bench.go()
    bench.end(1)
    bench.ask(Action.CANCEL)
    assert bench.last is not None
    assert [attempt.sheet for attempt in bench.last.interrupts] == [2, 3]
    bench.end(2)
    assert bench.status is JobStatus.CANCELLING
    bench.end(3, Outcome.INTERRUPTED)
    assert bench.sheets == ["completed", "completed", "cancelled", "cancelled"]
    assert bench.status is JobStatus.CANCELLED


def test_a_cancel_comes_before_a_completion_a_staged_revision_and_a_pause() -> None:
    bench = Bench(chain(1))
    bench.go()
    bench.ask(Action.PAUSE)
    bench.ask(Action.MODIFY, chain(2))
    bench.ask(Action.CANCEL)
    assert bench.state.staged is None
    bench.end(1)
    assert (bench.status, bench.sheets) == (JobStatus.CANCELLED, ["completed"])
    assert not bench.state.holds


def test_a_second_cancel_interrupts_nothing_twice() -> None:
    bench = in_status(JobStatus.CANCELLING)
    bench.ask(Action.CANCEL)
    assert bench.last is not None
    assert bench.last.interrupts == []


def test_a_cancel_in_force_is_finished_after_a_restart_of_the_daemon() -> None:
    bench = in_status(JobStatus.CANCELLING)
    bench.crash()
    assert [attempt.sheet for attempt in flights_to_terminate(bench.state, bench.now)] == [1]
    bench.end(1, Outcome.LOST)
    assert bench.status is JobStatus.CANCELLED
    assert flights_to_terminate(bench.state, bench.now) == []


def test_what_is_in_flight_past_a_deadline_is_ended_at_the_start_of_the_daemon() -> None:
    bench = in_status(JobStatus.RUNNING)
    bench.ask(Action.PAUSE, deadline=5_000)
    bench.crash()
    assert flights_to_terminate(bench.state, bench.now) == []
    bench.after(5)
    assert [attempt.sheet for attempt in flights_to_terminate(bench.state, bench.now)] == [1]


def test_a_pause_file_is_one_hold_of_the_file_with_its_reason() -> None:
    bench = in_status(JobStatus.RUNNING)
    bench.file("broken build")
    bench.file("broken build")
    assert [
        (hold.cause, hold.owner.name, hold.reason) for hold in bench.state.holds.values() if hold.owner
    ] == [("user", "file", "broken build")]
    assert bench.disk.events[-1].type == "job.pausing"


@each("status", [JobStatus.CANCELLING, JobStatus.COMPLETED, JobStatus.FAILED])
def test_a_pause_file_does_nothing_to_a_job_that_ends_or_has_ended(status: JobStatus) -> None:
    bench = in_status(status)
    assert not bench.file().changes


def test_a_hold_lasts_through_a_crash_of_the_daemon() -> None:
    bench = in_status(JobStatus.PAUSED)
    bench.crash()
    assert bench.go() == []
    assert bench.status is JobStatus.PAUSED


def test_a_resume_replaces_variables_and_keeps_the_others() -> None:
    bench = in_status(JobStatus.PAUSED)
    bench.ask(Action.RESUME, env={"KEY": "mended"})
    assert bench.state.run.env == {"KEY": "mended"}
    bench.ask(Action.PAUSE)
    bench.ask(Action.RESUME, env={"MORE": "1"})
    assert bench.state.run.env == {"KEY": "mended", "MORE": "1"}


def test_a_request_that_changes_the_status_is_the_line_of_that_change() -> None:
    bench = in_status(JobStatus.RUNNING)
    bench.ask(Action.PAUSE, reason="deploy first")
    first = bench.disk.events[-1]
    bench.ask(Action.PAUSE)
    second = bench.disk.events[-1]
    assert (first.type, first.status, first.cause, first.reason) == (
        "job.pausing",
        "pausing",
        "user",
        "deploy first",
    )
    assert (second.type, second.status) == ("hold.added", "pausing")


def test_the_status_is_since_when_it_changed() -> None:
    bench = in_status(JobStatus.RUNNING)
    bench.after(60).ask(Action.PAUSE)
    since = bench.now.at
    bench.after(60).ask(Action.PAUSE)
    assert bench.state.run.status_since == since
    assert bench.state.run.updated_at == bench.now.at
