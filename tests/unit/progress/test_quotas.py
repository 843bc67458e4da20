"""Waits for a rate are counted against one limit, those for a quota against another."""

from datetime import UTC, datetime

from kit.scores import Bench, score, stage
from kit.tables import each

from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify
from marianned.instruments.result import ParsedOutput
from marianned.protocol import Outcome
from marianned.score.expanded import RateLimitPolicy


@each(("quota", "waits"), [(False, 1), (True, 3)])
def test_a_sheet_waits_longer_for_a_quota_than_for_a_rate(quota: bool, waits: int) -> None:
    limits = RateLimitPolicy(wait_seconds=60, max_waits=1, max_quota_waits=3)
    bench = Bench(score(stage(), rate_limit=limits))
    bench.go()
    for _ in range(waits):
        bench.end(1, Outcome.RATE_LIMITED, quota=quota, message="slow down")
        assert bench.sheet(1).waiting_for == "rate_limit"
        bench.tick(61)
    bench.end(1, Outcome.RATE_LIMITED, quota=quota, message="slow down")
    assert (bench.sheet(1).status, bench.sheet(1).error_category) == ("failed", "rate_limited")


@each(
    ("said", "quota"),
    [(b"RESOURCE_EXHAUSTED: Quota exceeded for requests", True), (b"status 429: too many requests", False)],
)
def test_a_quota_is_told_by_its_name(said: bytes, quota: bool) -> None:
    verdict = classify(
        builtin_profiles()["gemini-cli"],
        ParsedOutput(result="", parsed=False),
        exit_code=1,
        signal=None,
        timed_out=False,
        stderr=said,
        now=datetime.now(UTC),
    )
    assert (verdict.outcome, verdict.quota) == (Outcome.RATE_LIMITED, quota)
