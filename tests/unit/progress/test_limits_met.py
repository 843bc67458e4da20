"""What a job's attempts tell of rate limits: how long, for whom, and when they are over."""

import msgspec
from kit.scores import PROFILES, Bench, score, stage
from kit.tables import each

from marianned.instruments.profile import Profile
from marianned.progress.deciding.decide import decide
from marianned.progress.deciding.rate_limits import ALONE_SECONDS, LEAST_SECONDS, MOST_SECONDS
from marianned.progress.state.triggers import AttemptEnded
from marianned.progress.views.job import job_view, sheet_views
from marianned.progress.views.reasons import reasons
from marianned.protocol import Outcome
from marianned.rows import Account, AttemptRow, LimitRow
from marianned.score.expanded import RateLimitPolicy

CLAUDE = Account("claude-code")


def bench() -> Bench:
    wide = Bench(score(stage(count=2), at_once=2, rate_limit=RateLimitPolicy(wait_seconds=1_800)))
    wide.go()
    return wide


def met(on: Bench, sheet: int = 1, resets_in: float | None = None, chance: float = 0.0) -> LimitRow:
    decision = on.end(sheet, Outcome.RATE_LIMITED, resets_in=resets_in, chance=chance, message="429")
    (row,) = (row for row in decision.changes.rows if isinstance(row, LimitRow))
    on.state.limits = {**on.state.limits, row.account: row}
    return row


@each(
    ("said", "seconds"),
    [(None, 1_800), (300, 300), (2, LEAST_SECONDS), (9e9, ALONE_SECONDS), (0, LEAST_SECONDS)],
)
def test_it_lasts_as_the_tool_says_within_bounds_else_as_the_score_says(said: float, seconds: float) -> None:
    row = met(bench(), resets_in=said)
    assert row.until is not None
    assert (row.account, row.until.at - row.since) == (CLAUDE, seconds * 1000)


@each(("said", "ago", "left"), [(3_000, 600, 2_400), (3_000, 9_000, 0), (2, 30, 30)])
def test_what_a_tool_says_counts_from_the_end_of_its_process(said: float, ago: int, left: float) -> None:
    late = bench()
    late.after(ago)
    ended = late.now.at - ago * 1000
    decision = late.end(1, Outcome.RATE_LIMITED, resets_in=said, chance=0.0, ended_at=ended)
    (row,) = (row for row in decision.changes.rows if isinstance(row, LimitRow))
    assert row.until is not None
    assert late.now.until(row.until) == left * 1000
    attempts = [row for row in decision.changes.rows if isinstance(row, AttemptRow) and row.outcome]
    assert [attempt.ended_at for attempt in attempts] == [ended]


def test_a_long_wait_is_told_in_hours() -> None:
    texts = [
        event.text
        for event in bench().end(1, Outcome.RATE_LIMITED, resets_in=75_974, chance=0.0).changes.events
    ]
    assert any("waits 21h6m (rate_limit)" in text for text in texts), texts


def test_what_falls_back_on_the_scores_time_says_so() -> None:
    said = "no time given; looks again in 30m"
    silent, told = bench(), bench()
    assert met(silent).message == f"429 ({said})"
    assert met(told, resets_in=300).message == "429"
    assert met(told, 2).message == "429"  # what the other has heard is waited for
    alone = Bench(score(stage(), rate_limit=RateLimitPolicy(wait_seconds=1_800)))
    alone.go()
    texts = [event.text for event in alone.end(1, Outcome.RATE_LIMITED).changes.events]
    assert [said in text for text in texts] == [False, True, True], texts
    assert any(said in reason.text for reason in reasons(silent.state, silent.now, None, {}))


def test_what_a_tool_says_is_stretched_a_little_by_chance() -> None:
    row = met(bench(), resets_in=300, chance=1.0)
    assert row.until is not None
    assert row.until.at - row.since == 315_000


def test_one_that_says_nothing_does_not_move_what_another_has_said() -> None:
    both = bench()
    first = met(both, 1, resets_in=300)
    both.after(10)
    assert met(both, 2).until == first.until


