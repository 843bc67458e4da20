"""`mzt doctor` and `mzt instruments check --executor slurm`: whether sheets can run on the cluster."""

import json
import subprocess
import sys

import pytest
from kit.daemon import DEADLINE


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
    assert missing["message"] == "not on the daemon's PATH: sbatch, squeue, scancel"
    away = finding(house, "slurm", SLURM_CONF=str(house.home / "none"))
    assert away["message"].startswith("Slurm does not answer: ")


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
