"""The daemon is killed and started: what was promised is so, what ran goes on, nothing runs twice."""

import json
import os
import signal
import sqlite3
from contextlib import closing

import pytest
from kit.daemon import DEADLINE, gated, gone, kill_all, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def duo():
    return score("duo", [gated(1), plain(2)])


def test_a_sheet_that_runs_goes_on_in_the_same_process(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", ['note pid $$; read _ < "$HOME/gate-1"; note pid $$', plain(2)]))
    daemon.event("duo", "attempt.started")
    first = ledger_line(ledger, "pid")
    daemon.kill()
    daemon.start()
    assert daemon.status("duo")["in_flight"][0]["attempt"] == 1
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert ledger.lines() == [first, first, "start 2", "end 2"]
    assert [attempt["outcome"] for attempt in daemon.attempts("duo", 1)] == ["succeeded"]


def ledger_line(ledger, word):
    while True:
        found = [line for line in ledger.lines() if line.startswith(word)]
        if found:
            return found[0]
        ledger.news()


def test_a_sheet_that_ends_while_the_daemon_is_down_is_taken_as_it_ended(daemon, ledger):
    daemon.gate(1)
    daemon.submit(duo())
    ledger.wait_for("start 1")
    daemon.kill()
    daemon.gate(1).open()
    ledger.wait_for("end 1")
    ended(daemon, "MARIANNE_SHEET=1")
    daemon.start()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)
    assert [attempt["outcome"] for attempt in daemon.attempts("duo", 1)] == ["succeeded"]


def ended(daemon, variable):
    """Wait until none of these processes is left."""
    while left := daemon.processes(variable):
        assert all(gone(pid, DEADLINE) for pid in left)


def test_an_attempt_whose_processes_were_all_killed_is_lost_and_runs_again(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.kill()
    kill_all(daemon.processes("MARIANNE_SHEET=1"))
    kill_all(pid for pid in daemon.processes() if pid != daemon.process.pid)
    daemon.start()
    ledger.wait_for("start 1", times=2)
    daemon.gate(1).open()
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert [attempt["outcome"] for attempt in daemon.attempts("solo", 1)] == ["lost", "succeeded"]


def test_stopped_by_request_it_leaves_what_runs_and_says_so(daemon, ledger):
    daemon.gate(1)
    daemon.submit(duo())
    ledger.wait_for("start 1")
    reply = daemon.rpc("daemon.stop")
    assert reply["attempts_in_flight"] == 1
    assert "1 attempt goes on without it" in reply["message"]
    assert daemon.process.wait(DEADLINE) == 0
    assert not daemon.socket.exists()
    daemon.gate(1).open()
    ended(daemon, "MARIANNE_SHEET=1")
    daemon.start()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)


@pytest.mark.this_host("a reboot of the daemon's host says nothing of what runs on nodes")
def test_after_a_reboot_an_attempt_whose_claim_went_with_the_power_is_lost_and_runs_again(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.kill()
    kill_all(daemon.processes())
    for file in daemon.attempt_directory().iterdir():
        file.unlink()  # nothing but what SQLite synced is left
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as database, database:
        database.execute("UPDATE meta SET value = 'another' WHERE name = 'boot_id'")
    daemon.start()
    ledger.wait_for("start 1", times=2)
    daemon.gate(1).open()
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert [attempt["outcome"] for attempt in daemon.attempts("solo", 1)] == ["lost", "succeeded"]


def test_what_a_pause_now_has_ended_was_interrupted_though_the_daemon_was_killed_over_it(daemon, ledger):
    daemon.gate(1)
    daemon.stop()
    daemon.start(MARIANNE_FAULT="pause --now.committed")
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    with pytest.raises(ConnectionError):
        daemon.rpc("job.pause", job_id="solo", now=True)
    daemon.process.wait(DEADLINE)
    identity = json.loads((daemon.attempt_directory() / "identity.json").read_text())
    os.kill(identity["pid"], signal.SIGTERM)  # as the daemon would have
    ended(daemon, "MARIANNE_SHEET=1")
    daemon.start()
    daemon.wait_for("solo", "paused")
    assert [attempt["outcome"] for attempt in daemon.attempts("solo", 1)] == ["interrupted"]
