"""What tries executors, and daemons whose sheets run on the cluster."""

from contextlib import asynccontextmanager

import pytest
from kit.executors import a_daemon, on_slurm
from trying import Trial

from marianned.executors.host.local import LocalExecutor


@pytest.fixture
def house(cluster):
    """A daemon that has not been started, whose sheets run on the cluster."""
    with a_daemon("slurm") as made:
        yield made


@pytest.fixture
def daemon(house):
    return house.start()


@pytest.fixture
def ledger(house):
    return house.ledger


@pytest.fixture
def trial(runs_on, tmp_path):
    """An attempt, and executors for it, each as a daemon's that has just been started."""

    @asynccontextmanager
    async def executor():
        if runs_on == "local":
            async with LocalExecutor() as local:
                yield local
            return
        async with on_slurm(tmp_path / "attempts") as away:
            yield away

    made = Trial(tmp_path, executor)
    yield made
    made.close()
