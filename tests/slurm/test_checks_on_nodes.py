"""`checks: with_attempt`: commands of checks in the job of their attempt, on its node; and where that is gone."""

import json
import os
import signal
import time
from contextlib import suppress

import pytest
from kit.daemon import DEADLINE
from kit.loopback import LONG
from test_jobs_on_slurm import SECONDS, fan, started

from marianned.executors.host import traces

pytestmark = pytest.mark.slurm
HERE = {"type": "slurm", "checks": "with_attempt"}
BODY = '[ "{{ stage }}" = 1 ] || note ran {{ sheet_num }} $SLURM_JOB_ID'
SEEN = "note checked {sheet_num} $SLURM_JOB_ID-$MARIANNE_SOCKET"
HELD = "[ -e $HOME/go ] || { note ready; sleep 1000; }"


def checked(name, *commands, count=1, executor=HERE, **more):
    """Return the text of a score whose sheets behind the first are checked by these commands."""
    checks = [
        {"type": "command_succeeds", "command": one, "condition": "sheet_num >= 2", **more}
        for one in commands
    ]
    return fan(name, count, BODY, executor=executor, validations=checks)


def jobs(ledger, word):
    """Return in which job of Slurm each sheet has noted this word, in order."""
    found = [line.split() for line in ledger.lines() if line.startswith(word)]
    return [(sheet, job.partition("-")[0]) for _, sheet, job in found]


def completed(daemon, name):
    assert daemon.wait_for(name, "ended", deadline=SECONDS)["status"] == "completed"


def test_checks_run_in_the_job_of_their_attempt_and_it_goes_behind_them(cluster, daemon, ledger):
    daemon.submit(checked("with", SEEN, SEEN, count=3))
    completed(daemon, "with")
    ran = jobs(ledger, "ran")
    assert sorted(jobs(ledger, "checked")) == sorted(ran * 2)
    assert all(line.endswith("-") for line in ledger.lines() if line.startswith("checked"))
    (attempt,) = daemon.attempts("with", 2)
    assert [one["result"] for one in attempt["validations"]] == ["passed", "passed"]


def test_the_setting_says_it_for_all_and_a_score_for_itself(house, ledger):
    house.run_sheets_on_slurm(checks="with_attempt")
    house.start()
    house.submit(checked("there", SEEN, executor={"type": "slurm"}))
    house.submit(checked("here", "note local $SLURM_JOB_ID-", executor={"type": "slurm", "checks": "local"}))
    completed(house, "there")
    completed(house, "here")
    assert jobs(ledger, "checked") == jobs(ledger, "ran")[:1] or jobs(ledger, "ran")[1:]
    assert "local -" in ledger.lines()


def test_a_check_that_fails_there_is_tried_again_there_and_told(daemon, ledger):
    failing = f"{SEEN}; echo wrong; exit 3"
    daemon.submit(checked("failing", failing, retry_count=1, retry_delay_ms=100))
    assert daemon.wait_for("failing", "ended", deadline=SECONDS)["status"] == "failed"
    assert jobs(ledger, "checked") == jobs(ledger, "ran") * 2
    (attempt,) = daemon.attempts("failing", 2)
    (report,) = attempt["validations"]
    assert (report["result"], report["reason"]) == ("failed", "exit code 3")


def test_a_time_limit_holds_there(daemon, ledger):
    daemon.submit(checked("slow", "sleep 1000", timeout_seconds=1))
    assert daemon.wait_for("slow", "ended", deadline=SECONDS)["status"] == "failed"
    (attempt,) = daemon.attempts("slow", 2)
    assert attempt["validations"][0]["reason"] == "timed out after 1s"


def test_a_check_whose_supervisors_are_killed_runs_again_in_a_job_of_its_own(daemon, ledger):
    daemon.submit(checked("lost", f"{SEEN}; {HELD}"))
    ledger.wait_for("ready")
    (daemon.home / "go").touch()
    kill_supervisors(daemon)
    completed(daemon, "lost")
    ((sheet, job),) = jobs(ledger, "ran")
    first, *others = jobs(ledger, "checked")
    assert first == (sheet, job)
    assert others
    assert (sheet, job) not in others
    assert set(started(ledger).values()) == {1}


