"""Modify: staged, applied, replaced, taken back, and what becomes of the sheets and their rows."""

import pytest
from kit.scores import ANN, Bench, chain, score, stage

from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.protocol import Caller, JobStatus, Outcome
from marianned.rows import RevisionRow, SheetRow

BOB = Caller(uid=1001, pid=7, name="mzt 1.2.0")


def running(length: int = 3) -> Bench:
    bench = Bench(chain(length))
    bench.go()
    return bench


def revisions(bench: Bench) -> dict[int, str]:
    return {row.revision: row.status for row in bench.disk.of(RevisionRow)}


def test_a_revision_is_staged_while_something_is_in_flight_and_applied_when_nothing_is() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4), reason="more")
    assert (bench.status, bench.state.run.staged_revision, len(bench.state.score.sheets)) == (
        JobStatus.PAUSING,
        2,
        3,
    )
    bench.end(1)
    assert (bench.status, bench.state.run.revision, len(bench.sheets)) == (JobStatus.PAUSED, 2, 4)
    assert revisions(bench) == {1: "past", 2: "current"}
    hold = next(iter(bench.state.holds.values()))
    assert (hold.cause, hold.owner, hold.reason) == ("user", ANN, "more")


def test_a_modify_of_a_queued_job_is_in_force_at_once_and_holds_it() -> None:
    bench = Bench(chain(2))
    answer = bench.answer(bench.ask(Action.MODIFY, chain(3)))
    assert (bench.status, answer.revision, answer.acknowledged) == (JobStatus.PAUSED, 2, True)


def test_a_modify_with_resume_lets_the_job_go_on_when_it_is_applied() -> None:
    bench = running()
    bench.ask(Action.MODIFY_RESUME, chain(4))
    assert (bench.status, bench.state.holds) == (JobStatus.PAUSING, {})
    bench.end(1)
    assert (bench.status, bench.flying, bench.state.run.revision) == (JobStatus.RUNNING, [2], 2)
    assert next(iter(bench.state.attempts.values())).revision == 2


def test_a_revision_staged_in_the_last_sheet_still_runs_its_added_sheets() -> None:
    bench = running(1)
    bench.ask(Action.MODIFY_RESUME, chain(3))
    bench.end(1)
    assert bench.play() == [2, 3]
    assert bench.status is JobStatus.COMPLETED


def test_a_modify_in_the_last_sheet_leaves_the_job_paused_when_there_is_more_to_do() -> None:
    bench = running(1)
    bench.ask(Action.MODIFY, chain(2))
    bench.end(1)
    assert bench.status is JobStatus.PAUSED


def test_a_modify_that_leaves_nothing_to_do_lets_the_job_go_on_and_so_end() -> None:
    bench = running(2)
    bench.ask(Action.MODIFY_RESUME, chain(1))
    bench.end(1)
    assert bench.status is JobStatus.COMPLETED


def test_a_newer_modify_replaces_a_staged_one_with_its_hold() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4))
    bench.ask(Action.MODIFY_RESUME, chain(5), caller=BOB)
    assert (bench.state.holds, bench.state.run.staged_revision) == ({}, 3)
    assert revisions(bench) == {1: "current", 2: "dropped", 3: "staged"}
    bench.end(1)
    assert (bench.status, len(bench.sheets)) == (JobStatus.RUNNING, 5)


def test_a_newer_modify_leaves_a_pause_of_somebody_else() -> None:
    bench = running()
    bench.ask(Action.PAUSE, caller=BOB)
    bench.ask(Action.MODIFY, chain(4))
    bench.ask(Action.MODIFY, chain(5))
    assert [hold.owner for hold in bench.state.holds.values()] == [BOB, ANN]


def test_discard_takes_back_the_revision_and_the_hold_of_its_modify_only() -> None:
    bench = running()
    bench.ask(Action.PAUSE, caller=BOB)
    bench.ask(Action.MODIFY, chain(4))
    answer = bench.answer(bench.ask(Action.DISCARD))
    assert (answer.acknowledged, answer.staged_revision, answer.changed) == (True, None, False)
    assert [hold.owner for hold in bench.state.holds.values()] == [BOB]
    assert revisions(bench) == {1: "current", 2: "dropped"}
    assert bench.state.newest.row.revision == 1


def test_discard_lets_a_job_that_nothing_else_holds_go_on() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4))
    answer = bench.answer(bench.ask(Action.DISCARD))
    assert answer.status == "running"


def test_discard_with_nothing_staged_is_refused() -> None:
    bench = running()
    bench.ask(Action.PAUSE)
    with pytest.raises(WrongStatus, match="'release-notes' is pausing; no revision is staged"):
        bench.ask(Action.DISCARD)


def test_numbers_of_revisions_are_never_used_again() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4))
    bench.ask(Action.DISCARD)
    bench.ask(Action.MODIFY, chain(4))
    assert bench.state.run.staged_revision == 3


