"""Hooks, decided step by step: when they run, what follows from each end, and what each request does to them."""

from kit.hooks import HookBench, command, hooked, job
from kit.scores import chain

from marianned.lifecycle import Action
from marianned.progress.state.triggers import HookEnded
from marianned.protocol import JobStatus, Outcome
from marianned.score.expanded import ExpandedScore


def at_hooks(expanded: ExpandedScore) -> HookBench:
    """A job whose sheets are all done, at the moment when its hooks are due."""
    bench = HookBench(expanded)
    bench.play()
    return bench


def test_hooks_run_in_order_once_all_sheets_are_done() -> None:
    bench = HookBench(hooked(command("a"), command("b"), sheets=2))
    bench.go()
    bench.end(1)
    assert bench.hooks == ["pending", "pending"]
    bench.end(2)
    assert (bench.hooks, bench.status) == (["running", "pending"], "running")
    bench.hook_ends()
    assert bench.hooks == ["completed", "running"]
    bench.hook_ends()
    assert (bench.hooks, bench.status) == (["completed", "completed"], "completed")


def test_a_hook_waits_for_a_slot_like_a_sheet() -> None:
    bench = HookBench(hooked(command("a")))
    bench.go()
    bench.slots = 0
    bench.end(1)
    assert (bench.hooks, bench.status) == (["pending"], "running")
    bench.go(1)
    assert bench.hooks == ["running"]


def test_no_hook_runs_where_a_sheet_has_failed() -> None:
    bench = HookBench(hooked(command("a")))
    bench.go()
    bench.fail(1)
    assert (bench.hooks, bench.status) == (["pending"], "failed")


def test_a_failed_hook_fails_the_job_for_that_reason_and_the_others_run() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    bench.hook_ends(Outcome.FAILED, message="exit 3", exit_code=3)
    assert (bench.hooks, bench.status) == (["failed", "running"], "running")
    bench.hook_ends()
    assert bench.status == "failed"
    last = bench.disk.events[-1]
    assert (last.type, last.reason) == ("job.failed", "hook")


def test_a_hook_that_aborts_keeps_the_later_ones_from_running() -> None:
    bench = at_hooks(hooked(command("a", abort_on_failure=True), command("b")))
    bench.hook_ends(Outcome.FAILED)
    assert (bench.hooks, bench.status) == (["failed", "pending"], "failed")


def test_a_concert_that_aborts_submits_nothing_that_was_kept() -> None:
    bench = at_hooks(hooked(job("x", detached=True), command("a"), command("b"), abort_on_hook_failure=True))
    bench.hook_ends(pending_revision=b"x")
    bench.hook_ends(Outcome.FAILED)
    assert (bench.hooks, bench.status) == (["end", "failed", "pending"], "failed")


def test_a_resume_runs_only_hooks_that_have_not_succeeded() -> None:
    bench = at_hooks(hooked(command("a"), command("b"), command("c")))
    bench.hook_ends()
    bench.hook_ends(Outcome.FAILED)
    bench.hook_ends()
    bench.ask(Action.RESUME)
    assert bench.hooks == ["completed", "running", "completed"]
    bench.hook_ends()
    assert bench.status == "completed"


def test_a_hook_that_took_too_long_has_failed_and_is_not_repeated_by_itself() -> None:
    bench = at_hooks(hooked(command("a")))
    bench.hook_ends(Outcome.TIMED_OUT)
    assert (bench.hooks, bench.status) == (["failed"], "failed")


def test_a_lost_hook_is_no_outcome_of_its_job_and_is_not_repeated_by_itself() -> None:
    bench = at_hooks(hooked(command("a"), command("b"), job("x", detached=True)))
    bench.hook_ends(Outcome.LOST)
    bench.hook_ends()
    bench.hook_ends(pending_revision=b"x")
    assert (bench.hooks, bench.status) == (["failed", "completed", "end"], "paused")
    (hold,) = bench.state.holds.values()
    assert hold.cause == "failure"
    assert hold.reason is not None
    assert "was lost, it is not known whether it did its work; a resume runs it again" in hold.reason
    bench.crash()
    assert bench.go() == []
    bench.ask(Action.RESUME)
    assert bench.hooks == ["running", "completed", "end"]
    bench.hook_ends()
    assert bench.hooks == ["completed", "completed", "running"]


def test_a_job_whose_hook_was_lost_goes_on_without_it_where_a_modify_takes_it_out() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    bench.hook_ends(Outcome.LOST)
    bench.hook_ends()
    bench.ask(Action.MODIFY_RESUME, hooked(command("b")))
    assert (bench.hooks, bench.status) == (["completed"], "completed")


