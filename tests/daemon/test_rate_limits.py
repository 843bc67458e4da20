"""A rate limit is met once and waited for by all jobs of that account; others go on, and time or hand ends it."""

import shutil
import subprocess

import pytest
from kit.accounts import limited, stage_with_accounts, tries

LATER = ("unshare", "--time", "--boottime", "120")
"""Runs a command two minutes ahead on the clock of this boot."""


@pytest.fixture
def stage(house):
    return stage_with_accounts(house)


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*LATER, "true"], capture_output=True, check=False).returncode != 0,
    reason="no time namespace can be made here",
)
def test_a_limit_outlives_the_daemon_and_ends_by_itself_one_sheet_first(stage, ledger):
    mood = limited(stage, "a", "b", "c")
    stage.kill()
    stage.start()
    assert stage.status("c")["waiting"][0]["waiting_for"] == "rate_limit"
    assert stage.rpc("daemon.status")["rate_limits"][0]["waiting"] == 3
    stage.kill()
    mood.unlink()
    stage.start(*LATER)
    for job in ("a", "b", "c"):
        assert stage.wait_for(job, "ended")["status"] == "completed"
    events = [
        e for e in stage.journal() if e["type"] in ("limit.lifted", "attempt.started", "sheet.completed")
    ]
    since = [event["type"] for event in events if event["sheet"] in (None, 1)]
    assert since[:4] == ["attempt.started", "attempt.started", "limit.lifted", "sheet.completed"], since
    assert len(tries(ledger, "one")) == 4
