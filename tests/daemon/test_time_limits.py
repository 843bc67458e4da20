"""The time limit of an attempt is its supervisor's: it holds without the daemon, and leaves nothing behind."""

import pytest
from kit.daemon import DEADLINE, gated, gone, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def limited(body, seconds):
    return score("solo", [body], instrument_config={"timeout_seconds": seconds})


def test_a_time_limit_holds_while_the_daemon_is_dead(daemon, ledger):
    daemon.gate(1)
    daemon.submit(limited(gated(1), 1))
    ledger.wait_for("start 1")
    daemon.kill()
    while left := daemon.processes("MARIANNE_SHEET=1"):
        assert all(gone(pid, DEADLINE) for pid in left)
    daemon.start()
    daemon.wait_for("solo", "failed")
    attempts = daemon.attempts("solo", 1)
    assert [(attempt["outcome"], attempt["error_category"]) for attempt in attempts] == [
        ("timed_out", "timeout")
    ]
    assert ledger.lines() == ["start 1"]


@pytest.mark.own_daemon("it is set up")
def test_a_time_limit_leaves_no_detached_process(house, ledger):
    house.configure('kill_grace = "200ms"\n')
    house.start()
    house.gate(1)
    house.submit(limited("escape; trap '' TERM; " + gated(1), 3))
    for line in ("start 1", "detached session", "detached twice", "detached deaf"):
        ledger.wait_for(line)
    house.wait_for("solo", "failed")
    assert house.attempts("solo", 1)[0]["outcome"] == "timed_out"
    assert house.processes("MARIANNE_JOB=solo") == []


def waits_out(seconds):
    """A sheet that works for so long once its gate is open."""
    return f"{gated(1)}; sleep {seconds}; note over"


@pytest.mark.parametrize("restarted", [False, True], ids=["one daemon", "killed and started again"])
def test_a_limit_that_is_raised_lets_what_is_in_flight_go_on(daemon, ledger, restarted, runs_on):
    daemon.gate(1)
    daemon.submit(limited(waits_out(3.5), 3))
    ledger.wait_for("start 1")
    if runs_on == "slurm":
        daemon.event("solo", "attempt.placed")  # before, nobody knows from when its time counts
    reply = daemon.modify("solo", limited(waits_out(3.5), 600), resume=True)
    (line,) = reply["plan"]
    assert (line["action"], line["why"]) == ("in-flight", "finishes under revision 1; limit 10m")
    (flight,) = daemon.status("solo")["in_flight"]
    said = daemon.event("solo", "attempt.extended")
    assert said["text"] == "sheet 1: attempt 1: limit 10m, was 3s"
    if restarted:
        daemon.kill()
        daemon.start()
        assert daemon.status("solo")["in_flight"][0]["time_limit_at"] == flight["time_limit_at"]
    daemon.gate(1).open()
    daemon.wait_for("solo", "completed")
    assert ledger.lines() == ["start 1", "end 1", "over"]
    (attempt,) = daemon.attempts("solo", 1)
    assert (attempt["outcome"], attempt["revision"]) == ("succeeded", 1)


def test_an_attempt_that_reaches_its_raised_limit_says_which_that_was(daemon, ledger):
    daemon.gate(1)
    daemon.submit(limited(gated(1), 2))
    ledger.wait_for("start 1")
    daemon.modify("solo", limited(gated(1), 4))
    daemon.wait_for("solo", "paused")
    (attempt,) = daemon.attempts("solo", 1)
    assert attempt["outcome"] == "timed_out"
    assert "timed out after 4s" in daemon.event("solo", "attempt.ended")["text"]


def test_a_limit_that_is_lowered_shortens_nothing_that_runs(daemon, ledger):
    daemon.gate(1)
    daemon.submit(limited(gated(1), 600))
    ledger.wait_for("start 1")
    before = daemon.status("solo")["in_flight"]
    reply = daemon.modify("solo", limited(gated(1), 1), resume=True)
    assert reply["plan"][0]["why"] == "finishes under revision 1; its limit stays 10m"
    assert daemon.status("solo")["in_flight"] == before
    assert not (daemon.attempt_directory() / "limit").exists()
    daemon.gate(1).open()
    assert daemon.wait_for("solo", "completed")["status"] == "completed"


def test_a_limit_that_can_not_be_written_down_is_refused_and_nothing_changes(daemon, ledger):
    daemon.gate(1)
    daemon.submit(limited(gated(1), 600))
    ledger.wait_for("start 1")
    directory = daemon.attempt_directory()
    directory.chmod(0o755)  # not ours alone any more: nothing is written there
    before = daemon.status("solo")
    refused = daemon.refusal(
        "job.modify", job_id="solo", text=limited(gated(1), 900), directory=str(daemon.home), resume=True
    )
    assert refused.code == "E508"
    assert "the limit of sheet 1 of 'solo' can't be raised while it runs" in refused.message
    assert daemon.status("solo") == before
    directory.chmod(0o700)
    daemon.modify("solo", limited(gated(1), 900), resume=True)
    daemon.gate(1).open()
    daemon.wait_for("solo", "completed")