def test_a_failed_hook_pauses_the_job_where_the_score_says_so() -> None:
    bench = at_hooks(chain(1, hooks=(command("a"),), on_failure="pause"))
    bench.hook_ends(Outcome.FAILED)
    assert [hold.cause for hold in bench.state.holds.values()] == ["failure"]
    bench.ask(Action.RESUME)
    assert bench.hooks == ["running"]


# --- requests -------------------------------------------------------------------------------------------


def test_a_pause_waits_for_the_running_hook_and_stands_before_the_next() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    asked = bench.ask(Action.PAUSE, wait=True)
    assert bench.status == "pausing"
    bench.hook_ends()
    assert (bench.hooks, bench.status) == (["completed", "pending"], "paused")
    assert bench.answer(asked).acknowledged
    bench.ask(Action.RESUME)
    assert bench.hooks == ["completed", "running"]


def test_a_pause_in_the_last_hook_is_overtaken_by_the_end() -> None:
    bench = at_hooks(hooked(command("a")))
    asked = bench.ask(Action.PAUSE, wait=True)
    bench.hook_ends()
    assert bench.status == "completed"
    assert bench.answer(asked).code == "E513"


def test_pause_now_interrupts_a_hook_which_runs_again() -> None:
    bench = at_hooks(hooked(command("a")))
    bench.ask(Action.PAUSE_NOW)
    assert bench.last is not None
    assert bench.last.hook_interrupt is not None
    bench.hook_ends(Outcome.INTERRUPTED)
    assert (bench.hooks, bench.status) == (["pending"], "paused")
    bench.ask(Action.RESUME)
    assert bench.state.hooks[0].attempts == 2


def test_a_hook_that_was_told_to_end_by_a_daemon_that_died_is_interrupted_too() -> None:
    bench = at_hooks(hooked(command("a")))
    bench.ask(Action.PAUSE_NOW)
    bench.crash()
    bench.hook_ends(Outcome.LOST, asked=True)
    assert (bench.hooks, bench.status) == (["pending"], "paused")


def test_a_hook_that_somebody_else_ended_is_lost() -> None:
    bench = at_hooks(hooked(command("a")))
    bench.hook_ends(Outcome.LOST, asked=True)
    assert (bench.hooks, bench.status) == (["failed"], "paused")


def test_a_cancel_ends_the_hook_and_a_resume_runs_it_again() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    bench.hook_ends()
    bench.ask(Action.CANCEL)
    assert bench.status == "cancelling"
    bench.hook_ends(Outcome.INTERRUPTED)
    assert (bench.hooks, bench.status) == (["completed", "cancelled"], "cancelled")
    bench.ask(Action.RESUME)
    assert bench.hooks == ["completed", "running"]


def test_resume_from_sets_all_hooks_back() -> None:
    bench = at_hooks(hooked(command("a"), command("b"), sheets=2))
    bench.hook_ends()
    bench.hook_ends()
    answer = bench.answer(bench.ask(Action.RESUME_FROM, sheets="2"))
    assert [(line.action, line.runs) for line in answer.hook_plan] == [("rerun", True)] * 2
    assert (bench.hooks, bench.status) == (["pending", "pending"], "running")
    bench.end(2)
    assert bench.hooks == ["running", "pending"]


def test_a_modify_in_the_phase_of_hooks_adds_sheets_and_repeats_no_hook_that_succeeded() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    bench.hook_ends()
    new = hooked(command("a", description="told better"), command("b"), command("c"), sheets=2)
    answer = bench.answer(bench.ask(Action.MODIFY_RESUME, new))
    assert [(line.action, line.runs) for line in answer.hook_plan] == [
        ("kept", False),
        ("kept", True),
        ("added", True),
    ]
    bench.hook_ends()
    assert bench.hooks == ["completed", "completed", "pending"]
    assert bench.flying == [2]
    bench.end(2)
    assert bench.hooks == ["completed", "completed", "running"]
    bench.hook_ends()
    assert bench.status == "completed"


def test_hooks_follow_what_they_do_when_a_modify_moves_them() -> None:
    bench = at_hooks(hooked(command("a"), command("b"), command("c")))
    bench.hook_ends()
    bench.hook_ends(Outcome.FAILED)
    bench.ask(Action.PAUSE)
    bench.hook_ends(Outcome.INTERRUPTED)
    bench.ask(Action.MODIFY_RESUME, hooked(command("c"), command("b"), command("a")))
    assert bench.hooks == ["running", "pending", "completed"]


