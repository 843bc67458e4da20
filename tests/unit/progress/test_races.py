"""Races: requests against ends and each other, as the orders that triggers can come in; nobody is left waiting."""

from itertools import permutations

import pytest
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import MarianneError, WaitOverridden, WrongStatus
from marianned.lifecycle import TABLE, Action, Guard, Refusal
from marianned.protocol import ENDED, Caller, JobStatus, Outcome
from marianned.score.expanded import RetryPolicy

BOB = Caller(uid=1001, pid=7, name="mzt 1.2.0")


def flying(length: int = 2) -> Bench:
    bench = Bench(chain(length))
    bench.go()
    return bench


def nobody_waits(bench: Bench) -> None:
    assert not bench.state.requests


def told(bench: Bench, request: str) -> str:
    """How a waiting request was answered: the status it was told, or the code of what could not come."""
    answer = bench.answer(request)
    return answer.code if isinstance(answer, MarianneError) else str(answer.status)


def test_a_pause_in_the_last_sheet_can_no_longer_come_when_that_ends() -> None:
    for action in (Action.PAUSE, Action.PAUSE_NOW):
        bench = flying(1)
        waits = bench.ask(action, wait=True)
        bench.end(1)
        assert (bench.status, told(bench, waits)) == (JobStatus.COMPLETED, "E513")
        assert "there is nothing left to pause" in bench.answer(waits).message
        nobody_waits(bench)


def test_a_pause_after_the_last_sheet_is_refused() -> None:
    bench = flying(1)
    bench.end(1)
    with pytest.raises(WrongStatus):
        bench.ask(Action.PAUSE, wait=True)


def test_a_resume_while_pausing_takes_the_pause_back_and_both_are_answered_at_once() -> None:
    bench = flying()
    pause = bench.ask(Action.PAUSE, wait=True)
    resume = bench.ask(Action.RESUME, wait=True, caller=BOB)
    assert (told(bench, pause), told(bench, resume)) == ("E513", "running")
    assert "its pause was released" in bench.answer(pause).message
    nobody_waits(bench)


def test_a_resume_while_pausing_leaves_a_staged_revision_that_is_then_applied() -> None:
    bench = flying()
    modify = bench.ask(Action.MODIFY, chain(3), wait=True)
    resume = bench.ask(Action.RESUME, wait=True, caller=BOB)
    assert bench.waits(modify)
    assert bench.waits(resume)
    assert (bench.status, list(bench.state.holds)) == (JobStatus.PAUSING, [])
    bench.end(1)
    assert (told(bench, modify), told(bench, resume)) == ("running", "running")
    assert (bench.state.run.revision, bench.flying) == (2, [2])
    nobody_waits(bench)


def test_a_cancel_while_pausing_answers_everybody_and_the_last_when_it_is_cancelled() -> None:
    bench = flying()
    others = [
        bench.ask(Action.PAUSE, wait=True),
        bench.ask(Action.MODIFY, chain(3), wait=True),
        bench.ask(Action.PAUSE, wait=True, key="k"),
    ]
    cancel = bench.ask(Action.CANCEL, wait=True)
    assert [told(bench, other) for other in others] == ["E513"] * 3
    bench.end(1, Outcome.INTERRUPTED)
    assert told(bench, cancel) == "cancelled"
    nobody_waits(bench)


def test_of_two_modifies_the_later_is_in_force_and_the_earlier_is_told() -> None:
    bench = flying()
    first = bench.ask(Action.MODIFY_RESUME, chain(3), wait=True)
    second = bench.ask(Action.MODIFY_RESUME, chain(4), wait=True, caller=BOB)
    assert told(bench, first) == "E513"
    assert "revision 2 was dropped" in bench.answer(first).message
    bench.end(1)
    assert told(bench, second) == "running"
    assert (bench.state.run.revision, len(bench.sheets)) == (3, 4)
    nobody_waits(bench)


def test_of_two_modifies_that_expect_the_same_revision_the_later_is_refused() -> None:
    bench = flying()
    bench.ask(Action.MODIFY, chain(3), expect=1)
    with pytest.raises(WrongStatus):
        bench.ask(Action.MODIFY, chain(4), expect=1)
    assert bench.state.newest.row.revision == 2


