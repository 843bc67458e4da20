"""What Slurm, or somebody through Slurm, has ended: recognised, said in words, and not begun again unasked."""

import os
import shutil
import signal
import time

import pytest
from kit.loopback import LONG
from test_told_of_a_cluster import SECONDS, queued, sheets

from marianned.executors.base import Fate, FateKind
from marianned.executors.clusters.slurm import SlurmEngine

pytestmark = pytest.mark.slurm
WAITS = 'note start {{ sheet_num }}; read _ < "$HOME/gate-all"; note end {{ sheet_num }}'


def slow(test):
    """Mark a test that takes minutes."""
    long = pytest.mark.skipif(not LONG, reason="takes minutes: MARIANNE_SLURM_LONG=1")
    return long(pytest.mark.timeout(600)(test))


def job_of(daemon, job, sheet=1):
    """Return the number of Slurm's job in which a sheet has begun, and its node."""
    daemon.event(job, "attempt.placed", sheet=sheet)
    attempt = daemon.attempts(job, sheet)[-1]
    return attempt["cluster_job"], attempt["node"]


def reasons(daemon, job):
    return [one["text"] for one in daemon.rpc("job.why", job_id=job)["reasons"]]


def ends(daemon, job, sheet=1):
    """Return how the attempts of a sheet have ended: outcome and category."""
    return [(one["outcome"], one["error_category"]) for one in daemon.attempts(job, sheet)]


def test_what_somebody_cancels_while_it_runs_is_held_and_not_begun_again(cluster, daemon, ledger):
    daemon.gate("all")
    daemon.submit(sheets("gone", 1, WAITS))
    number, _ = job_of(daemon, "gone")
    ledger.wait_for("start 1")
    cluster.command("scancel", number)
    daemon.event("gone", "attempt.ended")
    paused = daemon.wait_for("gone", "paused", deadline=SECONDS)
    assert ends(daemon, "gone") == [("interrupted", None)]
    (hold,) = paused["holds"]
    assert (hold["cause"], hold["reason"]) == ("cluster", f"sheet 1: its job {number} of Slurm was cancelled")
    shown = daemon.mzt("why", "gone").stdout
    assert f"its job {number} of Slurm was cancelled" in shown
    assert "mzt resume gone" in shown
    daemon.rpc("job.resume", job_id="gone")
    ledger.wait_for("start 1", 2)
    daemon.gate("all").open()
    assert daemon.wait_for("gone", "ended", deadline=SECONDS)["status"] == "completed"


def test_a_shell_that_ends_with_a_status_of_what_slurm_has_ended_has_not_failed_by_itself(
    cluster, daemon, ledger
):
    """Its own command may get the signal a moment before it does: it ends with 128 and that, as if it had failed."""
    daemon.submit(sheets("ahead", 1, "trap 'exit 143' TERM; note start 1; while :; do sleep 0.1; done"))
    number, _ = job_of(daemon, "ahead")
    ledger.wait_for("start 1")
    cluster.command("scancel", number)
    paused = daemon.wait_for("ahead", "paused", deadline=SECONDS)
    assert [hold["cause"] for hold in paused["holds"]] == ["cluster"]
    assert ends(daemon, "ahead") == [("interrupted", None)]


def test_what_ends_so_by_itself_has_failed(daemon):
    daemon.submit(sheets("itself", 1, "exit 143"))
    assert daemon.wait_for("itself", "ended", deadline=SECONDS)["status"] == "failed"
    assert ends(daemon, "itself") == [("failed", "exit")]


@pytest.mark.parametrize(("count", "which"), [(1, "all"), (3, "one"), (3, "all")])
def test_what_somebody_cancels_while_it_waits_is_held_and_not_submitted_again(
    cluster, daemon, ledger, count, which
):
    daemon.submit(sheets("held", count, "note ran {{ sheet_num }}", arguments=["--hold"]))
    queued(cluster, count)
    jobs = cluster.command("squeue", "--noheader", "--array", "--format=%i").split()
    numbers = {job.partition("_")[0] for job in jobs}  # of one array, or of several: they go as they come
    cluster.command("scancel", *(numbers if which == "all" else jobs[1:2]))
    daemon.event("held", "hold.added")
    paused = daemon.wait_for("held", "paused", deadline=SECONDS)
    (hold,) = paused["holds"]
    assert hold["cause"] == "cluster"
    assert any(f"its job {number}" in hold["reason"] for number in numbers)
    queued(cluster, 0)
    assert ledger.lines() == []


def test_what_is_cancelled_through_the_daemon_is_not_held(cluster, daemon, ledger):
    daemon.gate("all")
    daemon.submit(sheets("ours", 1, WAITS))
    job_of(daemon, "ours")
    ledger.wait_for("start 1")
    daemon.rpc("job.cancel", job_id="ours")
    ended = daemon.wait_for("ours", "ended", deadline=SECONDS)
    assert (ended["status"], ended["holds"]) == ("cancelled", [])


