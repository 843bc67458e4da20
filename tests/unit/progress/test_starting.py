"""Which sheets start, in which order, how many at once, and what waits for what."""

from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.lifecycle import Action
from marianned.progress.deciding.decide import could_use_slot
from marianned.progress.views.job import job_view, sheet_views
from marianned.protocol import JobStatus, Outcome
from marianned.score.expanded import CostLimits, Parallelism


def wide(count: int, **fields: object) -> Bench:
    return Bench(score(stage(count=count), **fields))


def test_ready_sheets_start_in_ascending_number() -> None:
    bench = Bench(score(stage([2]), stage(), stage(), at_once=3))
    assert bench.go() == [2, 3]
    bench.end(2)
    assert bench.flying == [1, 3]


def test_no_more_sheets_are_in_flight_than_the_score_says() -> None:
    bench = wide(5, at_once=2)
    assert bench.go() == [1, 2]
    bench.end(2)
    assert bench.flying == [1, 3]


def test_no_more_sheets_start_than_there_are_slots() -> None:
    bench = wide(5, at_once=4)
    assert bench.go(slots=0) == []
    assert bench.status is JobStatus.QUEUED
    assert bench.go(slots=1) == [1]
    assert bench.go(slots=2) == [2, 3]


def test_without_parallel_sheets_run_one_by_one() -> None:
    assert wide(3).play() == [1, 2, 3]


def test_a_job_with_nothing_left_is_completed() -> None:
    bench = Bench(chain(3))
    assert bench.play() == [1, 2, 3]
    assert bench.status is JobStatus.COMPLETED
    assert bench.state.run.ended_at == bench.now.at
    assert bench.disk.events[-1].type == "job.completed"


def test_with_fail_fast_nothing_starts_once_a_sheet_has_failed_and_what_is_in_flight_finishes() -> None:
    bench = wide(4, at_once=2)
    bench.go()
    bench.fail(1)
    assert bench.flying == [2]
    assert bench.status is JobStatus.RUNNING
    bench.end(2)
    assert bench.sheets == ["failed", "completed", "pending", "pending"]
    assert bench.status is JobStatus.FAILED


def test_with_fail_fast_a_sheet_in_a_retry_wait_stays_pending_with_its_tries() -> None:
    bench = wide(2, at_once=2)
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.fail(2)
    assert bench.status is JobStatus.FAILED
    assert (bench.sheet(1).status, bench.sheet(1).tries) == ("pending", 1)
    assert bench.sheet(1).until is None


def test_with_fail_fast_nothing_is_promised_that_will_not_start() -> None:
    bench = Bench(score(stage(count=2), stage([1]), stage(), at_once=2, fail_fast=True))
    bench.go()
    bench.fail(1)
    following = job_view(bench.state, bench.now).next
    assert following is not None
    assert (following.code, following.text) == ("sheet_end", "sheet 2 ends")


def test_with_fail_fast_a_sheet_that_needs_what_is_in_flight_is_not_promised() -> None:
    bench = Bench(score(stage(), stage(), stage([2]), at_once=2))
    bench.go()
    bench.fail(1)
    following = job_view(bench.state, bench.now).next
    assert following is not None
    assert following.text == "sheet 2 ends"


def test_without_fail_fast_everything_that_is_not_blocked_still_runs() -> None:
    bench = Bench(score(stage(), stage([1]), stage(), stage([3]), fail_fast=False))
    bench.go()
    bench.fail(1)
    assert bench.play() == [3, 4]
    assert bench.sheets == ["failed", "pending", "completed", "completed"]
    assert bench.status is JobStatus.FAILED


def test_a_failed_sheet_blocks_all_that_need_it_directly_or_not() -> None:
    bench = Bench(score(stage(), stage(), stage([1, 2]), stage([3]), stage(), fail_fast=False))
    bench.go()
    bench.fail(1)
    bench.fail(2)
    blocked = {number: sheet_views(bench.state, [number])[0].blocked_by for number in range(1, 6)}
    assert blocked == {1: [], 2: [], 3: [1, 2], 4: [1, 2], 5: []}


def test_stagger_is_the_least_time_between_two_starts() -> None:
    bench = wide(3, parallel=Parallelism(max_concurrent=3, stagger_seconds=2.0))
    assert bench.go() == [1]
    assert bench.last is not None
    assert bench.last.wake == bench.now.plus(2000)
    assert bench.tick(1.999) == []
    assert not could_use_slot(bench.state, bench.now)
    assert [wait.waiting_for for wait in job_view(bench.state, bench.now).waiting] == ["pacing"]
    assert bench.tick(0.001) == [2]
    assert bench.tick(2) == [3]
    assert bench.last.wake is None


