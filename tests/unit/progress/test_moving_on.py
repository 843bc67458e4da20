"""A sheet moves along its chain of instruments: why, with what, and how far."""

import re

import msgspec
from kit.scores import PROFILES, Bench, score, stage
from kit.tables import each

from marianned.instruments.profile import Profile
from marianned.lifecycle import Action
from marianned.progress.state.triggers import SkipEvaluated
from marianned.progress.views.job import sheet_views
from marianned.protocol import JobStatus, Outcome
from marianned.rows import Account, LimitRow
from marianned.score.expanded import Fallback, RetryPolicy, SkipRules

NAMES = ("claude-code", "second", "third")
THREE = {**PROFILES, **{name: Profile(name=name, kind="cli") for name in NAMES}}


def on(name: str, **settings: object) -> Fallback:
    return Fallback(
        instrument=name, settings=settings, timeout_seconds=60.0, working_directory=f"/home/ann/{name}"
    )


def bench(count: int = 1, tries: int = 1) -> Bench:
    retry = RetryPolicy(max_retries=tries, jitter=False)
    made = score(stage(count=count), profiles=THREE, retry=retry)
    sheets = [msgspec.structs.replace(sheet, fallbacks=CHAIN) for sheet in made.sheets]
    return Bench(msgspec.structs.replace(made, sheets=tuple(sheets)))


CHAIN = (on("second", model="m2"), on("third"))


def limit(to: Bench, name: str, seconds: float, model: str = "") -> None:
    row = LimitRow(instrument=name, model=model, until=to.now.plus(round(seconds * 1000)), since=to.now.at)
    to.state.limits = {**to.state.limits, row.account: row}


def instrument(of: Bench, sheet: int = 1) -> str:
    return of.state.attempts[of.sheet(sheet).uid].instrument


@each(
    ("outcome", "category"),
    [
        (Outcome.FAILED, "unavailable"),
        (Outcome.FAILED, "refused"),
        (Outcome.FAILED, "auth"),
        (Outcome.RATE_LIMITED, "rate_limit"),
    ],
)
def test_what_another_instrument_may_mend_moves_the_sheet_on_at_once(outcome: Outcome, category: str) -> None:
    moving = bench()
    moving.go()
    assert instrument(moving) == "claude-code"
    moving.end(1, outcome, category=category, message="no")
    assert instrument(moving) == "second"
    attempt = moving.state.attempts[moving.sheet(1).uid]
    assert (attempt.model, attempt.kind, moving.sheet(1).tries) == ("m2", "first", 0)
    assert attempt.time_limit_at == moving.now.at + 60_000
    assert sheet_views(moving.state, [1])[0].instrument == "second"
    (told,) = [event for event in moving.disk.events if event.type == "sheet.fallback"]
    assert told.text == "sheet 1: goes on with second instead of claude-code: " + (
        "no" if outcome is Outcome.FAILED else "rate limit"
    )


def test_used_up_tries_move_it_on_and_each_instrument_has_its_own() -> None:
    moving = bench(tries=1)
    moving.go()
    played = []
    while moving.status is JobStatus.RUNNING:
        if not moving.flying:
            moving.tick(100.0)
        played.append(instrument(moving))
        moving.end(1, Outcome.FAILED, category="exit", message="exit 1")
    assert played == [name for name in NAMES for _ in range(2)]
    assert (moving.status, moving.sheet(1).error_message) == (JobStatus.FAILED, "exit 1")


def test_what_no_instrument_mends_fails_where_it_is() -> None:
    moving = bench()
    moving.go()
    moving.fail(1, "config")
    assert (moving.sheets, moving.sheet(1).fallback) == (["failed"], 0)


def test_on_the_last_one_a_rate_limit_is_waited_for_and_refused_credentials_hold() -> None:
    waiting, held = bench(), bench()
    for moving in (waiting, held):
        moving.go()
        for _ in range(2):
            moving.fail(1, "unavailable")
        assert instrument(moving) == "third"
    waiting.end(1, Outcome.RATE_LIMITED)
    assert waiting.sheets == ["waiting"]
    assert waiting.state.account(1) == Account("third")
    held.fail(1, "auth")
    assert held.status is JobStatus.PAUSED


def test_one_whose_own_account_is_limited_is_skipped() -> None:
    moving = bench()
    moving.go()
    limit(moving, "second", 600, "m2")
    moving.fail(1, "auth")
    assert instrument(moving) == "third"