def test_the_same_text_makes_no_revision_and_no_hold() -> None:
    bench = running()
    answer = bench.answer(bench.after(1).ask(Action.MODIFY, chain(3)))
    assert (answer.changed, answer.new_revision, answer.plan, answer.status) == (False, None, [], "running")
    assert revisions(bench) == {1: "current"}


def test_the_text_of_a_staged_revision_again_with_resume_lets_it_go_on() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4))
    answer = bench.answer(bench.after(1).ask(Action.MODIFY_RESUME, chain(4)))
    assert (answer.changed, answer.staged_revision, answer.then) == (False, 2, "resume")
    bench.end(1)
    assert (bench.status, bench.state.run.revision) == (JobStatus.RUNNING, 2)


def test_the_same_text_with_resume_starts_a_failed_job_again() -> None:
    bench = running()
    bench.fail(1)
    answer = bench.answer(bench.after(1).ask(Action.MODIFY_RESUME, chain(3)))
    assert (answer.changed, answer.status, bench.flying) == (False, "running", [1])


def test_another_revision_than_the_expected_one_is_refused_and_nothing_changes() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4), expect=1)
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.MODIFY, chain(5), expect=1)
    assert refused.value.message == (
        "'release-notes' has revision 2 by mzt 1.2.0, not 1; nothing has changed"
    )
    bench.ask(Action.MODIFY, chain(5), expect=2)


def test_a_plan_changes_nothing() -> None:
    bench = running()
    events = len(bench.disk.events)
    answer = bench.answer(bench.ask(Action.MODIFY, chain(4), plan=True))
    assert (answer.dry_run, answer.changed, answer.new_revision, answer.acknowledged) == (
        True,
        True,
        2,
        False,
    )
    assert bench.last is not None
    assert not bench.last.changes
    assert len(bench.disk.events) == events
    assert bench.status is JobStatus.RUNNING


def test_a_plan_of_the_same_text_says_that_nothing_would_change() -> None:
    bench = running()
    answer = bench.answer(bench.ask(Action.MODIFY, chain(3), plan=True))
    assert answer.message == ("release-notes: running; the score is that of revision 1, nothing would change")
    assert (answer.changed, answer.new_revision, answer.plan, answer.hints) == (False, None, [], [])


def test_a_modify_of_a_failed_job_leaves_it_failed_with_its_sheets_ready_to_run() -> None:
    bench = running()
    bench.fail(1)
    answer = bench.answer(bench.ask(Action.MODIFY, chain(4)))
    assert (answer.status, answer.message) == ("failed", "release-notes: failed; revision 2 is in force")
    assert (bench.sheets, bench.state.holds) == (["pending"] * 4, {})
    bench.ask(Action.RESUME)
    assert bench.flying == [1]


def test_what_completed_stays_completed_and_what_was_tried_under_another_definition_begins_anew() -> None:
    bench = Bench(score(stage(prompt="a"), stage([1], prompt="b"), stage([2], prompt="c")))
    bench.go()
    bench.end(1)
    bench.end(2, Outcome.FAILED, category="exit")
    bench.ask(Action.PAUSE)
    bench.ask(Action.MODIFY, score(stage(prompt="A"), stage([1], prompt="B"), stage([2], prompt="c")))
    assert bench.sheets == ["completed", "pending", "pending"]
    assert (bench.sheet(2).tries, bench.sheet(2).attempts, bench.sheet(2).next_kind) == (0, 1, "first")
    bench.ask(Action.RESUME)
    assert bench.flying == [2]


def test_a_sheet_that_only_waits_goes_on_waiting_under_a_revision_that_leaves_it_as_it_was() -> None:
    bench = running()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.ask(Action.MODIFY_RESUME, chain(4))
    assert (bench.sheet(1).status, bench.sheet(1).tries) == ("waiting", 1)
    assert bench.tick(10) == [1]


def test_sheets_keep_their_uid_and_new_ones_get_new_ones_for_ever() -> None:
    bench = running(2)
    bench.ask(Action.MODIFY, chain(4))
    bench.end(1)
    bench.ask(Action.MODIFY, chain(1))
    assert bench.status is JobStatus.PAUSED
    bench = running(2)
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.MODIFY, chain(4))
    bench.ask(Action.MODIFY, chain(2))
    bench.ask(Action.MODIFY, chain(3))
    assert [bench.sheet(number).uid for number in (1, 2, 3)] == [1, 2, 5]
    assert sorted(row.uid for row in bench.disk.of(SheetRow)) == [1, 2, 5]


def test_a_revision_brings_its_description_and_its_file() -> None:
    bench = Bench(chain(2))
    answer = bench.answer(bench.ask(Action.MODIFY, chain(2, description="for the team")))
    assert answer.description == "for the team"


def test_an_applied_revision_says_so_in_the_journal() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(4), reason="more")
    asked = bench.disk.events[-1]
    assert (asked.type, asked.text, asked.reason, asked.caller) == (
        "job.pausing",
        "modify asked: revision 2",
        "more",
        ANN,
    )
    bench.end(1)
    applied = next(event for event in bench.disk.events if event.type == "revision.applied")
    assert (applied.text, applied.revision, applied.status) == ("revision 2 is in force", 2, "paused")