def kill_supervisors(daemon):
    """Kill keeper and runner of the check that runs, and what it runs, which is Slurm's to end."""
    (file,) = daemon.home.rglob("checks-on-nodes/*/identity.json")
    who = json.loads(file.read_bytes())
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (who["runner_pid"], who["pid"]):
            os.kill(pid, number)
    traces.kill_all(json.loads((file.parent / "spec.json").read_bytes())["id"])


def test_a_killed_daemon_has_the_check_run_again_and_not_the_attempt(daemon, ledger):
    daemon.submit(checked("again", f"{SEEN}; {HELD}"))
    ledger.wait_for("ready")
    daemon.kill()
    (daemon.home / "go").touch()
    daemon.start()
    completed(daemon, "again")
    assert set(started(ledger).values()) == {1}
    assert len(jobs(ledger, "checked")) == 2


@pytest.mark.parametrize("point", ["check.started", *(["check.starting", "check.ended"] if LONG else [])])
def test_killed_at_a_fault_point_of_a_check_the_attempt_is_not_repeated(house, ledger, point):
    house.start(MARIANNE_FAULT=point)
    with suppress(ConnectionError):
        house.submit(checked("walked", SEEN))
    assert house.process.wait(SECONDS) == -signal.SIGKILL
    house.start()
    completed(house, "walked")
    assert started(ledger) == {"start 1": 1, "start 2": 1}
    assert len(jobs(ledger, "checked")) <= 2


def test_a_job_that_is_gone_before_its_check_is_replaced_by_one_of_its_own(cluster, house, ledger):
    house.start(MARIANNE_FAULT="attempt.exited:2")
    house.submit(checked("gone", SEEN))
    assert house.process.wait(SECONDS) == -signal.SIGKILL
    cluster.command("scancel", "--me")
    end = time.monotonic() + DEADLINE
    while cluster.queue() and time.monotonic() < end:
        time.sleep(0.1)
    house.start()
    completed(house, "gone")
    ((_, job),) = jobs(ledger, "ran")
    ((_, own),) = jobs(ledger, "checked")
    assert own not in ("", job)
    assert set(started(ledger).values()) == {1}


def test_a_check_whose_job_somebody_cancels_is_held_with_the_attempt_it_judges(cluster, daemon, ledger):
    daemon.submit(checked("ended", HELD))
    ledger.wait_for("ready")
    cluster.command("scancel", "--me")
    paused = daemon.wait_for("ended", "paused", deadline=SECONDS)
    (hold,) = paused["holds"]
    assert hold["cause"] == "cluster"
    assert "was cancelled" in hold["reason"]
    assert ledger.lines().count("ready") == 1
    (daemon.home / "go").touch()
    daemon.rpc("job.resume", job_id="ended")
    completed(daemon, "ended")
    assert set(started(ledger).values()) == {1}


def test_a_job_that_waits_for_its_checks_is_found_by_the_next_daemon(cluster, house, ledger):
    house.start(MARIANNE_FAULT="attempt.exited:2")
    house.submit(checked("found", SEEN))
    assert house.process.wait(SECONDS) == -signal.SIGKILL
    house.start()
    completed(house, "found")
    assert jobs(ledger, "checked") == jobs(ledger, "ran")


def test_a_pause_now_ends_the_check_and_its_job_and_the_resume_runs_it_again(cluster, daemon, ledger):
    daemon.submit(checked("held", f"{SEEN}; {HELD}"))
    ledger.wait_for("ready")
    daemon.rpc("job.pause", job_id="held", now=True)
    assert daemon.wait_for("held", "paused", deadline=SECONDS)["status"] == "paused"
    assert not daemon.processes("MARIANNE_JOB=held")
    end = time.monotonic() + DEADLINE
    while cluster.queue() and time.monotonic() < end:
        time.sleep(0.1)
    assert not cluster.queue()
    (daemon.home / "go").touch()
    daemon.rpc("job.resume", job_id="held")
    completed(daemon, "held")
    assert set(started(ledger).values()) == {1}
    assert len(jobs(ledger, "checked")) == 2


def test_a_cancel_ends_the_check(daemon, ledger):
    daemon.submit(checked("over", HELD))
    ledger.wait_for("ready")
    daemon.rpc("job.cancel", job_id="over", wait=True, timeout=SECONDS)
    assert not daemon.processes("MARIANNE_JOB=over")
