"""Waiting requests: the first commit that reaches a goal or takes it back answers, and says who."""

import msgspec
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import WaitOverridden
from marianned.lifecycle import Action
from marianned.protocol import Caller, JobStatus, Modified, Outcome, Paused, Resumed

BOB = Caller(uid=1001, pid=7, name="mzt 1.2.0")
BY_BOB = "by mzt 1.2.0 (uid 1001)"


def running(length: int = 3) -> Bench:
    bench = Bench(chain(length))
    bench.go()
    return bench


def cannot_come(bench: Bench, request: str, said: str) -> None:
    answer = bench.answer(request)
    assert isinstance(answer, WaitOverridden), answer
    assert answer.message == f"'release-notes' {said}"
    assert answer.status == bench.status
    assert answer.hints


def test_a_pause_is_answered_by_the_commit_in_which_the_job_is_paused() -> None:
    bench = running()
    waiting = bench.ask(Action.PAUSE, wait=True)
    at_once = bench.ask(Action.PAUSE)
    assert bench.waits(waiting)
    assert bench.answer(at_once).acknowledged is False
    bench.end(1)
    answer = bench.answer(waiting)
    assert isinstance(answer, Paused)
    assert (answer.acknowledged, answer.status) == (True, "paused")
    assert answer.message == "release-notes: paused; 1 of 3 sheets done"


def test_a_pause_with_nothing_in_flight_is_paused_in_its_own_reply() -> None:
    bench = Bench(chain(2))
    assert bench.answer(bench.ask(Action.PAUSE, wait=True)).status == "paused"


def test_paused_and_resumed_at_once_is_a_pause_that_happened() -> None:
    bench = running()
    pause = bench.ask(Action.PAUSE, wait=True)
    bench.end(1)
    bench.ask(Action.RESUME)
    assert bench.answer(pause).acknowledged


def test_a_pause_that_somebody_releases_can_no_longer_come() -> None:
    bench = running()
    pause = bench.ask(Action.PAUSE, wait=True)
    bench.ask(Action.RESUME, caller=BOB)
    cannot_come(bench, pause, f"is running: its pause was released {BY_BOB}")


def test_two_waiters_with_contrary_goals_are_both_answered_by_one_commit() -> None:
    bench = running()
    pause = bench.ask(Action.PAUSE, wait=True)
    resume = bench.ask(Action.RESUME, wait=True, caller=BOB)
    cannot_come(bench, pause, f"is running: its pause was released {BY_BOB}")
    assert bench.answer(resume).acknowledged


def test_another_resume_and_a_new_pause_do_not_answer_a_pause_that_still_stands() -> None:
    bench = running()
    first = bench.ask(Action.PAUSE, wait=True)
    second = bench.ask(Action.PAUSE, wait=True, caller=BOB)
    assert bench.waits(first)
    assert bench.waits(second)
    bench.end(1)
    assert bench.answer(first).acknowledged
    assert bench.answer(second).acknowledged


def test_a_pause_is_overtaken_by_the_end_of_the_job() -> None:
    bench = running(1)
    pause = bench.ask(Action.PAUSE, wait=True)
    bench.end(1)
    assert bench.status is JobStatus.COMPLETED
    cannot_come(bench, pause, "has completed; there is nothing left to pause")


def test_a_pause_is_overtaken_by_a_failure() -> None:
    bench = running()
    pause = bench.ask(Action.PAUSE, wait=True)
    bench.fail(1)
    cannot_come(bench, pause, "has failed; there is nothing left to pause")


def test_a_cancel_answers_everybody_at_once_but_other_cancels() -> None:
    bench = running()
    revised = bench.ask(Action.MODIFY_RESUME, chain(5), wait=True)
    cancel = bench.ask(Action.CANCEL, wait=True, caller=BOB)
    joined = bench.ask(Action.CANCEL, wait=True)
    cannot_come(bench, revised, f"is being cancelled {BY_BOB}; it does not go on under its revision")
    assert bench.waits(cancel)
    assert bench.waits(joined)
    bench.end(1, Outcome.INTERRUPTED)
    assert bench.answer(cancel).status == "cancelled"
    assert bench.answer(joined).acknowledged


def test_a_cancel_of_a_pausing_job_tells_the_pause_who_cancelled() -> None:
    bench = running()
    pause = bench.ask(Action.PAUSE, wait=True)
    bench.ask(Action.CANCEL, caller=BOB)
    cannot_come(bench, pause, f"is being cancelled {BY_BOB}; there is nothing left to pause")


def test_a_cancel_with_nothing_in_flight_is_done_in_its_own_reply() -> None:
    bench = Bench(chain(2))
    answer = bench.answer(bench.ask(Action.CANCEL, wait=True))
    assert (answer.acknowledged, answer.status, answer.message) == (
        True,
        "cancelled",
        "release-notes: cancelled; 0 of 2 sheets done",
    )


def test_a_resume_waits_for_a_slot() -> None:
    bench = Bench(chain(2))
    bench.ask(Action.PAUSE)
    bench.slots = 0
    resume = bench.ask(Action.RESUME, wait=True)
    assert bench.status is JobStatus.QUEUED
    assert bench.waits(resume)
    bench.go(slots=1)
    answer = bench.answer(resume)
    assert isinstance(answer, Resumed)
    assert answer.acknowledged


def test_a_resume_that_is_held_again_can_no_longer_come() -> None:
    bench = Bench(chain(2), slots=0)
    bench.ask(Action.PAUSE)
    resume = bench.ask(Action.RESUME, wait=True)
    bench.ask(Action.PAUSE, caller=BOB)
    cannot_come(bench, resume, f"is paused: it was held again {BY_BOB}")


