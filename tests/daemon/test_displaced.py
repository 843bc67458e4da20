"""The database deleted, moved or replaced under the daemon: nothing more is acknowledged, and it says so."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest
from kit import zygote
from kit.daemon import DEADLINE, gated, plain, score

pytestmark = pytest.mark.one_daemon


def remove(daemon):
    """Delete the database with its two companions."""
    for file in daemon.state.glob("marianne.db*"):
        file.unlink()


def replace(daemon):
    """Put another file in its place, as a copy put back would be."""
    copy = daemon.home / "copy.db"
    daemon.rpc("backup.write", file=str(copy))
    copy.rename(daemon.state / "marianne.db")


def move_directory(daemon):
    """Move the whole state directory away."""
    daemon.state.rename(daemon.home / "elsewhere")


def companion(daemon):
    """Delete the log of the database alone: what is written there is lost as well."""
    (daemon.state / "marianne.db-wal").unlink()


@pytest.mark.own_daemon("its database is lost")
@pytest.mark.parametrize("away", [remove, replace, move_directory, companion])
def test_nothing_is_acknowledged_any_more_and_status_and_doctor_say_why(daemon, ledger, away):
    daemon.may_log = ["No such file or directory"]
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    assert daemon.rpc("daemon.status")["status"] == "ready"
    away(daemon)
    told = daemon.rpc("daemon.status")
    assert told["status"] == "degraded"
    assert any("marianne.db" in why for why in told["degraded_by"])
    for refused in (
        daemon.refusal("job.pause", job_id="duo"),
        daemon.refusal("job.cancel", job_id="duo"),
        daemon.refusal("instrument.clear_limits", key="k"),
    ):
        assert refused.code == "E508"
        assert "marianne.db" in refused.message
    wrong = [check for check in daemon.checks() if not check["passed"]]
    assert any("marianne.db" in check["message"] for check in wrong), wrong
    daemon.gate(1).open()
    ledger.wait_for("end 1")
    daemon.process.kill()
    daemon.process.wait(DEADLINE)
    assert ledger.lines() == ["start 1", "end 1"]  # the next sheet was never granted


def test_the_very_same_files_put_back_are_gone_on_with(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    files = sorted(daemon.state.glob("marianne.db*"))
    for file in files:
        file.rename(daemon.home / file.name)
    assert daemon.refusal("job.pause", job_id="duo").code == "E508"
    for file in files:
        (daemon.home / file.name).rename(file)
    assert daemon.rpc("daemon.status")["status"] == "degraded"  # until it has written something again
    daemon.until(lambda: daemon.rpc("daemon.status")["status"] == "ready")
    assert daemon.rpc("job.pause", job_id="duo")["status"] == "pausing"
    daemon.gate(1).open()
    daemon.wait_for("duo", "paused")
    daemon.rpc("job.resume", job_id="duo")
    daemon.wait_for("duo", "completed")
    ledger.once(1, 2)


@pytest.mark.own_daemon("it gets another database")
def test_what_the_daemon_still_holds_can_be_saved_by_a_backup(daemon, ledger):
    daemon.submit(score("solo", [plain(1)]))
    daemon.wait_for("solo", "completed")
    remove(daemon)
    copy = daemon.home / "copy.db"
    daemon.rpc("backup.write", file=str(copy))
    daemon.kill()
    shutil.copy(copy, daemon.state / "marianne.db")
    daemon.start()
    assert daemon.status("solo")["status"] == "completed"
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_lock_deleted_a_second_daemon_meets_the_database_s_own(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.process.send_signal(signal.SIGSTOP)  # or it makes the file again, and the second meets that one
    (daemon.state / "lock").unlink()
    try:
        second = zygote.run(
            [sys.executable, "-m", "marianned"],
            env=daemon.environment | {"MARIANNE_SOCKET": str(daemon.home / "run" / "s2")},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert f"a daemon holds '{daemon.state}' already: pid {daemon.process.pid} on" in second.stderr
    assert daemon.rpc("job.pause", job_id="duo")["status"] == "pausing"
    daemon.gate(1).open()
    daemon.wait_for("duo", "paused")
    assert ledger.lines() == ["start 1", "end 1"]


def test_the_lock_s_file_is_made_again_and_says_where_the_daemon_listens(daemon):
    lock = daemon.state / "lock"
    lock.unlink()
    daemon.until(lambda: lock.exists() and lock.read_bytes())
    assert json.loads(lock.read_bytes())["socket"] == str(daemon.socket)
    assert json.loads(lock.read_bytes())["pid"] == daemon.process.pid


def test_where_somebody_answers_nothing_is_taken_up_first(house, ledger):
    house.start()
    house.gate(1)
    house.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    house.stop()
    with zygote.Popen(
        [sys.executable, "-m", "marianned"],
        env=house.environment | {"XDG_STATE_HOME": str(house.home / "other")},
        stderr=subprocess.PIPE,
    ) as other:
        try:
            while not house.socket.exists():
                assert other.poll() is None
            second = zygote.run(
                [sys.executable, "-m", "marianned"],
                env=house.environment,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
        finally:
            other.terminate()
            other.communicate()
    assert second.returncode == 1
    assert f"somebody answers at '{house.socket}' already" in second.stderr
    assert "taken up" not in second.stderr
    database = sqlite3.connect(house.state / "marianne.db")
    assert database.execute("SELECT count(*) FROM attempts WHERE outcome IS NULL").fetchone() == (1,)
    database.close()
    house.start()


def test_a_copy_of_a_state_directory_whose_daemon_lives_is_not_served(daemon, ledger):
    """Both would take the attempts in flight for theirs: each would end, and repeat, the other's."""
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    shutil.copytree(daemon.state, daemon.home / "second" / "marianne")
    elsewhere = {"XDG_STATE_HOME": str(daemon.home / "second"), "MARIANNE_SOCKET": str(daemon.home / "s2")}
    second = zygote.run(
        [sys.executable, "-m", "marianned"],
        env=daemon.environment | elsewhere,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert second.returncode == 78
    assert f"is a copy of '{daemon.state}', whose daemon runs (pid {daemon.process.pid})" in second.stderr
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)
