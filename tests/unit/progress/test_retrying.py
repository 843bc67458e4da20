"""Try now: a retry ends waits between attempts, keeps tries and holds, and starts nothing that may not."""

import re

import pytest
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import BadRequest, WrongStatus
from marianned.lifecycle import Action
from marianned.progress.views import messages
from marianned.progress.views.reasons import reasons
from marianned.protocol import JobStatus, Outcome


def waiting() -> Bench:
    """Sheets 1 and 2 have failed once and wait, 3 waits for a rate limit, 4 runs."""
    bench = Bench(score(*(stage() for _ in range(4)), at_once=4, fail_fast=False))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.end(2, Outcome.FAILED, category="exit")
    bench.end(3, Outcome.RATE_LIMITED, category="rate_limit")
    return bench


def test_waits_between_attempts_end_at_once_and_the_tries_are_kept() -> None:
    bench = waiting()
    answer = bench.answer(bench.ask(Action.RETRY))
    assert (answer.acknowledged, answer.retried) == (True, [1, 2])
    assert answer.message == "release-notes: running; sheets 1, 2 wait no more"
    assert bench.flying == [1, 2, 4]
    assert (bench.sheet(1).tries, bench.sheet(1).attempts, bench.sheet(3).waiting_for) == (1, 2, "rate_limit")


def test_a_resume_in_a_wait_says_when_the_next_attempt_is_due() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.ask(Action.PAUSE)
    answer = bench.answer(bench.ask(Action.RESUME))
    assert answer.next.due_at is not None
    assert re.fullmatch(r"release-notes: queued; sheet 1 is tried again in \d+s", answer.message)


def test_only_those_that_are_named_are_tried() -> None:
    bench = waiting()
    bench.ask(Action.RETRY, sheets="2")
    assert bench.flying == [2, 4]


@each(
    ("sheets", "said"),
    [
        ("4", "nothing is changed; sheet 4 is running"),
        ("1,3", "nothing is changed; sheet 3 waits for the rate limit of claude-code"),
    ],
)
def test_what_does_not_wait_for_an_attempt_is_refused_with_what_it_does(sheets: str, said: str) -> None:
    bench = waiting()
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.RETRY, sheets=sheets)
    assert refused.value.message == f"'release-notes' is running; {said}"
    assert refused.value.hints[0] == "mzt clear-rate-limits claude-code"
    with pytest.raises(BadRequest):
        bench.ask(Action.RETRY, sheets="9")


def test_where_nothing_waits_a_retry_is_refused_and_a_rate_limit_is_told() -> None:
    bench = waiting()
    bench.ask(Action.RETRY)
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.RETRY)
    said = "nothing waits for its next attempt; sheet 3 waits for the rate limit of claude-code"
    assert refused.value.message == f"'release-notes' is running; {said}"


def test_nothing_starts_under_a_hold_and_nothing_waits_after_it() -> None:
    bench = waiting()
    bench.ask(Action.PAUSE)
    bench.end(4)
    assert bench.status is JobStatus.PAUSED
    answer = bench.answer(bench.ask(Action.RETRY))
    assert answer.message == "release-notes: paused; sheets 1, 2 wait no more, nothing starts before a resume"
    assert (bench.flying, len(bench.state.holds)) == ([], 1)
    bench.crash()
    bench.ask(Action.RESUME)
    assert bench.flying == [1, 2]


def test_why_names_it_where_something_waits() -> None:
    bench = waiting()
    found = {tuple(reason.sheets): reason.hints for reason in reasons(bench.state, bench.now, None, {})}
    assert found[1,] == ["mzt retry release-notes 1"]
    assert found[3,] == ["mzt clear-rate-limits claude-code"]


def test_a_job_that_only_waits_for_a_try_names_what_ends_the_wait() -> None:
    bench = Bench(chain(2))
    bench.go()
    assert "mzt retry" not in str(messages.hints(bench.state, bench.status))
    bench.end(1, Outcome.FAILED, category="exit")
    assert messages.hints(bench.state, bench.status)[0] == f"mzt retry {bench.state.run.job_name}"


def test_what_runs_again_is_said_in_the_number_of_its_sheets() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.end(1)
    bench.end(2)
    bench.ask(Action.RESUME_FROM, sheets="2")
    told = [event.text for event in bench.disk.events if event.type == "sheets.rewound"]
    assert told == ["sheet 2 runs again"]
