"""What pauses a job beside a person's plain pause, on a real daemon: --now, deadlines, ends, money, refusals."""

import pytest
from kit.daemon import gated, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def outcomes(daemon, job, sheet):
    return [attempt["outcome"] for attempt in daemon.attempts(job, sheet)]


# --- now and deadlines ---------------------------------------------------------------------------------------


def test_a_pause_now_interrupts_and_the_sheet_runs_again_uncounted(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    paused = daemon.rpc("job.pause", job_id="duo", now=True, wait=True)
    assert (paused["status"], paused["acknowledged"], paused["in_flight"]) == ("paused", True, [])
    assert outcomes(daemon, "duo", 1) == ["interrupted"]
    daemon.rpc("job.resume", job_id="duo")
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert outcomes(daemon, "duo", 1) == ["interrupted", "succeeded"]
    assert [attempt["kind"] for attempt in daemon.attempts("duo", 1)] == ["first", "first"]
    assert ledger.lines() == ["start 1", "start 1", "end 1", "start 2", "end 2"]
