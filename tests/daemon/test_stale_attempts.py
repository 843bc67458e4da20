"""Silence (docs/reference/score-format.md §16.2): kept by the supervisor, so through a pause, and while the daemon is dead."""

import pytest
from kit.daemon import gated, gone, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def quiet(body, **top):
    """A score whose sheet is ended when it is silent for a second."""
    silence = {"enabled": True, "idle_timeout_seconds": 1, "check_interval_seconds": "100ms"}
    return score("quiet", [body, "note start 2; note end 2"], stale_detection=silence, **top)


def test_silence_ends_an_attempt_through_a_pause_and_a_killed_daemon(daemon, ledger):
    daemon.gate(1)
    body = f'if mkdir "$HOME/once"; then {gated(1)}; else note again; fi'
    daemon.submit(quiet(body, retry={"max_retries": 1, "base_delay_seconds": "10ms"}))
    ledger.wait_for("start 1")
    assert daemon.rpc("job.pause", job_id="quiet")["status"] == "pausing"
    daemon.kill()
    for pid in daemon.processes("MARIANNE_SHEET=1"):
        assert gone(pid, 30)
    daemon.start()
    daemon.wait_for("quiet", "paused")
    first = daemon.attempts("quiet", 1)[0]
    assert (first["outcome"], first["error_category"]) == ("failed", "stale")
    text = daemon.event("quiet", "attempt.ended")["text"]
    assert text.endswith("silent for 1s: nothing printed, no file changed, no CPU time used")
    assert ledger.lines() == ["start 1"]
    daemon.rpc("job.resume", job_id="quiet")
    daemon.wait_for("quiet", "completed")
    assert ledger.lines() == ["start 1", "again", "start 2", "end 2"]
    assert [attempt["kind"] for attempt in daemon.attempts("quiet", 1)] == ["first", "retry"]
