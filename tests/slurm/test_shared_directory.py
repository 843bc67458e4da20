"""Daemons whose shared directory is away when they start, or is deleted in part while they run."""

import shutil
import subprocess
import time

import pytest
from kit.daemon import DEADLINE
from kit.executors import ours
from test_told_of_a_cluster import HELD, queued, sheets

pytestmark = pytest.mark.slurm
SECONDS = 4 * DEADLINE
GATED = 'note start {{ sheet_num }}; read _ < "$HOME/gate-all"; note end {{ sheet_num }}'


@pytest.fixture
def mount(house):
    """A house whose attempts lie on what is mounted; what mounts it and takes it away."""
    real, place = house.home / "real", house.home / "shared"
    for directory in (real, place):
        directory.mkdir(mode=0o700)
    bring, take = ["mount", "--bind", str(real), str(place)], ["umount", "--lazy", str(place)]
    done = subprocess.run(bring, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    house.configure(f'attempts_dir = "{place}/attempts"\n')
    house.gate("all")
    yield place, bring, take
    house.end_jobs()  # in the place that they know
    subprocess.run(take, capture_output=True, check=False)


def test_a_start_while_the_shared_directory_is_away_makes_nothing_there(house, ledger, mount):
    place, bring, take = mount
    house.start()
    house.submit(sheets("runs", 2, GATED))
    for sheet in (1, 2):
        ledger.wait_for(f"start {sheet}")
    house.stop()
    subprocess.check_call(take)
    gone = f"NO  shared directory         '{place}/attempts' is not there: what runs goes on, and nothing starts until"
    assert gone in house.mzt("doctor").stdout
    house.start()
    house.submit(sheets("waits", 1, "note start w; note end w"))
    (why,) = house.rpc("daemon.status")["degraded_by"]
    assert why.startswith(f"'{place}/attempts' is not there")
    assert f"nothing starts: {why}" in house.status("waits")["hindered_by"]
    checked = house.mzt("doctor").stdout
    assert (
        f"'{place}/attempts' is not there: what runs goes on, and nothing starts until it is back" in checked
    )
    house.gate("all").open(2)
    for sheet in (1, 2):
        ledger.wait_for(f"end {sheet}")
    assert [*place.iterdir()] == []
    subprocess.check_call(bring)
    for job in ("runs", "waits"):
        assert house.wait_for(job, "ended", deadline=SECONDS)["status"] == "completed"
    ledger.once(1, 2, "w")
    outcomes = [one["outcome"] for sheet in (1, 2) for one in house.attempts("runs", sheet)]
    assert outcomes == ["succeeded", "succeeded"]


def test_of_what_is_ended_while_the_shared_directory_is_away_it_is_not_said_that_it_was_deleted(
    house, ledger, mount
):
    place, bring, take = mount
    house.start()
    house.submit(sheets("runs", 1, GATED))
    house.event("runs", "attempt.placed")
    ledger.wait_for("start 1")
    subprocess.check_call(take)
    house.rpc("job.cancel", job_id="runs")
    assert house.wait_for("runs", "ended", deadline=SECONDS)["status"] == "cancelled"
    subprocess.check_call(bring)
    said = house.event("runs", "attempt.ended")["text"]
    assert said.startswith(f"sheet 1: attempt 1 lost, '{place}/attempts/")
    assert said.endswith("' is not there, and with it how it ended")


def test_what_an_earlier_daemon_left_queued_is_taken_out_once_the_shared_directory_is_back(
    cluster, house, mount
):
    _, bring, take = mount
    house.start()
    house.submit(sheets("left", 1, "true", **HELD))
    queued(cluster, 1)
    cluster.fault("ctld-stop")
    try:
        house.rpc("job.pause", job_id="left")
        house.wait_for("left", "paused", deadline=SECONDS)
        house.kill()  # it has taken the claim, and could not tell Slurm
    finally:
        cluster.fault("ctld-start")
    queued(cluster, 1)
    subprocess.check_call(take)
    house.start()
    queued(cluster, 1)
    subprocess.check_call(bring)
    queued(cluster, 0)


def test_a_start_whose_directory_vanishes_alone_goes_on_and_begins_nothing_twice(
    cluster, house, ledger, mount
):
    """What runs is left to its end, and what waits in the queue can't begin any more without its files."""
    place, _, _ = mount
    house.start()
    house.submit(sheets("runs", 1, GATED))
    ledger.wait_for("start 1")
    house.submit(sheets("waits", 1, "note start w; note end w", **HELD))
    queued(cluster, 2)
    (own,) = (place / "attempts").glob("[!.]*")
    shutil.rmtree(own)
    house.submit(sheets("after", 1, "note start a; note end a"))
    assert house.wait_for("after", "ended", deadline=SECONDS)["status"] == "completed"
    assert own.is_dir()
    assert ledger.lines() == ["start 1", "start a", "end a"]
    house.gate("all").open()
    ledger.wait_for("end 1")
    house.gate("all").open()
    assert house.wait_for("runs", "ended", deadline=SECONDS)["status"] == "completed"
    assert [line for line in ledger.lines() if line.endswith("1")] == ["start 1", "end 1"] * 2
    assert [one["outcome"] for one in house.attempts("runs", 1)] == ["lost", "succeeded"]
    for line in cluster.command("squeue", "--noheader", "--format=%i").split():
        cluster.command("scontrol", "release", line)
    deadline = time.monotonic() + SECONDS
    while [one["outcome"] for one in house.attempts("waits", 1)] != ["lost", None] or not ours(cluster):
        assert time.monotonic() < deadline, house.attempts("waits", 1)
        time.sleep(0.1)  # Slurm tells of nothing
    assert "start w" not in ledger.lines()
    house.rpc("job.cancel", job_id="waits", wait=True, timeout=DEADLINE)


def test_what_runs_is_not_said_to_wait_where_slurm_does_not_answer_the_next_daemon(cluster, house, ledger):
    house.gate("all")
    house.start()
    house.submit(sheets("runs", 1, GATED, **HELD))
    queued(cluster, 1)
    house.kill()
    cluster.command("scontrol", "release", cluster.command("squeue", "--noheader", "--format=%i").split()[0])
    ledger.wait_for("start 1")
    cluster.fault("ctld-stop")
    try:
        house.start()
        deadline = time.monotonic() + SECONDS
        while "Slurm does not answer" not in house.status("runs")["message"]:
            assert time.monotonic() < deadline
        assert "not begun" not in house.mzt("status", "runs").stdout
        assert house.status("runs")["hints"][0] == "scontrol ping"
        assert "  look       scontrol ping\n" in house.mzt("why", "runs").stdout
        (flight,) = house.status("runs")["in_flight"]
        assert flight["time_limit_at"] is not None
        (attempt,) = house.attempts("runs", 1)
        assert attempt["node"] in {"n1", "n2", "n3"}
    finally:
        cluster.fault("ctld-start")
    house.gate("all").open()
    assert house.wait_for("runs", "ended", deadline=SECONDS)["status"] == "completed"


def test_what_waits_is_not_said_to_run_before_slurm_has_answered_the_next_daemon(cluster, house):
    house.start()
    house.submit(sheets("waits", 1, "true", **HELD))
    queued(cluster, 1)
    house.kill()
    cluster.fault("ctld-stop")
    try:
        house.start()
        assert ", not begun" in house.mzt("status", "waits").stdout
        (flight,) = house.status("waits")["in_flight"]
        assert flight["time_limit_at"] is None
    finally:
        cluster.fault("ctld-start")
    deadline = time.monotonic() + SECONDS
    while "it waits in Slurm's queue" not in house.status("waits")["message"]:
        assert time.monotonic() < deadline