def test_a_hook_that_a_modify_takes_out_does_not_run() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    bench.ask(Action.MODIFY, hooked(command("a")))
    bench.hook_ends()
    assert (bench.hooks, bench.status) == (["completed"], "paused")
    bench.ask(Action.RESUME)
    assert (bench.hooks, bench.status) == (["completed"], "completed")


def test_a_hook_that_succeeded_is_not_run_again_when_it_comes_back() -> None:
    published, mended = command("publish"), command("publish it better")
    bench = at_hooks(hooked(published, command("b")))
    bench.hook_ends()
    bench.hook_ends(Outcome.FAILED)
    bench.ask(Action.MODIFY, hooked(mended, command("b")))
    bench.ask(Action.MODIFY, hooked(command("b"), published))
    assert [row.status for row in bench.state.hooks] == ["pending", "completed"]
    bench.ask(Action.RESUME)
    bench.hook_ends()
    assert (bench.hooks, bench.status) == (["completed", "completed"], "completed")


def test_a_hook_that_comes_back_runs_again_when_sheets_did() -> None:
    published = command("publish")
    bench = at_hooks(hooked(published, command("b")))
    bench.hook_ends()
    bench.hook_ends(Outcome.FAILED)
    bench.ask(Action.MODIFY, hooked(command("b")))
    bench.ask(Action.RESUME_FROM, sheets="1")
    bench.end(1)
    bench.ask(Action.MODIFY_RESUME, hooked(command("b"), published))
    bench.hook_ends()
    assert bench.hooks == ["completed", "running"]


def test_a_hook_that_is_tried_again_keeps_the_run_it_has_submitted() -> None:
    bench = at_hooks(hooked(job("x")))
    bench.chains()
    bench.chained_ends(1, JobStatus.FAILED)
    assert bench.status == "failed"
    bench.ask(Action.RESUME)
    assert (bench.hooks, bench.state.hooks[0].chained) == (["running"], "next@1")
    bench.hook_ends()
    assert bench.status == "completed"


def test_a_hook_that_is_set_back_before_it_was_tried_again_submits_a_new_run() -> None:
    bench = at_hooks(hooked(job("x")))
    bench.chains()
    bench.chained_ends(1, JobStatus.FAILED)
    bench.ask(Action.MODIFY, hooked(job("x"), sheets=2))
    assert bench.hooks == ["pending"]
    bench.ask(Action.RESUME_FROM, sheets="1")
    assert bench.state.hooks[0].chained is None


def test_a_late_record_of_a_hook_is_noted_and_ignored() -> None:
    bench = at_hooks(hooked(command("a"), command("b")))
    row = bench.state.hooks[0]
    bench.hook_ends()
    bench.step(HookEnded(hook=row.hook, flight=row.flight, outcome=Outcome.FAILED))
    assert bench.hooks == ["completed", "running"]
    assert bench.disk.events[-1].type == "hook.ignored"


# --- chains ---------------------------------------------------------------------------------------------


def test_a_cool_down_is_waited_before_a_job_is_submitted_and_stands_still_in_a_pause() -> None:
    bench = at_hooks(hooked(job("x"), cooldown=5.0))
    assert (bench.hooks, bench.status) == (["cooldown"], "running")
    bench.after(2).ask(Action.PAUSE)
    assert bench.status == "paused"
    bench.tick(60)
    bench.ask(Action.RESUME)
    bench.tick(2)
    assert bench.hooks == ["cooldown"]
    bench.tick(1)
    assert bench.hooks == ["running"]


def test_a_chained_job_is_waited_for_and_its_end_is_the_hooks() -> None:
    bench = at_hooks(hooked(job("x"), job("y")))
    bench.chains()
    assert (bench.hooks, bench.status) == (["job", "pending"], "running")
    bench.crash()
    bench.chained_ends(1)
    assert bench.hooks == ["completed", "running"]
    bench.chains()
    bench.chained_ends(2, JobStatus.CANCELLED)
    assert (bench.hooks, bench.status) == (["completed", "failed"], "failed")


def test_a_job_may_pause_while_it_waits_for_a_chained_one() -> None:
    bench = at_hooks(hooked(job("x"), command("a")))
    bench.chains()
    assert bench.answer(bench.ask(Action.PAUSE)).acknowledged
    bench.chained_ends(1)
    assert (bench.hooks, bench.status) == (["completed", "pending"], "paused")
    bench.ask(Action.RESUME)
    assert bench.hooks == ["completed", "running"]