def test_files_that_are_gone_say_nothing_of_a_success_and_slurm_knows_of_none(cluster, daemon, ledger):
    """Its supervisor's exit code is 0 however its command has ended, so Slurm's COMPLETED is no success."""
    daemon.gate("all")
    daemon.submit(sheets("swept", 1, WAITS))
    number, _ = job_of(daemon, "swept")
    ledger.wait_for("start 1")
    shutil.rmtree(daemon.attempt_directory())
    daemon.gate("all").open(2)
    assert daemon.wait_for("swept", "ended", deadline=2 * SECONDS)["status"] == "completed"
    assert ends(daemon, "swept") == [("lost", "lost"), ("succeeded", None)]
    ended = daemon.event("swept", "attempt.ended", attempt=1)
    assert f"its job {number} of Slurm has ended" in ended["text"]


def test_a_job_that_is_put_back_into_the_queue_is_shown_where_it_then_runs(cluster, house, ledger):
    gate = house.gate("python")
    slow_start = house.home / "python"
    slow_start.write_text(f'#!/bin/sh\nread _ <"{house.home}/gate-python"; exec python3 "$@"\n')
    slow_start.chmod(0o700)
    house.run_sheets_on_slurm(python=str(slow_start))
    house.start()
    house.submit(sheets("moved", 1, "note $SLURMD_NODENAME", arguments=["--nodelist=n1"]))
    number, node = job_of(house, "moved")
    assert node == "n1"
    cluster.command("scontrol", "update", f"job={number}", "Requeue=1")  # as an administrator can
    cluster.command("scontrol", "requeue", number)
    deadline = time.monotonic() + SECONDS
    while "PENDING" not in cluster.command("squeue", "--noheader", "--format=%T"):
        assert time.monotonic() < deadline
        time.sleep(0.1)  # Slurm tells of nothing
    cluster.command("scontrol", "update", f"job={number}", "ReqNodeList=n3", "StartTime=now")
    after = house.event("moved", "attempt.placed")["event"]
    assert "on n3" in house.event("moved", "attempt.placed", after=after)["text"]
    assert house.attempts("moved", 1)[0]["node"] == "n3"
    gate.open()
    assert house.wait_for("moved", "ended", deadline=SECONDS)["status"] == "completed"
    assert ledger.lines() == ["n3"]


@slow
def test_a_time_limit_of_the_executor_ends_a_sheet_before_slurm_does(daemon, ledger):
    daemon.submit(sheets("short", 1, "note start; echo printed; sleep 600", time_limit=60))
    job_of(daemon, "short")
    (flight,) = daemon.status("short")["in_flight"]
    assert flight["time_limit_by"] == "executor"
    assert any("with the time_limit of an executor" in text for text in reasons(daemon, "short"))
    assert "by its executor's time_limit" in daemon.mzt("status", "short").stdout
    assert daemon.wait_for("short", "ended", deadline=240)["status"] == "failed"
    assert ends(daemon, "short") == [("timed_out", "timeout")]
    (attempt,) = daemon.attempts("short", 1)
    assert attempt["stdout_bytes"] == len("printed\n")
    assert "by the time_limit of its executor" in daemon.mzt("why", "short").stdout
    assert ledger.lines() == ["start"]


@slow
def test_what_slurms_time_limit_ends_all_the_same_is_a_try_that_timed_out(cluster, daemon, ledger):
    daemon.submit(sheets("late", 1, "note start; echo printed; sleep 600", arguments=["--time=1"]))
    number, _ = job_of(daemon, "late")
    assert daemon.wait_for("late", "ended", deadline=240)["status"] == "failed"
    assert ends(daemon, "late") == [("timed_out", "timeout")]
    shown = daemon.mzt("why", "late").stdout
    assert "timed out after 1m" in shown
    assert f"its job {number} of Slurm has used up its time limit" in shown
    assert ledger.lines() == ["start"]


@slow
def test_a_node_that_fails_is_named_as_the_cause(cluster, daemon, ledger):
    daemon.gate("all")
    daemon.submit(sheets("lost", 1, WAITS))
    number, node = job_of(daemon, "lost")
    ledger.wait_for("start 1")
    cluster.fault("node-kill", node)
    with daemon.connect() as connection:
        connection.socket.settimeout(2 * SECONDS)  # Slurm waits for a node, and then the daemon
        connection.rpc("events.subscribe", after=0, job_id="lost")
        while (ended := connection.message()["params"]["item"])["type"] != "attempt.ended":
            pass
    assert ended["outcome"] == "lost"
    assert f"its job {number} of Slurm was ended, for a node of it has failed" in ended["text"]


