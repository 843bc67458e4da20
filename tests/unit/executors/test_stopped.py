"""Supervisors that somebody has stopped: they are woken, and nobody waits for ever."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

import anyio
import pytest
from anyio import to_thread
from attempts import BOTH_GONE, WOKEN_BY_US, Attempt, ended, write

from marianned.executors.base import AttemptPlace
from marianned.executors.host import supervisors

pytestmark = [pytest.mark.anyio, pytest.mark.both]

IN_VAIN = "trap '' TERM; echo ready >&9; sleep 1000"


async def test_a_runner_that_is_stopped_goes_on_without_a_daemon(attempt: Attempt) -> None:
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(attempt.script("echo ready >&9; read word <go; exit 3"))
    await attempt.leash.line()
    running = await attempt.running()
    os.kill(running.runner_pid, signal.SIGSTOP)
    await write(attempt.workspace / "go", "go\n")
    await ended(running.pid)
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 3


async def test_a_keeper_that_is_stopped_keeps_nobody_waiting(attempt: Attempt) -> None:
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(attempt.script("echo ready >&9; read word <go; exit 3"))
    await attempt.leash.line()
    running = await attempt.running()
    os.kill(running.pid, signal.SIGSTOP)
    await write(attempt.workspace / "go", "go\n")
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.writer) == (3, "runner")
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGCONT)  # who waits on this host has; on a cluster its job would stay


@WOKEN_BY_US
async def test_both_stopped_are_woken_by_who_waits(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisors, "_LOOK_SECONDS", 0.01)
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(attempt.script("echo ready >&9; read word <go; exit 3"))
    await attempt.leash.line()
    running = await attempt.running()
    for pid in (running.pid, running.runner_pid):
        os.kill(pid, signal.SIGSTOP)
    await write(attempt.workspace / "go", "go\n")
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 3


@WOKEN_BY_US
async def test_one_look_in_a_thread_serves_all_who_wait(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors, "_LOOK_SECONDS", 0.01)
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(attempt.script("echo ready >&9; read word <go"))
    await attempt.leash.line()
    looks: list[int] = []
    enough = anyio.Event()

    async def noted(function: Callable[..., object], asked: list[object]) -> object:
        looks.append(len(asked))
        if looks.count(3) > 2:
            enough.set()
        return await to_thread.run_sync(function, asked)

    monkeypatch.setattr(supervisors, "run_sync", noted)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(attempt.wait)
        with anyio.fail_after(30):
            await enough.wait()
        await write(attempt.workspace / "go", "go\n")


@WOKEN_BY_US
async def test_of_more_than_are_looked_up_at_a_time_each_has_its_turn(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(supervisors, "_AT_ONCE", 2)
    seen: list[str] = []
    enough = anyio.Event()

    async def noted(function: Callable[..., object], asked: list[tuple[AttemptPlace, object]]) -> object:
        seen.extend(place.id for place, _ in asked)
        if len(seen) >= 10:
            enough.set()
        return [supervisors._LookResult(over=False)] * len(asked)

    monkeypatch.setattr(supervisors, "run_sync", noted)
    lookout = supervisors.AttemptPoller(lambda _: None)

    async def waits(name: str) -> None:
        with lookout.watching(AttemptPlace(attempt.directory, name), lambda _: None):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for name in "abcde":
            tasks.start_soon(waits, name)
        tasks.start_soon(lookout.serve)
        with anyio.fail_after(30):
            await enough.wait()
        tasks.cancel_scope.cancel()
    assert seen[:10] == [*"abcdeabcde"]


@pytest.mark.both(in_each_run=True)
@pytest.mark.parametrize("stopped", ["keeper", "runner", "keeper runner", "keeper runner command"])
async def test_an_end_wakes_whoever_is_stopped(attempt: Attempt, stopped: str) -> None:
    await attempt.start(attempt.script("echo $$ >&9; " + IN_VAIN))
    command = int(await attempt.leash.line())
    await attempt.leash.line()
    running = await attempt.running()
    pids = {"keeper": running.pid, "runner": running.runner_pid, "command": command}
    for name in stopped.split():
        os.kill(pids[name], signal.SIGSTOP)
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    await attempt.leash.gone()
    assert record is not None
    assert (record.asked, record.signal) == (True, signal.SIGKILL)
    assert attempt.asked_by_us(record)


@WOKEN_BY_US
async def test_a_runner_killed_under_a_stopped_keeper_is_noticed(attempt: Attempt) -> None:
    await attempt.start(attempt.script(IN_VAIN))
    await attempt.leash.line()
    running = await attempt.running()
    os.kill(running.pid, signal.SIGSTOP)
    os.kill(running.runner_pid, signal.SIGKILL)
    record = await attempt.wait()
    await attempt.leash.gone()
    assert record is not None
    assert record.writer == "keeper"


@WOKEN_BY_US
async def test_a_keeper_killed_over_a_stopped_runner_is_noticed(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors, "_LOOK_SECONDS", 0.01)
    await attempt.start(attempt.script(IN_VAIN))
    await attempt.leash.line()
    running = await attempt.running()
    os.kill(running.pid, signal.SIGSTOP)
    os.kill(running.runner_pid, signal.SIGSTOP)
    os.kill(running.pid, signal.SIGKILL)
    record = await attempt.wait()
    await attempt.leash.gone()
    assert record is not None
    assert (record.writer, record.signal) == ("runner", signal.SIGKILL)


@BOTH_GONE
async def test_the_sweep_by_the_mark_kills_what_is_stopped(attempt: Attempt) -> None:
    await attempt.start(
        attempt.script("echo $$ >&9; setsid sh -c 'echo $$ >&9; kill -STOP $$' & kill -STOP $$")
    )
    for _ in range(2):
        await attempt.leash.line()
    running = await attempt.running()
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (running.pid, running.runner_pid):
            os.kill(pid, number)
    assert await attempt.wait() is None
    await attempt.leash.gone()


# It has a last moment of its own: nobody sweeps when the test run itself is killed.
CHAIN = """
import os, time
os.open(os.environ["LEASH"], os.O_WRONLY)
ends = time.monotonic() + 60
if not os.fork():
    while time.monotonic() < ends:
        if os.fork():
            os._exit(0)
        os.setsid()
    os._exit(0)
os.write(3, b"ready\\n")
os.kill(os.getpid(), 19)
"""


@BOTH_GONE
@pytest.mark.parametrize("number", range(2))
async def test_the_sweep_by_the_mark_catches_up_with_a_chain_of_forks(attempt: Attempt, number: int) -> None:
    await attempt.start(attempt.spec(sys.executable, "-I", "-S", "-c", CHAIN))
    await attempt.leash.line()
    running = await attempt.running()
    for sign in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (running.pid, running.runner_pid):
            os.kill(pid, sign)
    assert await attempt.wait() is None
    await attempt.leash.gone()
