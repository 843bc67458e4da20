"""The time limit of an attempt is its supervisor's: it holds without the daemon, and leaves nothing behind."""

from kit.daemon import DEADLINE, gated, gone, score


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