def test_a_modify_before_the_last_end_runs_what_it_adds_and_so_does_one_after_it() -> None:
    bench = flying(1)
    waits = bench.ask(Action.MODIFY_RESUME, chain(3), wait=True)
    bench.end(1)
    assert (told(bench, waits), bench.play()) == ("running", [2, 3])
    bench = flying(1)
    bench.end(1)
    waits = bench.ask(Action.MODIFY_RESUME, chain(3), wait=True)
    assert (told(bench, waits), bench.play()) == ("running", [2, 3])


def test_what_ended_by_itself_before_it_was_interrupted_counts_as_it_ended() -> None:
    bench = flying()
    waits = bench.ask(Action.PAUSE_NOW, wait=True)
    bench.end(1)
    assert (told(bench, waits), bench.sheets) == ("paused", ["completed", "pending"])
    bench.ask(Action.RESUME)
    assert bench.flying == [2]


def test_a_resume_while_it_is_interrupted_lets_what_was_sent_term_start_again_at_once() -> None:
    bench = flying()
    pause = bench.ask(Action.PAUSE_NOW, wait=True)
    bench.ask(Action.RESUME)
    assert told(bench, pause) == "E513"
    bench.end(1, Outcome.INTERRUPTED)
    assert (bench.flying, bench.sheet(1).tries, bench.sheet(1).attempts) == ([1], 0, 2)


def test_a_rerun_that_is_taken_back_can_no_longer_come() -> None:
    bench = flying(3)
    bench.end(1)
    waits = bench.ask(Action.MODIFY_RESUME, sheets="1", wait=True)
    assert bench.waits(waits)
    bench.ask(Action.DISCARD)
    assert told(bench, waits) == "E513"


def test_a_rerun_that_a_newer_modify_replaces_can_no_longer_come() -> None:
    bench = flying(3)
    bench.end(1)
    waits = bench.ask(Action.MODIFY_RESUME, sheets="1", wait=True)
    bench.ask(Action.MODIFY_RESUME, chain(4), caller=BOB)
    assert told(bench, waits) == "E513"


@each("order", list(permutations((Action.PAUSE, Action.MODIFY_RESUME, Action.RESUME))))
def test_waiters_with_contrary_goals_are_all_answered_in_every_order(order: tuple[Action, ...]) -> None:
    bench = flying(3)
    asked: dict[Action, str] = {}
    for action in order:
        try:
            new = chain(4) if action is Action.MODIFY_RESUME else None
            asked[action] = bench.ask(action, new, wait=True, key=f"key of {action}")
        except WrongStatus:
            assert (action, order[0]) == (Action.RESUME, Action.RESUME)
    bench.crash()
    bench.end(1)
    for action, request in asked.items():
        answer = bench.answer(request)
        if action is Action.PAUSE and isinstance(answer, WaitOverridden):
            assert "released" in answer.message
    nobody_waits(bench)
    bench.ask(Action.CANCEL)
    while bench.flying:
        bench.end(bench.flying[0], Outcome.INTERRUPTED)
    nobody_waits(bench)


WAITING = (
    Action.PAUSE,
    Action.PAUSE_NOW,
    Action.BREAK,
    Action.RESUME,
    Action.MODIFY,
    Action.MODIFY_RESUME,
    Action.DISCARD,
    Action.CANCEL,
)


@each("second", WAITING)
@each("first", WAITING)
@each("ending", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INTERRUPTED, Outcome.LOST])
def test_no_two_requests_and_no_end_leave_anybody_without_an_answer(
    first: Action, second: Action, ending: Outcome
) -> None:
    bench = flying(2)
    asked = []
    for number, action in enumerate((first, second)):
        sheets = "2" if action is Action.BREAK else None
        new = chain(3 + number) if action in (Action.MODIFY, Action.MODIFY_RESUME) else None
        try:
            asked.append(bench.after(1).ask(action, new, wait=True, key=f"{number}", sheets=sheets))
        except WrongStatus:
            cell = TABLE[action, bench.status]
            assert isinstance(cell, Refusal) or cell.guards
    bench.end(1, ending, category="config" if ending is Outcome.FAILED else None)
    while bench.status not in ENDED:
        if bench.flying:
            bench.end(bench.flying[0])
        else:
            assert bench.status is JobStatus.PAUSED
            assert all(bench.state.requests[request].key for request in bench.state.requests)
            bench.ask(Action.RESUME)
    assert all(request in bench.answers for request in asked)
    nobody_waits(bench)