def test_a_fallback_that_differs_by_env_alone_is_an_account_of_its_own() -> None:
    retry = RetryPolicy(max_retries=1, jitter=False)
    made = score(stage(count=2), profiles=THREE, retry=retry)
    chain = (
        on("claude-code", env={"CLAUDE_CONFIG_DIR": "/second"}),
        on("claude-code", env={"B": "1", "A": "2"}),
    )
    sheets = [msgspec.structs.replace(sheet, fallbacks=chain) for sheet in made.sheets]
    moving = Bench(msgspec.structs.replace(made, sheets=tuple(sheets)))
    moving.go()
    moving.end(1, Outcome.RATE_LIMITED, category="rate_limit", message="429")
    assert (moving.flying, moving.sheet(1).fallback) == ([1], 1), "it goes on at once with the other account"
    first, second = (str(moving.state.account(sheet)) for sheet in (2, 1))
    assert first == "claude-code"
    assert re.fullmatch(r"claude-code \(CLAUDE_CONFIG_DIR [0-9a-f]{8}\)", second)
    (told,) = [event for event in moving.disk.events if event.type == "sheet.fallback"]
    assert told.text == f"sheet 1 (1.1): goes on with {second} instead of {first}: rate limit"
    moving.end(1, Outcome.RATE_LIMITED, category="rate_limit", message="429")
    assert moving.sheet(1).fallback == 2
    assert re.fullmatch(r"claude-code \(A B [0-9a-f]{8}\)", str(moving.state.account(1)))


def test_a_sheet_that_finds_its_account_limited_moves_on_before_its_first_attempt() -> None:
    moving = bench(count=2)
    limit(moving, "claude-code", 600)
    moving.go()
    assert (moving.flying, instrument(moving)) == ([1], "second")
    limit(moving, "second", 600, "m2")
    limit(moving, "third", 600)
    moving.end(1)
    assert (moving.sheet(2).fallback, moving.state.next_fallback(2, moving.now)) == (1, None)


def test_it_stays_there_over_a_pause_and_begins_anew_where_the_sheet_does() -> None:
    moving = bench()
    moving.go()
    moving.fail(1, "unavailable")
    moving.ask(Action.PAUSE)
    moving.end(1, Outcome.LOST)
    moving.ask(Action.RESUME)
    assert instrument(moving) == "second"
    for _ in range(2):
        moving.fail(1, "unavailable")
    assert moving.status is JobStatus.FAILED
    moving.ask(Action.RESUME)
    assert instrument(moving) == "claude-code"


def test_a_chain_that_a_modify_changes_begins_anew() -> None:
    moving = bench(count=2)
    limit(moving, "claude-code", 600)
    moving.go()
    assert moving.sheet(2).fallback == 1
    moving.ask(Action.MODIFY_RESUME, score(stage(count=2), profiles=THREE))
    moving.end(1)
    assert [moving.sheet(number).fallback for number in (1, 2)] == [0, 0]


def test_an_entry_that_can_t_be_used_here_is_passed_over() -> None:
    moving = bench()
    moving.state.unusable = frozenset({"second"})
    moving.go()
    moving.end(1, Outcome.FAILED, category="auth", message="no")
    assert instrument(moving) == "third"


@each("limited_by_others", [False, True])
def test_a_limited_sheet_waits_when_nothing_behind_its_instrument_can_be_used(
    limited_by_others: bool,
) -> None:
    moving = bench()
    moving.state.unusable = frozenset({"second", "third"})
    if limited_by_others:
        limit(moving, "claude-code", 600)
        moving.go()
        assert (moving.flying, moving.sheet(1).fallback, moving.sheet(1).status) == ([1], 0, "running")
        return
    moving.go()
    moving.end(1, Outcome.RATE_LIMITED, category="rate_limit", message="429")
    assert (moving.sheet(1).waiting_for, moving.sheet(1).fallback) == ("rate_limit", 0)


def test_a_sheet_that_moves_on_is_not_asked_again_whether_to_skip_it() -> None:
    moving = bench()
    made = moving.state.score
    sheets = [msgspec.structs.replace(sheet, skip=SkipRules(command="false")) for sheet in made.sheets]
    moving = Bench(msgspec.structs.replace(made, sheets=tuple(sheets)))
    moving.go()
    moving.step(SkipEvaluated(uid=moving.sheet(1).uid, skip=False))
    moving.end(1, Outcome.FAILED, category="auth", message="no")
    assert [attempt.kind for attempt in moving.state.attempts.values()] == ["first"]