def test_a_resume_while_a_chained_job_runs_is_running_without_a_slot() -> None:
    bench = at_hooks(hooked(job("x")))
    bench.chains()
    bench.ask(Action.PAUSE)
    asked = bench.ask(Action.RESUME, wait=True)
    assert bench.status == "running"
    assert bench.answer(asked).acknowledged


def test_a_chained_job_that_takes_too_long_is_a_failed_hook() -> None:
    bench = at_hooks(hooked(job("x", timeout_seconds=30.0)))
    bench.chains()
    bench.tick(31)
    assert (bench.hooks, bench.status) == (["failed"], "failed")


def test_a_cancel_leaves_the_chained_job_alone_and_a_resume_waits_for_it_again() -> None:
    bench = at_hooks(hooked(job("x")))
    bench.chains()
    bench.ask(Action.CANCEL)
    assert (bench.hooks, bench.status) == (["cancelled"], "cancelled")
    bench.chained_ends(1)
    assert bench.hooks == ["cancelled"]
    bench.ask(Action.RESUME)
    assert bench.hooks == ["running"]  # it looks at the job that it has, and waits for it
    bench.chains()
    assert bench.hooks == ["job"]
    bench.chained_ends(1)
    assert bench.status == "completed"


def test_pause_before_chain_is_a_breakpoint_that_a_resume_passes_once() -> None:
    bench = at_hooks(hooked(job("x", pause_before_chain=True), cooldown=5.0))
    bench.tick(5)
    assert bench.status == "paused"
    assert [(hold.cause, hold.reason) for hold in bench.state.holds.values()] == [
        ("breakpoint", "before hook 1")
    ]
    bench.ask(Action.RESUME)
    assert bench.hooks == ["running"]


def test_a_detached_job_is_kept_and_submitted_by_the_end() -> None:
    bench = at_hooks(hooked(job("x", detached=True), command("a")))
    bench.hook_ends(pending_revision=b"the score")
    assert bench.hooks == ["end", "running"]
    bench.hook_ends()
    assert (bench.hooks, bench.status) == (["running", "completed"], "running")
    bench.chains()
    assert (bench.hooks, bench.status) == (["completed", "completed"], "completed")
    assert bench.state.hooks[0].chained == "next@1"
    assert bench.state.hooks[0].pending_revision is None


def test_a_refused_submission_leaves_the_end_as_it_is() -> None:
    bench = at_hooks(hooked(job("x", detached=True), job("y", detached=True)))
    bench.hook_ends(pending_revision=b"x")
    bench.hook_ends(pending_revision=b"y")
    bench.chains(2)
    assert (bench.hooks, bench.status) == (["completed", "failed"], "completed")
    assert "hook.failed" in [event.type for event in bench.disk.events]


def test_a_pause_before_the_end_keeps_a_detached_job_back() -> None:
    bench = at_hooks(hooked(job("x", detached=True)))
    bench.ask(Action.PAUSE)
    bench.hook_ends(pending_revision=b"x")
    assert (bench.hooks, bench.status) == (["end"], "paused")
    bench.ask(Action.RESUME)
    bench.chains()
    assert bench.status == "completed"


def test_a_pause_while_the_end_is_submitted_is_overtaken() -> None:
    bench = at_hooks(hooked(job("x", detached=True)))
    bench.hook_ends(pending_revision=b"x")
    bench.ask(Action.PAUSE)
    bench.chains()
    assert bench.status == "completed"


def test_a_revision_that_comes_while_the_end_is_submitted_keeps_the_job_back() -> None:
    bench = at_hooks(hooked(job("x", detached=True)))
    bench.hook_ends(pending_revision=b"x")
    bench.ask(Action.MODIFY_RESUME, hooked(job("x", detached=True), sheets=2))
    bench.chains()
    assert bench.last.declines
    assert (bench.hooks, bench.flying) == (["end"], [2])


def test_a_cancel_drops_nothing_that_a_resume_could_not_take_up() -> None:
    bench = at_hooks(hooked(job("x", detached=True)))
    bench.hook_ends(pending_revision=b"x")
    bench.ask(Action.CANCEL)
    bench.hook_ends(Outcome.INTERRUPTED)
    assert bench.status == "cancelled"
    bench.ask(Action.RESUME)
    bench.chains()
    assert bench.status == "completed"
