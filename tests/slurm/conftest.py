"""What tries executors, and daemons whose sheets run on the cluster."""

from contextlib import asynccontextmanager

import pytest
from kit.executors import a_daemon, on_slurm
from trying import Trial

from marianned.executors.clusters import executor as executor_module
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
def usual_looks():
    """The queue is looked at as seldom as a daemon does."""


@pytest.fixture
def _looks(request, monkeypatch):
    """The queue is looked at several times as often: what is concluded is not a matter of how soon."""
    if "usual_looks" not in request.fixturenames:
        monkeypatch.setattr(executor_module, "_LOOK_SECONDS", 0.3)
        monkeypatch.setattr(executor_module, "_USUAL_LOOK_SECONDS", 1.0)
        monkeypatch.setattr(executor_module, "_LOOK_SHARE", 3)


@pytest.fixture
def trial(runs_on, tmp_path, _looks):
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
