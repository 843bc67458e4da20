"""An attempt belongs to one database and one start of it, and its process decides whether it lives."""

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest
from kit.daemon import gated, gone, kill_all, plain, score

from marianned.executors.base import brand_of

pytestmark = pytest.mark.one_daemon


def processes_of(daemon, job):
    return daemon.processes(f"MARIANNE_JOB={job}")


def files_of(daemon, name="1-1"):
    return daemon.attempt_directory(name=name)


def move_database_away(daemon):
    for file in daemon.state.glob("marianne.db*"):
        file.rename(daemon.home / f"{file.name}.broken")


def completes(daemon, name, bodies, **fields):
    daemon.submit(score(name, bodies), **fields)
    assert daemon.wait_for(name, "ended")["status"] == "completed"


# --- another database ------------------------------------------------------------------------------------


@pytest.mark.own_daemon("it gets another database")
def test_jobs_of_a_new_database_run_though_another_left_its_records_there(daemon, ledger):
    completes(daemon, "old", [plain(1), plain(2)])
    daemon.stop()
    move_database_away(daemon)
    daemon.start()
    completes(daemon, "new", [plain(11), plain(12)])
    assert ledger.lines() == [f"{word} {sheet}" for sheet in (1, 2, 11, 12) for word in ("start", "end")]