def test_a_shell_script_is_nobody_s_account() -> None:
    shell = {**PROFILES, "claude-code": Profile(name="claude-code", kind="cli", raw_prompt=True)}
    alone = Bench(score(stage(), profiles=shell))
    alone.go()
    decision = alone.end(1, Outcome.RATE_LIMITED)
    assert not any(isinstance(row, LimitRow) for row in decision.changes.rows)
    assert alone.sheet(1).waiting_for == "rate_limit"


def test_the_step_that_meets_it_starts_nobody_else() -> None:
    wide = Bench(score(stage(count=2), at_once=1))
    wide.go()
    ending = AttemptEnded(uid=1, attempt=1, outcome=Outcome.RATE_LIMITED)
    decision = decide(wide.state, ending, wide.now, 16, {CLAUDE: 16})
    assert decision.starts == []


def test_a_ready_sheet_says_what_it_waits_for() -> None:
    wide = Bench(score(stage(count=2), at_once=1))
    row = LimitRow(instrument="claude-code", until=wide.now.plus(60_000), since=wide.now.at)
    wide.state.limits = {CLAUDE: row}
    view = sheet_views(wide.state, [2])[0]
    assert (view.status, view.waiting_for, view.until_at) == (
        "pending",
        "rate_limit",
        "2026-11-24T12:01:00.000Z",
    )
    told = job_view(wide.state, wide.now)
    assert [(wait.sheet, wait.waiting_for) for wait in told.waiting] == [(1, "rate_limit")]
    assert told.next is not None
    assert (told.next.code, told.next.text) == ("rate_limit", "sheet 1 starts")
    (reason,) = reasons(wide.state, wide.now, None, {})
    assert (reason.code, reason.text) == (
        "rate_limit",
        "sheet 1 (1.1) waits for the rate limit of claude-code",
    )


def test_only_what_started_behind_its_end_lifts_it() -> None:
    both = bench()
    row = met(both, 1, resets_in=60)
    both.after(30)
    assert not [row for row in both.end(2).changes.rows if isinstance(row, LimitRow)]
    again = bench()
    row = met(again, 1, resets_in=60)
    assert again.tick(60) == [1]
    (lifted,) = (row for row in again.end(1).changes.rows if isinstance(row, LimitRow))
    assert (lifted.account, lifted.until) == (row.account, None)


def test_a_sheet_that_waits_goes_on_as_soon_as_the_limit_is_lifted() -> None:
    both = bench()
    row = met(both, 1, resets_in=600)
    both.state.limits = {CLAUDE: LimitRow(instrument="claude-code", until=None, since=row.since)}
    assert both.tick(1) == [1]


def test_a_limit_that_is_met_again_after_one_was_lifted_is_waited_for() -> None:
    both = bench()
    row = met(both, 1, resets_in=600)
    both.state.limits = {CLAUDE: LimitRow(instrument="claude-code", until=None, since=row.since)}
    both.tick(1)
    met(both, 1, resets_in=9 * 86_400)
    assert (both.sheet(1).status, both.sheet(1).waiting_for) == ("waiting", "rate_limit")


def test_what_one_run_alone_has_heard_closes_the_account_for_others_for_an_hour_at_most() -> None:
    first = bench()
    row = met(first, 1, resets_in=9 * 86_400)
    assert row.until is not None
    assert row.said is not None
    assert (row.until.at - row.since, row.said.at - row.since) == (ALONE_SECONDS * 1000, 9 * 86_400_000)
    (waiting,) = (wait for wait in job_view(first.state, first.now).waiting if wait.sheet == 1)
    assert waiting.until_at == "2026-12-03T12:00:00.000Z"


def test_what_a_second_run_has_heard_too_closes_it_as_long_as_it_is_said() -> None:
    first, second = bench(), bench()
    row = met(first, 1, resets_in=7_200)
    second.state.run = msgspec.structs.replace(second.state.run, run_id=second.state.run.run_id + 1)
    second.state.limits = {row.account: row}
    again = met(second, 1, resets_in=7_260)
    assert again.until is not None
    assert again.until.at - again.since == 7_260_000


def test_a_reset_beyond_all_bounds_is_cut() -> None:
    row = met(bench(), resets_in=9e9)
    assert row.said is not None
    assert row.said.at - row.since == MOST_SECONDS * 1000
