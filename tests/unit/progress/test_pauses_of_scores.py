"""Pauses that the score asks for at a stage: after it, and where one of its sheets fails."""

from kit.hooks import command
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.lifecycle import Action
from marianned.protocol import HoldCause, JobStatus, Outcome
from marianned.score.expanded import StagePauses

AFTER = StagePauses(pause_after=True)
ON_FAIL = StagePauses(pause_on_fail=True, reason="call ann")


def holds(bench: Bench) -> list[tuple[str, str | None]]:
    return [(hold.cause, hold.reason) for hold in bench.state.holds.values()]


def test_the_job_pauses_when_the_last_sheet_of_the_stage_is_done_once_in_the_run():
    bench = Bench(score(stage(count=2), stage([1]), at_once=2, triggers={1: AFTER}))
    bench.go()
    bench.end(1)
    assert bench.status is JobStatus.RUNNING
    bench.end(2)
    assert (bench.status, holds(bench)) == (JobStatus.PAUSED, [(HoldCause.BREAKPOINT, "after stage 1")])
    bench.ask(Action.RESUME)
    assert bench.flying == [3]
    bench.fail(3)
    bench.ask(Action.RESUME_FROM, sheets="1-2")
    bench.end(1)
    bench.end(2)
    assert bench.flying == [3], "once in the run"


def test_it_pauses_after_the_last_stage_too_before_the_hooks():
    bench = Bench(chain(1, triggers={1: AFTER}, hooks=(command("a"),)))
    bench.go()
    bench.end(1)
    assert bench.status is JobStatus.PAUSED
    bench.ask(Action.RESUME)
    assert bench.last is not None
    assert bench.last.hook is not None


def test_without_hooks_the_end_does_not_overtake_it_and_the_resume_ends_the_job():
    bench = Bench(chain(1, triggers={1: AFTER}))
    bench.go()
    bench.end(1)
    assert bench.status is JobStatus.PAUSED
    bench.ask(Action.RESUME)
    assert bench.status is JobStatus.COMPLETED


@each("category", ["exit", "validation", "unavailable", "config"])
def test_a_sheet_that_fails_pauses_the_job_at_once_and_a_resume_gives_it_fresh_tries(category):
    bench = Bench(chain(2, triggers={1: ON_FAIL}))
    bench.go()
    bench.end(1, Outcome.FAILED, category=category, message="no")
    assert bench.sheets == ["failed", "pending"]
    assert (bench.status, holds(bench)) == (JobStatus.PAUSED, [(HoldCause.FAILURE, "call ann")])
    bench.ask(Action.RESUME)
    assert bench.flying == [1]
    assert bench.sheet(1).tries == 0


def test_what_is_in_flight_elsewhere_does_not_end_the_job_over_the_pause():
    bench = Bench(score(stage(), stage(), at_once=2, triggers={1: ON_FAIL}))
    bench.go()
    bench.fail(1)
    assert bench.status is JobStatus.PAUSING
    bench.end(2)
    assert bench.status is JobStatus.PAUSED


def test_a_person_s_word_pauses_nothing_for_a_resume_goes_on():
    bench = Bench(chain(2, triggers={1: StagePauses(pause_after=True, pause_on_fail=True)}))
    bench.go()
    bench.fail(1)
    bench.ask(Action.RESUME_MARK, accept="1")
    assert bench.flying == [2]