def test_a_resume_is_held_again_by_a_pause_file() -> None:
    bench = Bench(chain(2), slots=0)
    bench.ask(Action.PAUSE)
    resume = bench.ask(Action.RESUME, wait=True)
    bench.file("stop")
    cannot_come(bench, resume, 'is paused: it was held again by file (uid -1) "stop"')


def test_a_resume_is_cancelled() -> None:
    bench = Bench(chain(2), slots=0)
    bench.ask(Action.PAUSE)
    resume = bench.ask(Action.RESUME, wait=True)
    bench.ask(Action.CANCEL, caller=BOB)
    cannot_come(bench, resume, f"has been cancelled {BY_BOB}; it does not go on")


def test_a_resume_waits_for_a_staged_revision_to_be_applied() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4))
    resume = bench.ask(Action.RESUME, wait=True)
    assert bench.waits(resume)
    bench.end(1)
    assert bench.answer(resume).revision == 2


def test_a_modify_is_answered_when_its_revision_is_in_force() -> None:
    bench = running()
    modify = bench.ask(Action.MODIFY, chain(4), wait=True)
    assert bench.waits(modify)
    bench.end(1)
    answer = bench.answer(modify)
    assert isinstance(answer, Modified)
    assert (answer.acknowledged, answer.status, answer.revision, answer.new_revision) == (
        True,
        "paused",
        2,
        2,
    )
    assert answer.message == "release-notes: paused; revision 2 is in force"


def test_a_modify_that_a_newer_one_replaces_can_no_longer_come() -> None:
    bench = running()
    first = bench.ask(Action.MODIFY, chain(4), wait=True)
    second = bench.ask(Action.MODIFY_RESUME, chain(5), wait=True, caller=BOB)
    cannot_come(bench, first, f"is pausing: revision 2 was dropped {BY_BOB}")
    bench.end(1)
    assert bench.answer(second).message == (
        "release-notes: running; revision 3 is in force, goes on with sheet 2"
    )


def test_a_modify_that_is_taken_back_can_no_longer_come() -> None:
    bench = running()
    modify = bench.ask(Action.MODIFY_RESUME, chain(4), wait=True)
    discard = bench.ask(Action.DISCARD, caller=BOB)
    cannot_come(bench, modify, f"is running: revision 2 was dropped {BY_BOB}")
    assert bench.answer(discard).acknowledged


def test_a_modify_with_resume_that_is_held_again_can_no_longer_come() -> None:
    bench = running()
    modify = bench.ask(Action.MODIFY_RESUME, chain(4), wait=True)
    bench.ask(Action.PAUSE, caller=BOB)
    cannot_come(bench, modify, f"is pausing: it was held again {BY_BOB}")
    bench.end(1)
    assert (bench.status, bench.state.run.revision) == (JobStatus.PAUSED, 2)


def test_a_modify_with_resume_of_a_last_sheet_that_completes_the_job_has_come() -> None:
    bench = running(1)
    modify = bench.ask(Action.MODIFY_RESUME, chain(1, description="again"), wait=True)
    bench.end(1)
    assert bench.status is JobStatus.COMPLETED
    assert bench.answer(modify).acknowledged


def test_nobody_is_left_waiting_when_a_fresh_run_takes_the_place() -> None:
    bench = Bench(score(stage(count=2), at_once=2), slots=0)
    bench.ask(Action.PAUSE, wait=True)
    resume = bench.ask(Action.RESUME, wait=True)
    bench.ask(Action.PAUSE)
    bench.give_up()
    assert not bench.waits(resume)
    assert not bench.state.requests


def test_the_answer_of_a_request_with_a_key_is_kept_in_the_commit_that_decides_it() -> None:
    bench = running()
    bench.ask(Action.PAUSE, wait=True, key="k1")
    assert bench.last is not None
    assert [row.reply for row in bench.last.changes.rows if type(row).__name__ == "RequestRow"] == [None]
    bench.end(1)
    kept = [row for row in bench.last.changes.rows if type(row).__name__ == "RequestRow"]
    assert len(kept) == 1
    assert msgspec.json.decode(kept[0].reply)["acknowledged"] is True


def test_the_refusal_of_a_request_with_a_key_is_kept_too() -> None:
    bench = running()
    bench.ask(Action.PAUSE, wait=True, key="k1")
    bench.ask(Action.RESUME, caller=BOB)
    assert bench.last is not None
    kept = next(row for row in bench.last.changes.rows if type(row).__name__ == "RequestRow")
    assert msgspec.json.decode(kept.refusal)["code"] == "E513"


def test_a_request_with_a_key_is_answered_after_a_crash_as_before() -> None:
    bench = running()
    bench.ask(Action.PAUSE, wait=True, key="k1")
    bench.crash()
    bench.end(1)
    assert bench.answer("k1").status == "paused"


def test_a_request_without_a_key_is_never_on_disk() -> None:
    bench = running()
    bench.ask(Action.PAUSE, wait=True)
    bench.end(1)
    assert not [row for row in bench.disk.rows if row[0].__name__ == "RequestRow"]


@each("ending", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_nobody_is_left_unanswered_at_an_end(ending: Outcome) -> None:
    bench = Bench(score(stage(count=2), at_once=2))
    bench.go()
    bench.end(1)
    waiting = [
        bench.ask(Action.PAUSE, wait=True),
        bench.ask(Action.MODIFY, score(stage(count=2), at_once=1), wait=True),
        bench.ask(Action.RESUME, wait=True),
        bench.ask(Action.MODIFY_RESUME, score(stage(count=2), fail_fast=False), wait=True),
    ]
    if ending is Outcome.FAILED:
        bench.ask(Action.CANCEL, wait=True)
    bench.end(2, ending, category="exit")
    assert bench.state.run.ended
    assert not any(bench.waits(request) for request in waiting)
