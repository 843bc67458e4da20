"""A job that waits between two attempts is paused, killed, started and let go: it goes on where it stood."""

import pytest
from kit.daemon import score

PLAYER = """#!/bin/sh
note start $MARIANNE_SHEET
if [ -e "$HOME/limited" ]; then echo '{"type":"result","is_error":true,"result":"429 rate limit"}'; exit 1; fi
if [ -e first ] && [ -e second ]; then touch third; fi
touch first second
echo '{"type":"result","is_error":false,"result":"ok","total_cost_usd":0.6}'
"""


@pytest.fixture
def played(house):
    """A daemon that finds a stand-in as `claude`: it does most of its work at first, and the rest when asked again."""
    house.install("claude", PLAYER)
    return house.start()


def interrupted(daemon, job, waiting_for):
    """Pause the job in its wait and kill the daemon; return the first sheet as the next daemon tells it."""
    daemon.event(job, "sheet.waiting")
    assert daemon.rpc("job.pause", job_id=job, wait=True)["status"] == "paused"
    daemon.kill()
    daemon.start()
    status = daemon.status(job)
    assert status["status"] == "paused"
    assert status["sheets"][0]["waiting_for"] == waiting_for
    return status["sheets"][0]


def ended(daemon, job):
    """Let the job go; return each attempt's kind and outcome."""
    daemon.rpc("job.resume", job_id=job)
    assert daemon.wait_for(job, "ended")["status"] == "completed"
    return [(one["kind"], one["outcome"]) for one in daemon.attempts(job, 1)]


def test_the_wait_for_a_retry(daemon, ledger):
    retry = {"max_retries": 1, "base_delay_seconds": 1, "jitter": False}
    daemon.submit(score("job", ['note start 1; test -e "$HOME/mended"'], retry=retry))
    assert interrupted(daemon, "job", "retry")["attempt_count"] == 1
    (daemon.home / "mended").touch()
    assert ended(daemon, "job") == [("first", "failed"), ("retry", "succeeded")]
    assert ledger.lines() == ["start 1", "start 1"]


def test_the_wait_for_a_completion(played, ledger):
    checks = [
        {"type": "file_exists", "path": name, "retry_count": 0} for name in ("first", "second", "third")
    ]
    retry = {"completion_delay_seconds": 1}
    played.submit(score("job", ["play"], instrument="claude-code", validations=checks, retry=retry))
    interrupted(played, "job", "retry")
    assert ended(played, "job") == [("first", "failed"), ("completion", "succeeded")]
    assert ledger.lines() == ["start 1", "start 1"]


def test_the_wait_for_a_rate_limit(played, ledger):
    (played.home / "limited").touch()
    played.submit(score("job", ["play"], instrument="claude-code"))
    interrupted(played, "job", "rate_limit")
    (played.home / "limited").unlink()
    assert played.rpc("instrument.clear_limits")["cleared"] == 1
    assert ended(played, "job") == [("first", "rate_limited"), ("first", "succeeded")]


def test_the_hold_of_a_cost_limit(played, ledger):
    limits = {"max_cost_per_job": 0.5}
    played.submit(score("job", ["play", "play"], instrument="claude-code", cost_limits=limits))
    assert played.wait_for("job", "paused", "ended")["status"] == "paused"
    played.kill()
    played.start()
    assert [hold["cause"] for hold in played.status("job")["holds"]] == ["budget"]
    played.rpc("job.resume", job_id="job", over_budget=5.0)
    assert played.wait_for("job", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "start 2"]
