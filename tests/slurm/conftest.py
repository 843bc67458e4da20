"""One cluster for all tests of a process, and what tries executors on it."""

import os
import time
from contextlib import asynccontextmanager

import pytest
from kit.daemon import DEADLINE, Daemon
from loopback import Cluster, why_not
from trying import Trial, watched

from marianned.executors.clusters.slurm import Slurm
from marianned.executors.local import LocalExecutor


@pytest.fixture(scope="session")
def _clusters():
    """The one cluster of a process, as a list; empty until a test needs it, and behind a test that spoilt it."""
    made = []
    before = os.environ.get("SLURM_CONF")
    yield made
    for one in made:
        one.close()
    if before is None:
        os.environ.pop("SLURM_CONF", None)
    else:
        os.environ["SLURM_CONF"] = before


def ours(cluster):
    """Return the attempts in its queue; others that a test has cancelled can come back with a killed controller."""
    return [line for line in cluster.queue() if line.startswith("m-")]


@pytest.fixture
def cluster(_clusters):
    """The cluster, with nothing in its queue, as it also has to be behind the test that did not spoil it."""
    if why := why_not():
        pytest.skip(why)
    if not _clusters:
        _clusters.append(Cluster())
    (one,) = _clusters
    os.environ["SLURM_CONF"] = str(one.configuration)
    yield one
    print(one.log())
    if one.spoilt:
        _clusters.remove(one)
        one.close()
        return
    end = time.monotonic() + DEADLINE  # Slurm hears of an end a moment after us
    while (left := ours(one)) and time.monotonic() < end:
        time.sleep(0.1)
    one.command("scancel", "--me")
    assert not left


@pytest.fixture
def house(cluster):
    """A daemon that has not been started, whose sheets run on the cluster."""
    made = Daemon()
    made.configure('executor = "slurm"\n[slurm]\nlost_after = 2\n')
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def daemon(house):
    return house.start()


@pytest.fixture
def ledger(house):
    return house.ledger


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def kind(request):
    """The executor's name; with slurm, a cluster is there."""
    if request.param == "slurm":
        request.getfixturevalue("cluster")
    return request.param


@pytest.fixture
def trial(kind, tmp_path):
    """An attempt, and executors for it, each as a daemon's that has just been started."""

    @asynccontextmanager
    async def executor():
        if kind == "local":
            async with LocalExecutor() as local:
                yield local
            return
        async with watched(Slurm(), tmp_path / "attempts", lost_after=2.0) as away:
            yield away

    made = Trial(tmp_path, executor)
    yield made
    made.close()
