"""The daemon is killed and started: what was promised is so, what ran goes on, nothing runs twice."""

import select

import pytest
from kit.daemon import DEADLINE, gated, gone, plain, score


def duo():
    return score("duo", [gated(1), plain(2)])


def test_paused_stays_paused_over_a_kill(daemon, ledger):
    daemon.gate(1)
    daemon.submit(duo())
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo", reason="holiday")
    daemon.gate(1).open()
    before = daemon.wait_for("duo", "paused")
    daemon.kill()
    daemon.start()
    after = daemon.status("duo")
    assert (after["status"], after["holds"], after["event"]) == ("paused", before["holds"], before["event"])
    assert after["status_since_at"] == before["status_since_at"]
    assert ledger.lines() == ["start 1", "end 1"]
    daemon.rpc("job.resume", job_id="duo")
    daemon.wait_for("duo", "completed")
    ledger.once(1, 2)


def test_a_sheet_that_fails_while_the_daemon_is_down_has_failed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1) + "; exit 7", plain(2)]))
    ledger.wait_for("start 1")
    daemon.kill()
    daemon.gate(1).open()
    ended(daemon, "MARIANNE_SHEET=1")
    daemon.start()
    assert daemon.wait_for("duo", "ended")["status"] == "failed"
    (attempt,) = daemon.attempts("duo", 1)
    assert attempt["exit_code"] == 7
    (told,) = (event for event in daemon.journal("duo") if event["type"] == "attempt.ended")
    assert attempt["ended_at"] < told["recorded_at"], "not when it was learnt"


def ended(daemon, variable):
    """Wait until none of these processes is left."""
    while left := daemon.processes(variable):
        assert all(gone(pid, DEADLINE) for pid in left)


def test_a_check_that_was_running_runs_again(daemon, ledger):
    daemon.gate("check")
    command = 'note checking; read _ < "$HOME/gate-check"'
    daemon.submit(score("solo", [plain(1)], validations=[{"type": "command_succeeds", "command": command}]))
    ledger.wait_for("checking")
    daemon.kill()
    daemon.start()
    ledger.wait_for("checking", times=2)
    daemon.gate("check").open(times=2)
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "checking", "checking"]
    assert [attempt["outcome"] for attempt in daemon.attempts("solo", 1)] == ["succeeded"]


@pytest.mark.parametrize("meanwhile", ["it runs on", "it ends"])
def test_pausing_goes_on_pausing(daemon, ledger, meanwhile):
    daemon.gate(1)
    daemon.submit(duo())
    ledger.wait_for("start 1")
    assert daemon.rpc("job.pause", job_id="duo")["status"] == "pausing"
    daemon.kill()
    if meanwhile == "it ends":
        daemon.gate(1).open()
        ended(daemon, "MARIANNE_SHEET=1")
    daemon.start()
    assert daemon.status("duo")["status"] in ("pausing", "paused")
    if meanwhile == "it runs on":
        daemon.gate(1).open()
    assert daemon.wait_for("duo", "paused", "ended")["status"] == "paused"
    assert ledger.lines() == ["start 1", "end 1"]


def test_a_staged_revision_is_applied_when_the_sheet_has_ended(daemon, ledger):
    daemon.gate(1)
    daemon.submit(duo())
    ledger.wait_for("start 1")
    daemon.modify("duo", score("duo", [gated(1), plain("two")]), resume=True)
    daemon.kill()
    daemon.start()
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["revision"] == 2
    ledger.once(1, "two")


def test_a_cancel_in_force_is_finished(house, ledger):
    house.configure("kill_grace = 0\n")
    house.start()
    house.gate(1)
    house.submit(score("duo", ["trap '' TERM; " + gated(1), plain(2)]))
    ledger.wait_for("start 1")
    house.rpc("job.cancel", job_id="duo")
    house.kill()
    house.start()
    house.wait_for("duo", "cancelled")
    assert house.processes("MARIANNE_JOB=duo") == []


def test_a_client_that_waits_while_the_daemon_stops_is_let_go(daemon, ledger):
    daemon.gate(1)
    daemon.submit(duo())
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        waiting.send("job.wait", job_id="duo")
        daemon.stop()
        ready, _, _ = select.select([waiting.socket], [], [], DEADLINE)
        assert ready
        assert waiting.message() is None


def test_a_job_in_a_retry_wait_goes_on_waiting_and_tries_again(daemon, ledger):
    body = 'note start 1; test -e "$HOME/mended" && note end 1'
    daemon.submit(score("solo", [body], retry={"max_retries": 1, "base_delay_seconds": 1, "jitter": False}))
    daemon.event("solo", "sheet.waiting")
    daemon.kill()
    (daemon.home / "mended").touch()
    daemon.start()
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "start 1", "end 1"]


def test_a_signal_right_after_readiness_stops_it_in_order(house):
    for _ in range(5):
        house.start()
        house.stop()
        assert not house.socket.exists()


def test_a_sheet_that_was_done_taken_out_and_is_back_after_a_kill_is_not_done_again(daemon, ledger):
    whole, less = [plain(1), plain(2), plain(3)], [plain(1), plain(3)]
    daemon.submit(score("trio", whole), before="3")
    daemon.wait_for("trio", "paused")
    daemon.rpc("job.modify", job_id="trio", text=score("trio", less), directory=str(daemon.home))
    daemon.kill()
    daemon.start()
    told = daemon.rpc("job.modify", job_id="trio", revision=1, resume=True)
    assert [(line["action"], line["runs"]) for line in told["plan"]] == [
        ("kept", False),
        ("kept", False),
        ("changed", True),
    ]
    assert told["plan"][1]["why"] == "is back as it was; completed under revision 1, stays"
    daemon.wait_for("trio", "completed")
    ledger.once(1, 2, 3)
