"""Rate limits of all jobs together: nobody before the end, one first, then a few seconds apart; and numbers."""

from collections import Counter

from marianned.clock import Instant
from marianned.conductor.capacity.rate_limits import (
    PROBE_MILLISECONDS,
    STAGGER_MILLISECONDS,
    STAGGERED_MILLISECONDS,
    RateLimiter,
)
from marianned.rows import Account, LimitRow

NOW = Instant(1_000_000, "boot", 5_000)
ONE = Account("one")
ANY = {ONE: None}
MINUTE = 60_000


def limit(until: Instant | None) -> LimitRow:
    return LimitRow(instrument="one", until=until, since=NOW.at)


def limited() -> RateLimiter:
    limits = RateLimiter()
    limits.put(limit(NOW.plus(MINUTE)), NOW)
    return limits


def start(limits: RateLimiter, job: int, count: int, now: Instant, flying: int | None = None) -> int:
    """Let a job start as many as it may; return how many."""
    started = min(limits.take(job, ANY, count, now)[ONE], count)
    limits.settle(job, Counter({ONE: started if flying is None else flying}), now)
    return started


def test_an_account_that_nobody_limits_is_open() -> None:
    assert start(RateLimiter(), 1, 16, NOW) == 16


def test_before_its_end_nobody_starts_and_its_end_is_known() -> None:
    limits = limited()
    assert start(limits, 1, 16, NOW.plus(MINUTE - 1)) == 0
    assert limits.freed(NOW) == []
    assert limits.enqueue(1, ANY, set(), NOW) == NOW.plus(MINUTE)
    assert limits.freed(NOW) == []
    assert limits.freed(NOW.plus(MINUTE)) == [1]
    assert limits.freed(NOW.plus(MINUTE)) == [], "each is told once"


def test_then_one_tries_alone_for_a_while() -> None:
    limits, end = limited(), NOW.plus(MINUTE)
    assert start(limits, 1, 16, end) == 1
    assert start(limits, 2, 16, end) == 0
    assert limits.enqueue(2, ANY, set(), end) == end.plus(PROBE_MILLISECONDS)
    assert start(limits, 2, 16, end.plus(PROBE_MILLISECONDS)) == 1
    assert start(limits, 3, 16, end.plus(PROBE_MILLISECONDS)) == 0
    assert start(limits, 3, 16, end.plus(PROBE_MILLISECONDS + STAGGER_MILLISECONDS)) == 1


def test_one_that_ended_without_telling_lets_the_next_try() -> None:
    limits, end = limited(), NOW.plus(MINUTE)
    assert start(limits, 1, 1, end) == 1
    limits.settle(1, Counter(), end)
    assert start(limits, 2, 16, end) == 1


def test_when_it_is_lifted_the_others_follow_apart_and_then_as_they_like() -> None:
    limits, end = limited(), NOW.plus(MINUTE)
    start(limits, 1, 1, end)
    limits.enqueue(2, {}, {ONE}, end)
    assert limits.freed(end) == []
    limits.put(limit(None), end)
    assert limits.freed(end) == [2]
    assert start(limits, 2, 16, end) == 1
    assert start(limits, 3, 16, end) == 0
    assert start(limits, 3, 16, end.plus(STAGGER_MILLISECONDS)) == 1
    assert start(limits, 4, 16, end.plus(STAGGERED_MILLISECONDS)) == 16


def test_a_limit_met_again_closes_again() -> None:
    limits, end = limited(), NOW.plus(MINUTE)
    start(limits, 1, 1, end)
    limits.put(limit(end.plus(MINUTE)), end)
    assert start(limits, 2, 16, end.plus(PROBE_MILLISECONDS - 1)) == 0
    assert start(limits, 2, 16, end.plus(MINUTE)) == 1


def test_one_known_from_the_disk_is_in_force_and_one_that_was_lifted_there_is_not() -> None:
    limits = RateLimiter()
    limits.put(limit(None), NOW)
    assert start(limits, 1, 16, NOW) == 16


def test_only_so_many_of_a_model_over_all_jobs() -> None:
    limits, most = RateLimiter(), {ONE: 3}
    assert limits.take(1, most, 2, NOW) == {ONE: 2}
    assert limits.take(2, most, 2, NOW) == {ONE: 1}, "what another decides about is not given twice"
    limits.settle(1, Counter({ONE: 2}), NOW)
    limits.settle(2, Counter(), NOW)
    assert limits.take(2, most, 2, NOW) == {ONE: 1}
    limits.settle(2, Counter({ONE: 1}), NOW)
    assert limits.closed(most, NOW) == {ONE}
    limits.enqueue(3, most, set(), NOW)
    assert limits.freed(NOW) == []
    limits.forget(1)
    assert limits.freed(NOW) == [3]


def test_a_models_number_counts_for_all_its_accounts_and_a_limit_for_one() -> None:
    limits, other = RateLimiter(), Account("one", env="HOME_OF_ONE 0a1b2c3d")
    most = {ONE: 3, other: 3}
    assert limits.take(1, most, 2, NOW) == {ONE: 2, other: 2}
    assert limits.take(2, most, 2, NOW) == {ONE: 1, other: 1}, "what is reserved is not counted twice"
    limits.settle(1, Counter({ONE: 1, other: 1}), NOW)
    limits.settle(2, Counter({other: 1}), NOW)
    assert limits.closed(most, NOW) == {ONE, other}
    limits.forget(1)
    limits.put(limit(NOW.plus(MINUTE)), NOW)
    assert limits.closed(most, NOW) == {ONE}


def test_who_stands_while_another_decides_is_told_when_that_one_has_started() -> None:
    limits, end = limited(), NOW.plus(MINUTE)
    limits.freed(end)
    assert limits.take(1, ANY, 1, end) == {ONE: 1}
    assert start(limits, 2, 1, end) == 0
    assert limits.enqueue(2, ANY, set(), end) is None
    limits.settle(1, Counter({ONE: 1}), end)
    assert limits.freed(end) == [2]
    assert limits.enqueue(2, ANY, set(), end) == end.plus(PROBE_MILLISECONDS)
    assert limits.freed(end) == []
