"""The time limit of a run: what counts, what its end does, what lets the job go on."""

import pytest
from kit.hooks import HookBench, command
from kit.scores import Bench, chain
from kit.tables import each

from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.triggers import TimeReached
from marianned.progress.views.job import job_view
from marianned.protocol import HoldCause, JobStatus, Outcome
from marianned.score.expanded import RetryPolicy


def limited(seconds: float = 600.0, **fields) -> Bench:
    bench = Bench(chain(3, max_wall_seconds=seconds, **fields))
    bench.go()
    return bench


def test_a_limit_that_is_reached_in_the_moment_a_wait_ends_is_what_comes_next():
    until = {}
    for most in (7200.0, 3600.0):
        bench = limited(most, retry=RetryPolicy(base_delay_seconds=3600, jitter=False))
        bench.fail(1, "exit")
        view = job_view(bench.state, bench.now)
        assert view.next is not None
        until[view.next.code] = view.next.due_at
    assert until["retry"] == until["time_limit"]


def causes(bench: Bench) -> list[HoldCause]:
    return [hold.cause for hold in bench.state.holds.values()]


def test_when_the_time_is_up_what_is_in_flight_is_interrupted_and_the_job_pauses():
    bench = limited()
    assert bench.last is not None
    assert bench.last.wake is not None
    assert bench.now.until(bench.last.wake) == 600_000
    bench.after(600)
    decision = bench.step(TimeReached())
    assert [row.sheet for row in decision.interrupts] == [1]
    assert (bench.status, causes(bench)) == (JobStatus.PAUSING, [HoldCause.TIME])
    bench.end(1, Outcome.INTERRUPTED)
    assert bench.status is JobStatus.PAUSED


@each("action", [Action.RESUME, Action.RESUME_FROM, Action.RESUME_MARK])
def test_a_resume_is_refused_until_a_revision_allows_more(action):
    bench = limited()
    bench.tick(600)
    bench.end(1, Outcome.INTERRUPTED)
    fields = {Action.RESUME_FROM: {"sheets": "1"}, Action.RESUME_MARK: {"skip": "1"}}.get(action, {})
    with pytest.raises(WrongStatus, match="its time is up") as refused:
        bench.ask(action, **fields)
    assert refused.value.hints == ["mzt modify release-notes -c FILE -r"]
    bench.ask(Action.MODIFY_RESUME, chain(3, max_wall_seconds=1200.0))
    assert (bench.status, causes(bench)) == (JobStatus.RUNNING, [])
    assert bench.last is not None
    assert bench.last.wake is not None
    assert bench.now.until(bench.last.wake) == 600_000


def test_time_that_the_run_is_queued_paused_or_ended_does_not_count():
    bench = Bench(chain(3, max_wall_seconds=600.0), slots=0)
    bench.go()
    bench.after(10_000)
    bench.slots = 16
    bench.go()
    bench.after(100).ask(Action.PAUSE)
    bench.after(100).end(1)
    bench.after(10_000).ask(Action.RESUME)
    bench.after(100).fail(2)
    bench.after(10_000)
    assert bench.state.milliseconds_run(bench.now) == 300_000
    bench.ask(Action.RESUME)
    assert bench.status is JobStatus.RUNNING


def test_an_attempt_that_outlives_the_daemon_counts():
    bench = limited()
    bench.crash()
    bench.after(600)
    bench.step(TimeReached())
    assert causes(bench) == [HoldCause.TIME]


def test_the_limit_is_that_of_the_newest_revision_staged_or_not():
    bench = limited()
    bench.after(500).ask(Action.MODIFY_RESUME, chain(3, max_wall_seconds=1200.0))
    bench.tick(200)
    assert causes(bench) == [], "no work is ended by a limit that an acknowledged revision has raised"
    bench.ask(Action.DISCARD)
    assert causes(bench) == [HoldCause.TIME], "it is back in the commit that takes the revision back"


def test_the_last_sheet_that_ends_as_the_time_is_up_ends_the_job():
    bench = Bench(chain(1, max_wall_seconds=600.0))
    bench.go()
    bench.tick(600)
    bench.end(1)
    assert bench.status is JobStatus.COMPLETED


def test_it_survives_a_failed_job_and_a_resume_of_it_is_refused_in_every_status():
    bench = limited()
    bench.after(599).fail(1)
    bench.ask(Action.RESUME)
    bench.after(1).end(1, Outcome.FAILED, category="config")
    assert bench.status is JobStatus.FAILED
    with pytest.raises(WrongStatus, match="its time is up"):
        bench.ask(Action.RESUME)


def resumed_over_its_hook(most: float = 60.0) -> HookBench:
    """A failed job that was resumed while a hook of its failure runs."""
    bench = HookBench(chain(2, failure_hooks=(command("tell", after_failure=True),), max_wall_seconds=most))
    bench.go()
    bench.after(10).fail(1)
    bench.go()
    bench.ask(Action.RESUME)
    assert (bench.status, bench.hooks) == (JobStatus.RUNNING, ["running"])
    return bench


def test_hooks_of_a_failure_are_not_the_runs_time_and_no_limit_ends_them():
    bench = resumed_over_its_hook()
    assert bench.last is not None
    assert bench.last.wake is None
    bench.after(70)
    decision = bench.step(TimeReached())
    assert (decision.hook_interrupt, causes(bench)) == (None, [])
    bench.hook_ends()
    assert (bench.status, bench.flying) == (JobStatus.RUNNING, [1])
    assert bench.last.wake is not None
    assert bench.now.until(bench.last.wake) == 50_000, "its sheets have what was left of it"
    bench.tick(50)
    assert causes(bench) == [HoldCause.TIME]


def test_a_limit_that_a_revision_lowers_waits_for_the_hooks_of_the_failure_to_end():
    bench = resumed_over_its_hook(600.0)
    bench.ask(Action.PAUSE)
    bench.after(70)
    bench.ask(Action.MODIFY, chain(2, failure_hooks=bench.state.score.failure_hooks, max_wall_seconds=5.0))
    decision = bench.step(TimeReached())
    assert (decision.hook_interrupt, HoldCause.TIME in causes(bench)) == (None, False)
    bench.hook_ends()
    assert (bench.status, HoldCause.TIME in causes(bench)) == (JobStatus.PAUSED, True)
    assert bench.sheets == ["pending", "pending"]
