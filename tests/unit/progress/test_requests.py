"""What a request does: holds, revisions, resets, and what it leaves as it was."""

import pytest
from scores_for_tests import Bench, chain, score, snapshot, stage

from marianned.errors import NameTaken, WrongStatus
from marianned.lifecycle import TABLE, Action, Refusal
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


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("status", JobStatus)
def test_a_request_is_accepted_or_refused_as_the_table_says(action: Action, status: JobStatus) -> None:
    bench = in_status(status)
    assert bench.status is status
    before, rows = snapshot(bench.state), len(bench.disk.events)
    cell = TABLE[action, status]
    guarded = not isinstance(cell, Refusal) and cell.guard is not None
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
