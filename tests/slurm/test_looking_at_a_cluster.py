"""`mzt doctor` and `mzt instruments check --executor slurm`: whether sheets can run on the cluster."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.daemon import DEADLINE
from kit.loopback import LONG

from marianned.conductor.run import walls


def finding(house, name, **environment):
    """Return what the daemon's check finds under a name."""
    done = subprocess.run(
        [sys.executable, "-m", "marianned", "--check", "--json"],
        env=house.environment | environment,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    return next(one for one in json.loads(done.stdout)["checks"] if one["name"] == name)


def queued(cluster, count):
    """Wait until so many jobs are in the queue."""
    deadline = time.monotonic() + DEADLINE
    while len(found := cluster.queue()) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)  # Slurm tells of nothing


def instruments(house, name):
    return house.mzt("instruments", "check", name, "--executor", "slurm", seconds=4 * DEADLINE)


@pytest.mark.slurm
def test_a_cluster_that_answers_is_well_and_attempts_have_to_be_shared(house):
    assert finding(house, "slurm")["passed"]
    assert not finding(house, "shared directory")["passed"]
    house.configure(f'attempts_dir = "{house.home}/shared"\n')
    assert finding(house, "shared directory")["passed"]


@pytest.mark.slurm
def test_what_is_wrong_with_a_cluster_is_told(house):
    missing = finding(house, "slurm", PATH=str(house.home))
    assert missing["message"].startswith("not on PATH: sbatch, squeue, scancel")
    away = finding(house, "slurm", SLURM_CONF=str(house.home / "none"))
    assert away["message"].startswith("Slurm does not answer: ")
    assert f"its configuration '{house.home}/none" in away["message"]


@pytest.mark.slurm
def test_a_cluster_that_the_daemon_alone_does_not_find_is_told(house):
    none = str(house.home / "none")
    house.start(SLURM_CONF=none)
    assert finding(house, "slurm")["passed"]
    told = house.mzt("doctor", "--json")
    (its,) = [one for one in json.loads(told.stdout)["checks"] if one["name"] == "daemon's Slurm"]
    assert its["message"].startswith("the daemon says: Slurm does not answer: ")
    assert f"its configuration '{none}" in its["message"]
    assert its["hints"] == ["mzt restart"]


@pytest.mark.slurm
def test_an_instrument_is_looked_for_on_a_node(daemon):
    found = instruments(daemon, "cli")
    assert found.returncode == 0, found.stderr
    assert "is submitted to Slurm, to look from a node; at most 120 s" in found.stderr
    assert "cli on n" in found.stderr
    lacks = instruments(daemon, "goose")
    assert lacks.returncode == 1
    assert "'goose' is not on the PATH on n" in lacks.stderr
    assert daemon.rpc("job.list")["jobs"] == []


SCORE = """\
name: walled
workspace: ./work
instrument: walled
sheet: {size: 1, total_items: 1}
prompt: {template: hello}
"""
WALLED = """\
name: walled
kind: cli
description: behind a wall
contain: hide
cli: {command: {executable: cat, prompt_via_stdin: true}}
"""


@pytest.mark.slurm
def test_an_instrument_that_a_run_there_is_refused_for_is_not_called_ready(house):
    (house.home / "config" / "marianne" / "instruments").mkdir(parents=True, exist_ok=True)
    (house.home / "config" / "marianne" / "instruments" / "walled.yaml").write_text(WALLED)
    house.start()
    found = instruments(house, "walled")
    assert found.returncode == 1
    assert f"walled on Slurm: {walls.NOT_ON_A_NODE}" in found.stderr
    (house.home / "walled.yaml").write_text(SCORE)
    assert (
        walls.NOT_ON_A_NODE in house.mzt("run", str(house.home / "walled.yaml"), "--executor", "slurm").stderr
    )
    assert house.mzt("instruments", "check", "walled").returncode == 0


@pytest.mark.slurm
def test_without_an_answer_of_slurm_it_is_soon_told_and_nothing_is_submitted(cluster, daemon):
    cluster.fault("ctld-stop")
    try:
        found = instruments(daemon, "cli")
    finally:
        cluster.fault("ctld-start")
    assert found.returncode == 1
    assert "cli on Slurm: Slurm does not answer" in found.stderr
    assert "is submitted" not in found.stderr
    assert daemon.rpc("job.list")["jobs"] == []


@pytest.mark.slurm
def test_where_the_directory_of_attempts_is_away_it_is_said_and_nothing_is_submitted(house):
    house.configure(f'attempts_dir = "{house.home}/shared"\n')
    house.start()
    (house.home / "shared").rename(house.home / "elsewhere")
    found = instruments(house, "cli")
    (house.home / "elsewhere").rename(house.home / "shared")
    assert found.returncode == 1
    assert f"cli on Slurm: '{house.home}/shared' is not there" in found.stderr
    assert house.rpc("job.list")["jobs"] == []


@pytest.mark.slurm
@pytest.mark.skipif(not LONG, reason="fifteen seconds, in which it could have begun")
def test_what_would_wait_for_somebody_is_given_up_and_nothing_of_it_stays_in_the_queue(cluster, house):
    house.run_sheets_on_slurm(arguments=["--hold"])
    house.start()
    found = instruments(house, "cli")
    assert found.returncode == 1
    assert "cli on Slurm: it waits in Slurm's queue (JobHeldUser" in found.stderr
    assert house.rpc("job.list")["jobs"] == []
    queued(cluster, 0)


@pytest.mark.slurm
@pytest.mark.skipif(not LONG, reason="half a minute, in which Slurm could answer")
def test_where_slurm_goes_away_meanwhile_it_is_said_and_nothing_stays_once_it_is_back(cluster, house):
    house.run_sheets_on_slurm(arguments=["--begin=now+1hour"])
    house.start()
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(instruments, house, "cli")
        queued(cluster, 1)
        cluster.fault("ctld-stop")
        try:
            found = asked.result()
        finally:
            cluster.fault("ctld-start")
    assert found.returncode == 1
    assert "can't be known now; the daemon takes it out of the queue when Slurm answers again" in found.stderr
    assert house.rpc("job.list")["jobs"] == []
    queued(cluster, 0)