# --- every request in every situation --------------------------------------------------------------------------

SITUATIONS = ("running", "parallel", "retry", "breakpoint", "held until", "none")


def situation(name: str) -> Bench:
    """A job in which this is so; `none`: nothing has begun."""
    bench = Bench(
        score(
            stage(count=2),
            stage([1]),
            at_once=2 if name == "parallel" else 1,
            retry=RetryPolicy(jitter=False),
        )
    )
    match name:
        case "running" | "parallel":
            bench.go()
        case "retry":
            bench.go(1)
            bench.slots = 0
            bench.end(1, Outcome.FAILED, category="exit")
        case "breakpoint":
            bench.ask(Action.BREAK, sheets="1-3")
            bench.go()
        case "held until":
            bench.ask(Action.PAUSE, lasts=60_000)
        case _:
            bench.slots = 0
    return bench


EVENTS = {
    Action.PAUSE: {"hold.added", "job.paused", "job.pausing"},
    Action.PAUSE_NOW: {"hold.added", "job.paused", "job.pausing"},
    Action.BREAK: {"breakpoint.set", "job.paused"},
    Action.RESUME: {"hold.released", "job.running", "job.queued"},
    Action.RESUME_FROM: {"hold.released", "job.running", "job.queued"},
    Action.RESUME_MARK: {"hold.released", "job.running", "job.queued"},
    Action.MODIFY: {"revision.staged", "job.paused", "job.pausing"},
    Action.MODIFY_RESUME: {"revision.staged", "job.running", "job.queued", "job.pausing"},
    Action.CANCEL: {"cancel.asked", "job.cancelled", "job.cancelling"},
    Action.RETRY: {"sheets.tried"},
}
"""The types that the line of each request may have: its own, or that of the change of status it brings."""


@each("action", Action)
@each("name", SITUATIONS)
def test_each_request_in_each_situation_does_its_cell_and_writes_one_line(name: str, action: Action) -> None:
    bench = situation(name)
    before, lines = bench.status, len(bench.disk.events)
    holds, was_flying = set(bench.state.holds), bench.flying
    cell = TABLE[action, before]
    ends = all(hold.ends or hold.lasts for hold in bench.state.holds.values())
    refused = isinstance(cell, Refusal) or (
        (Guard.HOLDS_END in cell.guards and not ends)
        or Guard.STAGED in cell.guards
        or (Guard.WAITS in cell.guards and name != "retry")
    )
    new = chain(4) if action in (Action.MODIFY, Action.MODIFY_RESUME) else None
    sheets = {Action.BREAK: "3", Action.RESUME_FROM: "1"}.get(action)
    accept = "3" if action is Action.RESUME_MARK else None
    if refused:
        with pytest.raises(WrongStatus):
            bench.ask(action, new, sheets=sheets, accept=accept)
        assert len(bench.disk.events) == lines
        return
    bench.ask(action, new, sheets=sheets, accept=accept)
    asked = [event for event in bench.disk.events[lines:] if event.caller is not None]
    assert len(asked) == 1
    assert asked[0].type in EVENTS[action]
    if action in (Action.PAUSE, Action.PAUSE_NOW, Action.MODIFY):
        new_holds = [hold for number, hold in bench.state.holds.items() if number not in holds]
        assert [hold.owner.name for hold in new_holds if hold.owner] == ["mzt 1.2.0"]
        assert bench.status is (JobStatus.PAUSING if was_flying else JobStatus.PAUSED)
    if action in (Action.RESUME, Action.RESUME_FROM, Action.RESUME_MARK):
        assert not holds & set(bench.state.holds)
    if action in (Action.MODIFY, Action.MODIFY_RESUME):
        assert (bench.state.staged is not None) is bool(was_flying)
    if action is Action.CANCEL:
        assert bench.status is (JobStatus.CANCELLING if was_flying else JobStatus.CANCELLED)
    assert bench.last is not None
    told_to_end = {Action.PAUSE_NOW, Action.CANCEL}
    assert sorted(row.sheet for row in bench.last.interrupts) == (was_flying if action in told_to_end else [])
