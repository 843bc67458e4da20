"""Where tests run their attempts: on this host, and once more on a cluster.

A test that is marked `both`, or whose module is, gets the fixture `runs_on` in turn as "local" and as "slurm"; what
makes a daemon or an executor for tests asks for that fixture, so nobody writes a test twice. Of a module that is,
`this_host` takes a test or a parameter out, and says what it asks that only this host has.

    both(in_each_run=True)   on the cluster in each run; the others only with MARIANNE_SLURM_LONG=1, for most
                             of what an attempt takes there is waiting, and a thousand of them is minutes
    both(forked=True)        on this host two ways: "local" spawns its supervisors, "forked" has them forked
"""

import time
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from kit.daemon import DEADLINE, LOST_AFTER, Daemon
from kit.loopback import LONG, Cluster, why_not

_SECONDS = 600
"""What a test may take on the cluster: where it takes tenths of them here, an attempt takes seconds there."""


def parametrise(metafunc):
    """Let a test that is for both executors run on both."""
    marks = [*metafunc.definition.iter_markers("both")]
    if not marks or "runs_on" not in metafunc.fixturenames:
        return
    said = {}
    for mark in reversed(marks):  # the closest one counts
        said |= mark.kwargs
    kinds = ["local", "forked"] if said.get("forked") else ["local"]
    if LONG or said.get("in_each_run"):
        kinds.append(pytest.param("slurm", marks=[pytest.mark.slurm, pytest.mark.timeout(_SECONDS)]))
    metafunc.parametrize("runs_on", kinds, indirect=True)


def leave_out(config, items):
    """Drop what would ask of a cluster what only this host has; of a parameter that can be said, too."""
    dropped = [one for one in items if {"slurm", "this_host"} <= {mark.name for mark in one.iter_markers()}]
    if dropped:
        items[:] = [one for one in items if one not in dropped]
        config.hook.pytest_deselected(items=dropped)


@pytest.fixture
def runs_on(request):
    """The executor's name; with slurm, a cluster is there."""
    chosen = getattr(request, "param", "local")
    if chosen == "slurm":
        request.getfixturevalue("cluster")
    return chosen


@pytest.fixture(scope="session")
def _clusters():
    """The one cluster of a process, as a list; empty until a test needs it, and behind a test that spoilt it."""
    made = []
    yield made
    for one in made:
        one.close()


def ours(cluster):
    """Return the attempts in its queue; others that a test has cancelled can come back with a killed controller."""
    return [line for line in cluster.queue() if line.startswith("m-")]


@pytest.fixture
def cluster(_clusters, monkeypatch):
    """The cluster, with nothing in its queue, as it also has to be behind the test that did not spoil it."""
    if why := why_not():
        pytest.skip(why)
    if not _clusters:
        _clusters.append(Cluster())
    (one,) = _clusters
    one.settle()
    monkeypatch.setenv("SLURM_CONF", str(one.configuration))
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
    while one.queue() and time.monotonic() < end:  # the next test takes what it finds there for its own
        time.sleep(0.1)
    assert not left
    assert not one.queue()


@asynccontextmanager
async def watched(engine, shared, **tuning):
    """An executor over an engine, which looks after its attempts as long as it is entered."""
    from marianned import config  # not for all who collect tests
    from marianned.executors.clusters.executor import ClusterExecutor, ClusterSettings

    usual = config.SlurmSettings()
    known = {"python": usual.python, "arguments": tuple(usual.arguments), "lost_after": usual.lost_after}
    async with anyio.create_task_group() as tasks:
        made = ClusterExecutor(engine, shared, ClusterSettings(**known | tuning))
        tasks.start_soon(made.serve)
        yield made
        tasks.cancel_scope.cancel()


def on_slurm(shared):
    """Return an executor on the cluster that is there; `shared` is the directory of all its attempts."""
    from marianned.executors.clusters.slurm import SlurmEngine

    return watched(SlurmEngine(), shared, lost_after=LOST_AFTER)


@contextmanager
def a_daemon(runs_on):
    """A daemon that has not been started, whose sheets run there."""
    made = Daemon()
    try:
        if runs_on == "slurm":
            made.run_sheets_on_slurm()
        yield made
    finally:
        made.close()
