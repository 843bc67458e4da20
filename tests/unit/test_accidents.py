"""An accident of a helper is tried again until it works; what is waited for is told, and can be left."""

import os
import signal
import sys

import anyio
import pytest
import worker_calls as calls

from marianned import accidents, workers
from marianned.accidents import Accident, FlightAbandoned, HelperWait, until_it_works
from marianned.errors import Unavailable
from marianned.workers import WorkerLimit, call

pytestmark = pytest.mark.anyio


@pytest.fixture
def patience():
    """Be a flight: what is waited for is told here."""
    token = accidents.current_wait.set(found := HelperWait())
    yield found
    accidents.current_wait.reset(token)


async def told(patience):
    with anyio.fail_after(20):
        while patience.waits_for is None:  # noqa: ASYNC110  it is no Event
            await anyio.sleep(0.01)
    return patience.waits_for


@pytest.mark.usefixtures("from_files")
async def test_a_call_waits_for_a_worker_says_so_and_goes_on(patience, monkeypatch):
    async with workers.running():
        async with anyio.create_task_group() as tasks:
            with monkeypatch.context() as broken:
                broken.setattr(sys, "executable", "/none/python")
                tasks.start_soon(call, calls.pid)
                assert "no worker process can be had: No such file" in await told(patience)
                assert workers.trouble() == patience.waits_for
        assert workers.trouble() is None
        assert patience.waits_for is None


@pytest.mark.usefixtures("from_files")
async def test_who_waits_for_a_worker_can_be_told_to_leave(patience, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/none/python")
    left = []

    async def wait():
        try:
            await call(calls.pid)
        except FlightAbandoned:
            left.append(True)

    async with workers.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await told(patience)
        patience.abandon()
    assert left == [True]


@pytest.mark.usefixtures("from_files")
async def test_a_request_is_refused_when_no_worker_can_be_had(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/none/python")
    monkeypatch.setattr(accidents, "REQUEST_SECONDS", 0.1)
    async with workers.running():
        with pytest.raises(Unavailable, match=r"no worker process can be had.*'/none/python'.*mzt restart"):
            await call(calls.pid)


async def test_a_worker_that_gets_no_time_is_not_too_slow(patience, monkeypatch):
    """It is stopped for longer than its limit, again and again; nothing is held against its call."""
    monkeypatch.setattr(workers, "LIMIT_SECONDS", 0.5)
    async with workers.running():
        worker = await call(calls.pid)

        async def stop():
            for _ in range(200):
                os.kill(worker, signal.SIGSTOP)
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            assert await call(calls.slow) == "done"
            tasks.cancel_scope.cancel()


async def test_only_what_kills_three_fresh_workers_is_at_fault(tmp_path):
    async with workers.running():
        await call(calls.pid)
        file = tmp_path / "lives"
        assert await call(calls.die_until, str(file), 3) == 3
        file.unlink()
        with pytest.raises(WorkerLimit, match="the worker process died over it"):
            await call(calls.die_until, str(file), 4)
        assert file.read_text() == "xxxx"


async def test_a_call_goes_on_when_the_nursery_is_killed_with_its_workers(tmp_path):
    async with workers.running():
        nursery = await call(os.getppid)
        os.kill(nursery, signal.SIGKILL)
        with anyio.fail_after(20):  # a worker may answer once more before the kernel has ended it
            while await call(os.getppid) == nursery:
                pass


async def test_an_accident_is_repeated_and_its_own_pause_is_kept():
    tries = []

    async def once():
        tries.append(anyio.current_time())
        if len(tries) < 3:
            raise Accident("not now", pause=0.1)
        return "done"

    assert await until_it_works(once) == "done"
    assert tries[2] - tries[0] >= 0.2