def test_the_pause_between_sheets_is_waited_after_the_last_sheet_in_flight_has_ended() -> None:
    bench = wide(3, parallel=Parallelism(max_concurrent=2, pause_between_sheets_seconds=30.0))
    bench.go()
    bench.end(1)
    assert bench.flying == [2, 3]
    bench.end(2)
    bench.after(60).end(3)
    assert bench.status is JobStatus.COMPLETED


def test_the_pause_between_sheets_keeps_the_next_sheet_back() -> None:
    bench = Bench(chain(2, parallel=Parallelism(pause_between_sheets_seconds=30.0)))
    bench.go()
    bench.end(1)
    following = job_view(bench.state, bench.now).next
    assert following is not None
    assert (following.code, following.text, following.due_at) == (
        "start",
        "sheet 2 starts",
        "2026-11-24T12:00:30.000Z",
    )
    assert bench.go() == []
    assert bench.tick(30) == [2]


def test_a_pause_keeps_what_is_left_of_pacing() -> None:
    bench = Bench(chain(2, parallel=Parallelism(pause_between_sheets_seconds=30.0)))
    bench.go()
    bench.end(1)
    bench.after(10).ask(Action.PAUSE)
    assert bench.status is JobStatus.PAUSED
    bench.after(3600).ask(Action.RESUME)
    assert bench.tick(19) == []
    assert bench.tick(1) == [2]


def test_a_stagger_that_lasts_longer_than_the_pause_between_sheets_is_kept() -> None:
    bench = Bench(chain(2, parallel=Parallelism(pause_between_sheets_seconds=1.0, stagger_seconds=5.0)))
    bench.go()
    bench.after(1).end(1)
    assert bench.tick(3) == []
    assert bench.tick(1) == [2]


def test_the_cost_limit_is_warned_of_once() -> None:
    bench = Bench(chain(4, cost_limits=CostLimits(max_cost_per_job=10.0, warn_at_percent=50.0)))
    bench.go()
    for sheet in (1, 2, 3):
        bench.end(sheet, cost_usd=3.0)
    warned = [event.text for event in bench.disk.events if event.type == "budget.warned"]
    assert warned == ["it has cost $6.00 of $10.00: 50 % are reached"]


def test_a_job_that_wants_a_slot_says_so() -> None:
    bench = Bench(chain(1))
    view = job_view(bench.state, bench.now)
    assert [(wait.sheet, wait.waiting_for, wait.until_at) for wait in view.waiting] == [(1, "slot", None)]
    assert could_use_slot(bench.state, bench.now)
    bench.go()
    assert not could_use_slot(bench.state, bench.now)


def test_a_job_without_a_slot_between_sheets_is_running_and_waits_for_one() -> None:
    bench = Bench(chain(2), slots=1)
    bench.go()
    bench.slots = 0
    bench.end(1)
    assert bench.status is JobStatus.RUNNING
    following = job_view(bench.state, bench.now).next
    assert following is not None
    assert following.text == "sheet 2 starts when a slot is free"


def test_the_model_of_an_attempt_is_that_of_the_settings() -> None:
    bench = Bench(score(stage(settings={"model": "big"}), stage(settings={"cli_model": "small"}), at_once=2))
    bench.go()
    assert [attempt.model for attempt in bench.state.attempts.values()] == ["big", "small"]


@each("held", [False, True])
def test_a_job_wakes_for_its_waits_only_while_it_may_start(held: bool) -> None:
    bench = Bench(chain(1))
    bench.go()
    if held:
        bench.ask(Action.PAUSE)
    decision = bench.end(1, Outcome.FAILED, category="exit")
    assert decision.wake == (None if held else bench.now.plus(10_000))


def test_the_first_wait_to_end_is_told_by_the_boot_clock_when_the_wall_clock_was_moved() -> None:
    bench = wide(2, at_once=2, fail_fast=False)
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    late = bench.sheet(1).until
    moved = bench.now.plus(5_000)
    bench.now = type(moved)(moved.at - 3_600_000, moved.boot, moved.boottime)
    decision = bench.end(2, Outcome.FAILED, category="exit")
    assert decision.wake == late