@slow
def test_of_what_slurm_lists_no_more_it_is_not_said_that_it_runs(cluster, house, ledger):
    house.configure("kill_grace = 1\n")
    house.start()
    house.gate("all")
    house.submit(sheets("gone", 1, WAITS))
    number, _ = job_of(house, "gone")
    ledger.wait_for("start 1")
    for pid in house.processes(f"SLURM_JOB_ID={number}"):  # as where a node has no memory left
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + SECONDS
    while (
        f"sheet 1: Slurm lists its job {number} no more, and its end is not seen"
        not in house.status("gone")["message"]
    ):
        assert time.monotonic() < deadline, house.status("gone")["message"]
        time.sleep(0.1)  # what Slurm says of a job is no event
    (reason,) = house.rpc("job.why", job_id="gone")["reasons"]
    assert (reason["code"], reason["unblocked_by"]) == ("slurm", "cluster")
    ledger.wait_for("start 1", 2)
    house.gate("all").open()
    assert house.wait_for("gone", "ended", deadline=SECONDS)["status"] == "completed"
    assert ends(house, "gone") == [("lost", "lost"), ("succeeded", None)]


@pytest.fixture
def preempting(cluster):
    """Two partitions of one node: what is submitted to `high` takes the room of what runs in `low`."""
    cluster.set(PreemptType="preempt/partition_prio", PreemptMode="CANCEL")
    for name, tier, mode in (("low", 1, "cancel"), ("high", 9, "off")):
        cluster.command(
            "scontrol",
            "create",
            f"partition={name}",
            "nodes=n1",
            f"prioritytier={tier}",
            f"preemptmode={mode}",
        )
    yield
    cluster.command("scancel", "--me")
    cluster.set(PreemptType=None, PreemptMode=None)  # which forgets the partitions, too


@slow
def test_what_makes_room_for_another_runs_again_however_often_that_happens(
    cluster, daemon, ledger, preempting
):
    daemon.gate("all")
    daemon.submit(sheets("yields", 1, WAITS, partition="low", arguments=["--exclusive"]))
    for times in (1, 2, 3):
        ledger.wait_for("start 1", times)
        cluster.command("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=true")
    ledger.wait_for("start 1", 4)
    daemon.gate("all").open()
    assert daemon.wait_for("yields", "ended", deadline=SECONDS)["status"] == "completed"
    assert ends(daemon, "yields") == [("interrupted", None)] * 3 + [("succeeded", None)]
    said = daemon.event("yields", "attempt.ended", attempt=1)["text"]
    assert said.endswith(" of Slurm was preempted by another job")


@pytest.fixture
def accounting(cluster, tmp_path, monkeypatch):
    """A sacct in front of the real one, which has no accounting here; it says what sacct documents."""
    program = tmp_path / "sacct"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def says(*lines):
        told = "\n".join(lines)
        program.write_text(f"#!/bin/sh\ncat <<'X'\n{told}\nX\n")
        program.chmod(0o755)

    return says


@pytest.mark.anyio
async def test_accounting_says_who_has_cancelled_and_what_became_of_what_squeue_has_forgotten(accounting):
    accounting(
        "m-a|11|CANCELLED by 4294",
        "m-b|12_3|TIMEOUT",
        "m-c|13|OUT_OF_MEMORY",
        "m-d|14|PREEMPTED",
        "m-e|15|A STATE OF TOMORROW",
        "m-other|16|CANCELLED by 0",
    )
    keys = [("m-a", None), ("m-b", 3), ("m-c", None), ("m-d", None), ("m-e", None), ("m-f", None)]
    assert await SlurmEngine().fates(keys) == {
        ("m-a", None): Fate(FateKind.CANCELLED, "its job 11 of Slurm was cancelled by uid 4294"),
        ("m-b", 3): Fate(FateKind.TIME, "its job 12_3 of Slurm has used up its time limit"),
        ("m-c", None): Fate(
            FateKind.BROKEN,
            "its job 13 of Slurm ran out of memory (it gets what 'memory' of its executor says)",
        ),
        ("m-d", None): Fate(FateKind.DISPLACED, "its job 14 of Slurm was preempted by another job"),
    }


@pytest.mark.anyio
async def test_without_accounting_squeue_says_what_has_ended_lately(cluster):
    number = cluster.command("sbatch", "--parsable", "--hold", "--job-name=m-x", "--wrap", "true").strip()
    cluster.command("scancel", number)
    fates = await SlurmEngine().fates([("m-x", None), ("m-y", None)])
    assert fates == {("m-x", None): Fate(FateKind.CANCELLED, f"its job {number} of Slurm was cancelled")}