@pytest.mark.own_daemon("it gets another database")
def test_a_process_of_another_database_is_neither_adopted_nor_ended(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("old", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.stop()
    foreign = processes_of(daemon, "old")
    move_database_away(daemon)
    daemon.start()
    daemon.gate(2)
    daemon.submit(score("new", [gated(2)]))
    ledger.wait_for("start 2")
    daemon.rpc("job.cancel", job_id="new", wait=True, timeout=30)
    assert processes_of(daemon, "old") == foreign
    assert "is of another database" in daemon.log.read_text()
    daemon.gate(1).open()
    assert all(gone(pid) for pid in foreign)


# --- an older copy of the same database ------------------------------------------------------------------


def put_back(daemon, copy):
    daemon.stop()
    for file in daemon.state.glob("marianne.db*"):
        file.unlink()
    shutil.copy(copy, daemon.state / "marianne.db")
    daemon.start()


def by_backup(daemon, copy):
    daemon.rpc("backup.write", file=str(copy))


def by_hand(daemon, copy):
    """A copy that nothing marks, made in the life of the very daemon that goes on."""
    database = daemon.state / "marianne.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


@pytest.mark.own_daemon("it gets another database")
@pytest.mark.parametrize("copied", [by_backup, by_hand])
def test_what_ran_after_a_copy_was_made_is_not_taken_for_what_runs_after_it_was_put_back(
    daemon, ledger, copied
):
    daemon.gate(1)
    daemon.submit(score("job", [gated(1), plain(2)]))
    daemon.rpc("job.pause", job_id="job", before="2")
    ledger.wait_for("start 1")
    daemon.gate(1).open()
    daemon.wait_for("job", "paused")
    copied(daemon, daemon.home / "copy.db")
    daemon.rpc("job.resume", job_id="job")
    daemon.wait_for("job", "completed")
    completes(daemon, "other", [plain(3)])
    put_back(daemon, daemon.home / "copy.db")
    daemon.modify("job", score("job", [gated(1), plain(22)]), resume=True)
    assert daemon.wait_for("job", "ended")["status"] == "completed"
    completes(daemon, "third", [plain(4)])
    assert ledger.lines() == [f"{word} {sheet}" for sheet in (1, 2, 3, 22, 4) for word in ("start", "end")]


@pytest.mark.own_daemon("it gets another database")
def test_a_copy_that_was_put_back_is_told(daemon):
    completes(daemon, "job", [plain(1)])
    by_backup(daemon, daemon.home / "copy.db")
    put_back(daemon, daemon.home / "copy.db")
    assert "is a backup that was put back" in daemon.log.read_text()
    told = daemon.log.read_text().count("was put back")
    daemon.stop()
    daemon.start()
    assert daemon.log.read_text().count("was put back") == told


@pytest.mark.own_daemon("it gets another database")
def test_what_ran_after_a_copy_that_was_put_back_is_told_wherever_a_person_looks(daemon, ledger):
    """It runs again: nobody is to be surprised by that."""
    daemon.gate(2)
    daemon.submit(score("job", [plain(1), gated(2), plain(3)]))
    daemon.rpc("job.pause", job_id="job", before="2")
    daemon.wait_for("job", "paused")
    by_backup(daemon, daemon.home / "copy.db")
    daemon.gate(2).open()
    daemon.rpc("job.resume", job_id="job")
    daemon.wait_for("job", "completed")
    completes(daemon, "other", [plain(4)])
    put_back(daemon, daemon.home / "copy.db")
    told = daemon.rpc("daemon.status")["restored"]
    assert told.endswith(
        "marianne.db' is a backup that was put back; what ran since is not known to it, and runs again where "
        "its job goes on: job@1, sheets 2, 3; runs that it has not: other@1"
    )
    assert [found["message"] for found in daemon.checks() if found["name"] == "restored"] == [told]
    assert [event["text"] for event in daemon.journal() if event["type"] == "database.restored"] == [told]
    again = "sheets 2, 3 ran after the backup was made that was put back, and they run again"
    assert daemon.status("job")["hindered_by"] == [again]
    assert daemon.rpc("job.list")["jobs"][0]["hindered_by"] == [again]
    daemon.gate(2).open()
    daemon.rpc("job.resume", job_id="job")
    assert daemon.wait_for("job", "ended")["status"] == "completed"
    assert daemon.status("job")["hindered_by"] == []
    daemon.stop()
    daemon.start()
    assert daemon.rpc("daemon.status")["restored"] is None


@pytest.mark.own_daemon("it gets another database")
def test_what_had_failed_when_a_copy_was_made_and_was_done_since_is_told_too(daemon, ledger):
    failing = "note start 1; [ -e $HOME/mended ]"
    daemon.submit(score("job", [failing], retry={"max_retries": 0}))
    assert daemon.wait_for("job", "ended")["status"] == "failed"
    by_backup(daemon, daemon.home / "copy.db")
    (daemon.home / "mended").touch()
    daemon.rpc("job.resume", job_id="job")
    daemon.wait_for("job", "completed")
    put_back(daemon, daemon.home / "copy.db")
    again = "sheet 1 ran after the backup was made that was put back, and it runs again"
    assert daemon.status("job")["hindered_by"] == [again]
    assert daemon.rpc("job.list")["jobs"][0]["hindered_by"] == [again]


@pytest.mark.own_daemon("it gets another database")
def test_doctor_finds_what_runs_and_the_copy_that_was_put_back_does_not_know(daemon, ledger):
    daemon.gate(1)
    by_backup(daemon, daemon.home / "copy.db")
    daemon.submit(score("job", [gated(1)]))
    ledger.wait_for("start 1")
    put_back(daemon, daemon.home / "copy.db")
    (stranger,) = daemon.rpc("daemon.status")["strangers"]
    (found,) = checked(daemon)
    assert (found["name"], found["hints"]) == ("stranger", [f"kill {stranger['pid']}"])
    said = f"attempt {stranger['attempt']} (pid {stranger['pid']}) runs, and the database does not know it"
    assert found["message"] == said
    daemon.gate(1).open()
    daemon.until(lambda: not daemon.rpc("daemon.status")["strangers"])
    assert checked(daemon) == []


def checked(daemon):
    """Return what doctor finds."""
    return [check for check in daemon.checks() if not check["passed"]]


# --- another directory -----------------------------------------------------------------------------------


@pytest.mark.own_daemon("it is set up")
def test_an_attempt_in_flight_is_found_though_the_setting_of_its_directory_has_changed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("job", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.stop()
    daemon.configure(f'attempts_dir = "{daemon.home}/elsewhere"\n')
    daemon.start()
    assert daemon.status("job")["in_flight"]
    daemon.gate(1).open()
    assert daemon.wait_for("job", "ended")["status"] == "completed"
    ledger.once(1, 2)
    assert [attempt["outcome"] for attempt in daemon.attempts("job", 1)] == ["succeeded"]


@pytest.mark.own_daemon("it is set up")
def test_where_its_directory_is_not_there_how_it_ended_is_waited_for_and_said(daemon, ledger):
    place, away = daemon.home / "place", daemon.home / "away"
    daemon.configure(f'attempts_dir = "{place}"\n')
    daemon.stop()
    daemon.start()
    daemon.gate(1)
    daemon.submit(score("job", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.stop()
    running = processes_of(daemon, "job")
    daemon.gate(1).open()
    assert all(gone(pid) for pid in running)
    place.rename(away)  # as a disk that is not mounted
    daemon.configure("")
    daemon.start()
    warned = daemon.event("job", "attempt.warned")
    assert f"'{place}/" in warned["text"]
    assert "is not there" in warned["text"]
    assert daemon.status("job")["status"] == "running"
    away.rename(place)
    assert daemon.wait_for("job", "ended")["status"] == "completed"
    ledger.once(1, 2)


@pytest.mark.own_daemon("its attempts are taken away")
@pytest.mark.parametrize("away", ["all", "its daemon's"])
def test_where_all_attempts_are_away_at_a_start_none_is_taken_for_one_that_never_ran(daemon, ledger, away):
    """The start makes the directory anew, which says nothing of what lay in the one before."""
    daemon.gate(1)
    daemon.submit(score("job", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    identity = json.loads((files_of(daemon) / "identity.json").read_text())
    daemon.kill()
    daemon.gate(1).open()
    assert gone(identity["runner_pid"])
    assert gone(identity["pid"])
    own = files_of(daemon).parents[1]
    place = own.parent if away == "all" else own
    place.rename(daemon.home / "away")
    daemon.start()
    warned = daemon.event("job", "attempt.warned")
    assert "is not there" in warned["text"]
    assert daemon.status("job")["status"] == "running"
    for entry in (daemon.home / "away").iterdir() if place.exists() else [daemon.home / "away"]:
        entry.rename(place / entry.name if place.exists() else place)
    assert daemon.wait_for("job", "ended")["status"] == "completed"
    ledger.once(1, 2)


def test_how_one_ended_that_is_away_is_not_waited_for_once_it_was_told_to_end(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("job", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.kill()
    shutil.rmtree(daemon.state / "attempts")
    kill_all(processes_of(daemon, "job"))
    daemon.start()
    daemon.event("job", "attempt.warned")
    daemon.rpc("job.cancel", job_id="job", wait=True, timeout=30)
    assert daemon.status("job")["status"] == "cancelled"


# --- no directory ----------------------------------------------------------------------------------------


def test_an_attempt_whose_directory_is_deleted_is_in_flight_until_its_process_ends(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("job", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    shutil.rmtree(files_of(daemon).parent)
    daemon.rpc("job.pause", job_id="job")
    warned = daemon.event("job", "attempt.warned")
    assert "are gone; it runs on and is waited for" in warned["text"]
    status = daemon.status("job")
    assert (status["status"], status["safe_to"]["edit_files"]) == ("pausing", False)
    daemon.gate(1).open()
    daemon.wait_for("job", "paused")
    ledger.once(1)
    assert processes_of(daemon, "job") == []
    (attempt,) = daemon.attempts("job", 1)
    assert attempt["outcome"] == "lost"
    ended = daemon.event("job", "attempt.ended")
    assert "its directory was deleted" in ended["text"]


def test_it_is_in_flight_over_a_kill_of_the_daemon_too_and_can_be_ended(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("job", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.kill()
    shutil.rmtree(daemon.state / "attempts")
    daemon.start()
    running = processes_of(daemon, "job")
    assert running
    assert daemon.status("job")["status"] == "running"
    daemon.rpc("job.cancel", job_id="job", wait=True, timeout=30)
    assert processes_of(daemon, "job") == []
    assert ledger.lines() == ["start 1"]


def test_one_that_ended_unseen_with_its_files_is_lost_and_not_started_again_as_if_it_never_had(
    daemon, ledger
):
    daemon.gate(1)
    daemon.submit(score("job", [gated(1)]))
    ledger.wait_for("start 1")
    wait_until_known(daemon)
    daemon.kill()
    identity = json.loads((files_of(daemon) / "identity.json").read_text())
    kill_all(processes_of(daemon, "job"))
    assert gone(identity["runner_pid"])
    assert gone(identity["pid"])  # they write until they have ended
    shutil.rmtree(files_of(daemon).parent)
    daemon.start()
    ledger.wait_for("start 1", times=2)
    daemon.gate(1).open()
    daemon.wait_for("job", "completed")
    assert [attempt["outcome"] for attempt in daemon.attempts("job", 1)] == ["lost", "succeeded"]


def wait_until_known(daemon):
    """Wait until the database knows the attempt's process."""
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as database:
        daemon.until(lambda: database.execute("SELECT pid FROM attempts").fetchone() != (None,))


# --- no mark ---------------------------------------------------------------------------------------------

_WRITER = (
    "env -u MARIANNE_ATTEMPT_ID setsid bash -c "
    '\'trap "" HUP; note writer "$$"; read _ < "$HOME/gate-2"; note wrote 2\' > /dev/null 2>&1 &'
)


def test_a_process_that_shed_its_mark_is_ended_when_its_supervisors_are_killed(daemon, ledger):
    daemon.gate(1)
    daemon.gate(2)
    daemon.submit(score("job", [f"{_WRITER} {gated(1)}"]))
    ledger.wait_for("start 1")
    while not (writers := [line for line in ledger.lines() if line.startswith("writer")]):
        ledger.news()
    writer = int(writers[0].split()[1])
    daemon.rpc("job.pause", job_id="job")
    for pid in supervisors(daemon):
        os.kill(pid, signal.SIGKILL)
    daemon.wait_for("job", "paused")
    assert gone(writer)
    assert "wrote 2" not in ledger.lines()


def supervisors(daemon):
    who = json.loads((files_of(daemon) / "identity.json").read_bytes())
    return who["pid"], who["runner_pid"]


def test_a_brand_is_a_limit_that_limits_nothing():
    century = 100 * 366 * 86_400 * 1_000_000
    assert century < brand_of("a-1-2-3") < 1 << 63
    assert brand_of("a-1-2-3") != brand_of("a-1-2-4")
