"""Events carry facts: what programs go by, beside the text for people."""

import pytest
from kit.daemon import gated, hooked, plain, score


def facts(daemon, job, kind, *names, at=0):
    events = [event for event in daemon.journal(job) if event["type"] == kind]
    return tuple(events[at][name] for name in names)


@pytest.mark.slow
def test_starts_waits_and_ends_of_attempts_carry_facts(daemon):
    retry = {"max_retries": 1, "base_delay_seconds": 0.05, "jitter": False}
    daemon.submit(score("duo", ["test -e once || { touch once; exit 7; }", "kill -TERM $$"], retry=retry))
    daemon.wait_for("duo", "failed")
    (first, *_) = daemon.attempts("duo", 1)
    assert facts(daemon, "duo", "attempt.started", "kind", "instrument", "model", "outcome") == (
        *("first", "cli", None),
        None,
    )
    assert facts(daemon, "duo", "attempt.started", "time_limit_at")[0] > first["started_at"]
    ended = facts(
        daemon, "duo", "attempt.ended", "outcome", "exit_code", "error_category", "duration_seconds"
    )
    assert ended[:3] == ("failed", 7, "exit")
    assert 0 <= ended[3] < 60
    waits = facts(daemon, "duo", "sheet.waiting", "waiting_for", "until_at", "hold")
    assert waits[0] == "retry"
    assert waits[1] > first["ended_at"]
    killed = [event for event in daemon.journal("duo") if event["type"] == "attempt.ended"][-1]
    assert (killed["exit_code"], killed["signal"], killed["cost_usd"]) == (None, "SIGTERM", 0.0)


def test_holds_ride_on_the_events_that_bring_and_end_them(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("one", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="one", reason="lunch", **{"for": 0.2})
    (hold,) = facts(daemon, "one", "job.pausing", "hold")
    assert (hold["cause"], hold["reason"], hold["ends_at"]) == ("user", "lunch", None)
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")
    (ended,) = facts(daemon, "one", "hold.ended", "hold")
    assert (ended["reason"], ended["ends_at"] is not None) == ("lunch", True)
    daemon.submit(score("two", ["exit 3"], on_failure="pause"))
    daemon.wait_for("two", "paused")
    (hold,) = facts(daemon, "two", "hold.added", "hold")
    assert (hold["cause"], hold["owner"]) == ("failure", None)


def test_hooks_tell_how_they_ended(daemon):
    hooks = [{"type": "run_command", "command": "exit 4", "timeout_seconds": 50, "on_failure": "continue"}]
    daemon.submit(hooked("one", hooks))
    daemon.wait_for("one", "ended")
    assert facts(daemon, "one", "hook.failed", "outcome", "exit_code") == ("failed", 4)
    assert facts(daemon, "one", "hook.started", "time_limit_at")[0] is not None
