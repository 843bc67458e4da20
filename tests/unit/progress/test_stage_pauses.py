"""Pauses that a score asks for: after a stage, and at once where a sheet of one fails."""

import pytest
from kit.scores import Bench, chain, score, stage

from marianned.lifecycle import Action
from marianned.protocol import JobStatus, Outcome
from marianned.score.expanded import Retry, Trigger

AFTER = Trigger(pause_after=True)
ON_FAIL = Trigger(pause_on_fail=True, reason="call Ann")


def holds(bench: Bench) -> list[tuple[str, str | None]]:
    return [(hold.cause, hold.reason) for hold in bench.state.holds.values()]


def test_a_job_pauses_when_the_last_sheet_of_the_stage_is_done() -> None:
    bench = Bench(score(stage(count=2), stage([1]), at_once=2, triggers={1: AFTER}), slots=2)
    bench.go()
    bench.end(1)
    assert bench.status is JobStatus.RUNNING
    bench.end(2)
    assert (bench.status, holds(bench)) == (JobStatus.PAUSED, [("breakpoint", "after stage 1")])
    bench.ask(Action.RESUME)
    bench.play()
    assert bench.status is JobStatus.COMPLETED


def test_after_the_last_stage_too_whatever_ends_last() -> None:
    bench = Bench(chain(2, triggers={2: AFTER}))
    bench.play()
    assert (bench.status, holds(bench)) == (JobStatus.PAUSED, [("breakpoint", "after stage 2")])
    bench.ask(Action.RESUME)
    assert bench.status is JobStatus.COMPLETED


def test_once_in_a_run_though_the_stage_runs_again() -> None:
    bench = Bench(chain(2, triggers={1: AFTER}))
    bench.play()
    bench.ask(Action.RESUME_FROM, sheets="1")
    bench.play()
    assert bench.status is JobStatus.COMPLETED


def test_a_stage_that_was_done_before_the_score_asked_is_none_that_ends() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.end(1)
    bench.ask(Action.MODIFY_RESUME, chain(2, triggers={1: AFTER}))
    bench.play()
    assert bench.status is JobStatus.COMPLETED


def test_a_sheet_that_fails_pauses_the_job_without_another_try_or_instrument() -> None:
    bench = Bench(chain(2, retry=Retry(max_retries=3), triggers={1: ON_FAIL}))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    assert (bench.status, holds(bench)) == (JobStatus.PAUSED, [("failure", "call Ann")])
    assert bench.sheets == ["failed", "pending"]
    bench.ask(Action.RESUME)
    assert bench.flying == [1]
    assert bench.sheet(1).tries == 0
    bench.play()
    assert bench.status is JobStatus.COMPLETED


def test_what_else_is_in_flight_does_not_end_the_job_over_that_pause() -> None:
    bench = Bench(score(stage(), stage(), at_once=2, triggers={1: ON_FAIL}), slots=2)
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    assert bench.status is JobStatus.PAUSING
    bench.end(2)
    assert bench.status is JobStatus.PAUSED


@pytest.mark.parametrize("category", ["exit", "validation", "timeout", "config", "unavailable"])
def test_whatever_it_fails_of(category: str) -> None:
    bench = Bench(chain(1, retry=Retry(max_retries=3), triggers={1: ON_FAIL}))
    bench.go()
    bench.end(1, Outcome.FAILED, category=category)
    assert (bench.status, holds(bench)) == (JobStatus.PAUSED, [("failure", "call Ann")])


def test_stages_without_a_pause_of_their_own_are_tried_again_as_ever() -> None:
    bench = Bench(chain(2, retry=Retry(max_retries=3), triggers={2: ON_FAIL}))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    assert bench.status is JobStatus.RUNNING
    assert bench.sheets[0] == "waiting"
