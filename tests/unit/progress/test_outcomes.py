"""What the end of an attempt means for its sheet: tries, delays, completions, losses, credentials."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kit.scores import Bench, chain, report, score, stage
from kit.tables import each

from marianned.lifecycle import Action
from marianned.progress.deciding.outcomes import retry_delay
from marianned.progress.state.triggers import AttemptEnded
from marianned.progress.views.messages import hints
from marianned.progress.views.reasons import reasons
from marianned.protocol import JobStatus, Outcome
from marianned.score.expanded import RetryPolicy, StagePauses


def failing(retry: RetryPolicy | None = None, **fields: Any) -> Bench:
    bench = Bench(score(stage(**fields), retry=retry or RetryPolicy(jitter=False)))
    bench.go()
    return bench


def again(bench: Bench, **fields: Any) -> float:
    """Let sheet 1 fail in a way that is tried again; return the seconds until then, and wait for them."""
    bench.end(1, Outcome.FAILED, **{"category": "exit"} | fields)
    until = bench.sheet(1).until
    assert until is not None
    seconds = bench.now.until(until) / 1000
    assert bench.tick(seconds) == [1]
    return seconds


def test_retries_wait_twice_as_long_each_time() -> None:
    bench = failing()
    assert [again(bench) for _ in range(3)] == [10.0, 20.0, 40.0]
    bench.end(1, Outcome.FAILED, category="exit", message="exit 1")
    assert bench.status is JobStatus.FAILED
    row = bench.sheet(1)
    assert (row.attempts, row.tries, row.error_category, row.error_message) == (4, 4, "exit", "exit 1")


def test_a_retry_never_starts_before_its_delay_is_over() -> None:
    bench = failing()
    bench.end(1, Outcome.FAILED, category="exit")
    assert bench.sheet(1).status == "waiting"
    assert bench.tick(9.999) == []
    assert bench.tick(0.001) == [1]


def test_delays_are_capped_and_their_base_can_be_set() -> None:
    retry = RetryPolicy(jitter=False, base_delay_seconds=4.0, exponential_base=3.0, max_delay_seconds=30.0)
    bench = failing(retry)
    assert [again(bench) for _ in range(3)] == [4.0, 12.0, 30.0]


@given(
    number=st.integers(1, 5_000),
    chance=st.floats(0, 1),
    base=st.floats(0.001, 1e5),
    most=st.floats(1e-3, 1e5),
    exponential=st.floats(1.0001, 1e6),
)
def test_jitter_moves_a_delay_by_a_quarter_at_most_and_never_over_the_cap(
    number: int, chance: float, base: float, most: float, exponential: float
) -> None:
    most = max(base, most)
    given_retry = RetryPolicy(base_delay_seconds=base, max_delay_seconds=most, exponential_base=exponential)
    exact = retry_delay(RetryPolicy(**{**_fields(given_retry), "jitter": False}), number, chance)
    delay = retry_delay(given_retry, number, chance)
    assert base <= exact <= most
    assert 0.75 * exact * 0.999999 <= delay <= min(most, 1.25 * exact * 1.000001)


def _fields(retry: RetryPolicy) -> dict[str, Any]:
    return {name: getattr(retry, name) for name in retry.__struct_fields__}


def test_the_thousandth_retry_waits_as_long_as_the_cap_says() -> None:
    assert retry_delay(RetryPolicy(jitter=False, max_delay_seconds=60.0), 2_000, 0.5) == 60.0


def test_jitter_comes_in_as_a_value() -> None:
    bench = failing(RetryPolicy())
    assert [again(bench, chance=chance) for chance in (0.0, 0.5, 1.0)] == [7.5, 20.0, 50.0]


@each("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_try_that_failed_or_took_too_long_is_tried_again(outcome: Outcome) -> None:
    bench = failing()
    bench.end(1, outcome, category="timeout")
    assert (bench.sheet(1).tries, bench.sheet(1).next_kind) == (1, "retry")
    bench.tick(10)
    assert next(iter(bench.state.attempts.values())).kind == "retry"


@each("category", ["config", "unavailable", "refused"])
def test_what_no_retry_can_mend_fails_at_once(category: str) -> None:
    bench = failing()
    bench.end(1, Outcome.FAILED, category=category, message="it is not there")
    assert bench.sheets == ["failed"]
    assert bench.status is JobStatus.FAILED


@each(
    ("message", "first"),
    [
        ("no such partition", "mzt modify j -c FILE -r"),
        ("no such partition; change that, then type: mzt restart", "mzt restart"),
    ],
)
@each("pauses", [False, True])
def test_what_a_resume_can_only_meet_again_is_told_with_the_change_first(
    message: str, first: str, *, pauses: bool
) -> None:
    triggers = {1: StagePauses(pause_on_fail=True)} if pauses else {}
    bench = Bench(score(stage(), triggers=triggers))
    bench.go()
    bench.end(1, Outcome.FAILED, category="refused", message=message)
    assert bench.status is (JobStatus.PAUSED if pauses else JobStatus.FAILED)
    (reason,) = [
        one for one in reasons(bench.state, bench.now, None, {}) if one.code in {"failed", "hold:failure"}
    ]
    assert [one.replace(bench.state.run.job_name, "j") for one in reason.hints] == [first]
    typed = [one.replace(bench.state.run.job_name, "j") for one in hints(bench.state, bench.status)]
    assert [one for one in typed if one != "mzt why j"][:2] == [first, "mzt resume j"]
    assert len(typed) == len(set(typed))


def partly(bench: Bench, passed: int, failed: int) -> None:
    reports = [report("passed")] * passed + [report("failed")] * failed
    bench.end(1, Outcome.FAILED, category="validation", validations=reports, message="some failed")


def test_a_partly_successful_attempt_is_completed_without_using_a_try() -> None:
    bench = failing()
    partly(bench, 2, 1)
    row = bench.sheet(1)
    assert (row.next_kind, row.tries, row.completions, row.validation_passed) == ("completion", 0, 1, False)
    assert bench.tick(4.999) == []
    assert bench.tick(0.001) == [1]
    assert next(iter(bench.state.attempts.values())).kind == "completion"


def test_half_of_the_checks_is_not_enough_for_a_completion() -> None:
    bench = failing()
    partly(bench, 1, 1)
    assert (bench.sheet(1).next_kind, bench.sheet(1).tries) == ("retry", 1)


def test_completions_count_anew_with_each_try_and_then_the_try_has_failed() -> None:
    bench = failing(RetryPolicy(jitter=False, max_retries=1, max_completion_attempts=2))
    kinds = []
    while bench.status is JobStatus.RUNNING:
        kinds.append(next(iter(bench.state.attempts.values())).kind)
        partly(bench, 2, 1)
        bench.tick(100)
    assert kinds == ["first", "completion", "completion", "retry", "completion", "completion"]
    assert bench.status is JobStatus.FAILED
    assert bench.sheet(1).tries == 2


def test_a_shell_sheet_is_never_asked_to_complete() -> None:
    bench = failing(instrument="shell")
    partly(bench, 9, 1)
    assert bench.sheet(1).next_kind == "retry"


def test_an_attempt_that_is_lost_runs_again_at_once_and_is_not_counted() -> None:
    bench = failing()
    bench.end(1, Outcome.LOST, category="lost")
    assert bench.flying == [1]
    assert (bench.sheet(1).tries, bench.sheet(1).attempts) == (0, 2)


def test_three_lost_attempts_in_a_row_fail_the_sheet() -> None:
    bench = failing()
    bench.end(1, Outcome.LOST, category="lost")
    bench.end(1, Outcome.LOST, category="lost")
    assert (bench.flying, bench.sheet(1).status) == ([], "waiting")
    assert bench.tick(9.999) == []
    assert bench.tick(0.001) == [1]
    bench.end(1, Outcome.LOST, category="lost")
    assert bench.sheets == ["failed"]
    assert bench.sheet(1).error_category == "lost"
    assert bench.sheet(1).error_message == "lost 3 times in a row"


@each(
    ("between", "wait"),
    [
        ({"outcome": Outcome.FAILED, "category": "exit"}, 10),
        ({"outcome": Outcome.RATE_LIMITED, "category": "rate_limit"}, 3600),
        ({"outcome": Outcome.INTERRUPTED}, 0),
    ],
)
def test_any_other_end_breaks_a_row_of_lost_attempts(between: dict[str, Any], wait: float) -> None:
    bench = failing()
    bench.end(1, Outcome.LOST)
    bench.end(1, Outcome.LOST)
    assert bench.tick(10) == [1]
    bench.end(1, **between)
    bench.tick(wait)
    bench.end(1, Outcome.LOST)
    assert bench.flying == [1]


def test_an_interrupted_attempt_uses_no_try_and_runs_again() -> None:
    bench = failing()
    bench.end(1, Outcome.INTERRUPTED)
    assert bench.flying == [1]
    assert (bench.sheet(1).tries, bench.sheet(1).next_kind) == (0, "first")


def test_a_rate_limit_waits_and_uses_no_try() -> None:
    bench = failing()
    bench.end(1, Outcome.RATE_LIMITED, category="rate_limit")
    row = bench.sheet(1)
    assert (row.status, row.waiting_for, row.tries, row.next_kind) == ("waiting", "rate_limit", 0, "first")
    assert bench.tick(3599.9) == []
    assert bench.tick(0.1) == [1]


def test_refused_credentials_hold_the_job_once_for_all_its_sheets() -> None:
    bench = Bench(score(stage(count=3), at_once=2))
    bench.go()
    for sheet in (1, 2):
        bench.end(sheet, Outcome.FAILED, category="auth", message="no key")
    assert bench.status is JobStatus.PAUSED
    assert [(hold.cause, hold.owner, hold.reason) for hold in bench.state.holds.values()] == [
        ("auth", None, "claude-code refuses its credentials: no key")
    ]
    assert bench.sheets == ["pending"] * 3
    assert bench.sheet(1).tries == 0
    bench.ask(Action.RESUME)
    assert bench.flying == [1, 2]


def test_a_record_of_a_closed_attempt_is_journalled_and_ignored() -> None:
    bench = failing()
    bench.end(1)
    before = bench.state.run
    bench.step(AttemptEnded(uid=1, attempt=1, outcome=Outcome.FAILED, category="exit"))
    bench.step(AttemptEnded(uid=99, attempt=1, outcome=Outcome.SUCCEEDED))
    assert bench.state.run == before
    assert [event.type for event in bench.disk.events[-2:]] == ["attempt.ignored"] * 2
    assert bench.status is JobStatus.COMPLETED


def test_a_late_record_of_an_attempt_does_not_end_the_one_after_it() -> None:
    bench = Bench(chain(1))
    bench.go()
    uid = bench.sheet(1).uid
    bench.end(1, Outcome.LOST)
    assert (bench.flying, bench.sheet(1).attempts) == ([1], 2)
    bench.step(AttemptEnded(uid=uid, attempt=1, outcome=Outcome.SUCCEEDED))
    assert (bench.flying, bench.sheets, bench.disk.events[-1].type) == ([1], ["running"], "attempt.ignored")


def test_what_an_attempt_cost_counts_for_its_sheet_and_its_job_whatever_its_outcome() -> None:
    bench = failing()
    bench.end(1, Outcome.FAILED, category="exit", cost_usd=0.25, input_tokens=100, output_tokens=10)
    bench.tick(10)
    bench.end(1, cost_usd=0.5, input_tokens=1, output_tokens=2)
    assert bench.sheet(1).cost_usd == 0.75
    cost = bench.state.cost
    assert (cost.usd, cost.known, cost.input_tokens, cost.output_tokens) == (0.75, True, 101, 12)


def test_a_cost_that_nobody_knows_is_told_as_not_known() -> None:
    bench = failing()
    bench.end(1)
    assert (bench.state.cost.usd, bench.state.cost.known) == (0.0, False)


def test_a_sheet_says_what_was_wrong_and_forgets_it_when_it_succeeds() -> None:
    bench = failing()
    bench.end(
        1,
        Outcome.FAILED,
        category="validation",
        message="1 of 1 validations failed",
        evidence="content_regex finds nothing",
        validations=[report("failed")],
    )
    assert bench.sheet(1).error_message == "content_regex finds nothing"
    bench.tick(10)
    bench.end(1, validations=[report("passed")])
    row = bench.sheet(1)
    assert (row.error_category, row.error_message, row.validation_passed) == (None, None, True)


def test_a_wait_goes_on_over_a_pause_with_what_remained_of_it() -> None:
    bench = Bench(chain(1))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.after(4).ask(Action.PAUSE)
    assert bench.status is JobStatus.PAUSED
    bench.after(3600).ask(Action.RESUME)
    until = bench.sheet(1).until
    assert until is not None
    assert bench.now.until(until) == 6_000
    assert bench.last is not None
    assert bench.last.wake == until
    assert bench.tick(5.999) == []
    assert bench.tick(0.001) == [1]
    assert bench.sheet(1).tries == 1


def test_a_wait_that_is_over_when_the_job_pauses_is_over_when_it_goes_on() -> None:
    bench = Bench(score(stage(count=2), at_once=2))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.after(5).ask(Action.PAUSE)
    bench.after(20).end(2)
    bench.after(100).ask(Action.RESUME)
    assert bench.flying == [1]


def test_a_rate_limit_lifts_whether_the_job_is_paused_or_not() -> None:
    bench = failing()
    bench.end(1, Outcome.RATE_LIMITED)
    bench.ask(Action.PAUSE)
    bench.after(7200).ask(Action.RESUME)
    assert bench.flying == [1]
