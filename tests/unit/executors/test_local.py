"""The executor on this host: what it finds after a restart, what it refuses, what it never touches."""

import contextvars
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import anyio
import msgspec
import pytest
from attempts import LOOKED_FOR_HERE, NO_FRONT, Attempt, encoded, soon

from marianned.executors import shim
from marianned.executors.base import (
    AlreadyClaimed,
    AttemptPlace,
    CannotStart,
    Presence,
    Spec,
    StartFailed,
    SupervisorIdentity,
)
from marianned.executors.host import traces
from marianned.executors.host.local import LocalExecutor

pytestmark = [pytest.mark.anyio, pytest.mark.both]

STARTED_HERE = pytest.mark.this_host(
    "an executor of this host starts it; tests/slurm/test_both_executors.py has it for both"
)
PROCESSES_HERE = pytest.mark.this_host("it looks for processes, which on a cluster are another host's")


def start_in_a_daemon_that_is_killed(attempt: Attempt, spec: Spec) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # newer ones of Python warn of threads, which the child has no part in
        pid = os.fork()
    if not pid:
        try:
            contextvars.Context().run(anyio.run, LocalExecutor().start, attempt.directory, spec)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@STARTED_HERE
async def test_an_attempt_outlives_the_daemon_with_all_its_output(attempt: Attempt) -> None:
    go = attempt.workspace / "go"
    os.mkfifo(go)
    script = "echo ready >&9; read word <go; i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; exit 7"
    start_in_a_daemon_that_is_killed(attempt, attempt.script(script))
    await attempt.leash.line()
    assert await soon(attempt.executor.presence(attempt.place)) is Presence.RUNNING
    with anyio.fail_after(30):
        await anyio.to_thread.run_sync(go.write_text, "go\n", abandon_on_cancel=True)
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 7
    assert attempt.output() == "".join(f"{i}\n" for i in range(2000))


@STARTED_HERE
async def test_an_end_while_nobody_was_there_is_taken_as_if_never_away(attempt: Attempt) -> None:
    start_in_a_daemon_that_is_killed(attempt, attempt.script("exit 5"))
    await attempt.leash.gone()
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 5


@STARTED_HERE
async def test_the_time_limit_holds_while_the_daemon_is_away(attempt: Attempt) -> None:
    spec = attempt.script("trap '' TERM; echo ready >&9; sleep 1000", timeout_seconds=1.0)
    start_in_a_daemon_that_is_killed(attempt, spec)
    await attempt.leash.line()
    await attempt.leash.gone()
    record = await attempt.wait()
    assert record is not None
    assert record.timed_out


@STARTED_HERE
async def test_an_attempt_can_be_ended_after_a_restart(attempt: Attempt) -> None:
    start_in_a_daemon_that_is_killed(attempt, attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    assert record is not None
    assert record.asked
    assert attempt.asked_by_us(record)


@STARTED_HERE
async def test_two_who_wait_get_the_same_record(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    records = []

    async def wait() -> None:
        records.append(await LocalExecutor().wait(attempt.place))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await attempt.executor.end(attempt.place)
    assert records[0] is not None
    assert records[0] == records[1]


async def test_waiting_can_be_given_up_without_harm(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    with anyio.move_on_after(0):
        await attempt.executor.wait(attempt.place)
    assert await attempt.executor.presence(attempt.place) is Presence.RUNNING
    await attempt.executor.end(attempt.place)
    assert await attempt.wait()


@PROCESSES_HERE
async def test_an_attempt_is_outlasted_when_the_last_of_its_supervisors_has_ended(attempt: Attempt) -> None:
    below = attempt.directory.parent
    await attempt.executor.start(attempt.directory, attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    over = anyio.Event()

    async def outlast() -> None:
        await attempt.executor.outlast(below, attempt.place.id)
        over.set()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outlast)
            await anyio.wait_all_tasks_blocked()
            assert attempt.place.id in await attempt.executor.alive_below(below)
            assert not over.is_set()
            await attempt.executor.end(attempt.place)
            await over.wait()
    assert await attempt.executor.alive_below(below) == {}


def zombies() -> list[str]:
    children = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [child for child in children.split() if traces.start_time(int(child)) is None]


@PROCESSES_HERE
async def test_no_child_of_the_daemon_is_left_after_a_start(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    assert zombies() == []
    await attempt.executor.end(attempt.place)
    await attempt.wait()


async def test_an_attempt_starts_only_once(attempt: Attempt) -> None:
    spec = attempt.spec("sh", "-c", "echo once")
    await attempt.run(spec)
    with pytest.raises(AlreadyClaimed):
        await attempt.start(spec)
    assert await attempt.executor.claim(attempt.place) is False
    assert attempt.output() == "once\n"


@pytest.mark.this_host(
    "on a cluster the claim is taken on the node, behind the start: of many starts all are accepted"
)
async def test_of_many_starts_at_once_one_wins(attempt: Attempt) -> None:
    refused = []

    async def start() -> None:
        try:
            await attempt.start(attempt.spec("sh", "-c", "echo once"))
        except AlreadyClaimed as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(start)
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 0
    assert len(refused) == 5
    assert attempt.output() == "once\n"


@LOOKED_FOR_HERE
async def test_a_claim_of_ours_fences_off_a_shim_that_comes_late(attempt: Attempt) -> None:
    assert await attempt.executor.claim(attempt.place) is True
    front = attempt.run_shim(encoded(attempt.spec("true")))
    assert front.returncode == shim.CLAIMED_STATUS
    with pytest.raises(AlreadyClaimed):
        await attempt.start(attempt.spec("true"))
    assert await attempt.executor.presence(attempt.place) is Presence.LOST
    assert await attempt.wait() is None


@pytest.mark.this_host(
    "what was written down and not submitted is submitted there: tests/slurm/test_cluster_faults.py"
)
async def test_what_was_never_started_is_told_from_what_is_lost(attempt: Attempt) -> None:
    assert await attempt.executor.presence(attempt.place) is Presence.NEVER_STARTED
    attempt.directory.mkdir(parents=True)
    (attempt.directory / shim.SPEC).write_bytes(encoded(attempt.spec("true")))
    assert await attempt.executor.presence(attempt.place) is Presence.NEVER_STARTED
    assert await attempt.wait() is None
    await attempt.executor.end(attempt.place)


@pytest.mark.both(in_each_run=True)
async def test_where_the_directory_cannot_be_made_nothing_starts(attempt: Attempt) -> None:
    attempt.directory.parent.write_text("a file in the way")
    with pytest.raises(StartFailed, match="1"):
        await attempt.start(attempt.spec("true"))


async def test_what_was_not_started_is_not_waited_for(attempt: Attempt) -> None:
    assert await attempt.wait() is None


@NO_FRONT
@pytest.mark.parametrize("last_words", ["kill -9 $$", "exit 3"])
async def test_a_front_that_is_killed_takes_nothing_along(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, last_words: str
) -> None:
    interpreter = attempt.workspace / "python"
    interpreter.write_text(f'#!/bin/sh\n{sys.executable} "$@"\n{last_words}\n')
    interpreter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    record = await attempt.run(attempt.spec("sh", "-c", "exit 5"))
    assert record.exit_code == 5


@pytest.mark.this_host("there it is the end of the attempt that tells: tests/slurm/test_cluster_faults.py")
@pytest.mark.parametrize(
    ("words", "said"), [("exit 3", "the shim ended with status 3"), ("nonsense", "nons")]
)
async def test_a_shim_that_does_not_come_up_is_told(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    interpreter = attempt.workspace / "python"
    interpreter.write_text(f"#!/bin/sh\n{words}\n")
    interpreter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(CannotStart, match=said):
        await attempt.start(attempt.spec("true"))
    assert await attempt.executor.presence(attempt.place) is Presence.NEVER_STARTED


async def test_an_environment_that_is_no_text_cannot_be_started(attempt: Attempt) -> None:
    with pytest.raises(CannotStart, match="surrogate"):
        await attempt.start(attempt.spec("true", env={"RAW": "\udcff"}))


@PROCESSES_HERE
async def test_a_shim_between_claim_and_identity_is_waited_for(attempt: Attempt) -> None:
    assert await attempt.executor.claim(attempt.place)
    (attempt.directory / shim.SPEC).write_bytes(encoded(attempt.spec("true")))
    late = sleeper(attempt)
    seen: list[Presence] = []

    async def look() -> None:
        seen.append(await soon(attempt.executor.presence(attempt.place)))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        assert seen == []
        running = identity_of(late.pid)
        (attempt.directory / shim.IDENTITY).write_bytes(msgspec.json.encode(running))
    assert seen == [Presence.RUNNING]
    late.kill()
    late.wait()
    assert await attempt.wait() is None


def sleeper(attempt: Attempt) -> subprocess.Popen[bytes]:
    """A process with the attempt's mark, like a shim that has not come far yet."""
    return subprocess.Popen(["sleep", "1000"], env={shim.MARK: attempt.id, "PATH": os.environ["PATH"]})


def identity_of(pid: int) -> SupervisorIdentity:
    start_time = traces.start_time(pid)
    assert start_time is not None
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return SupervisorIdentity(
        pid=pid, start_time=start_time, runner_pid=pid, runner_start_time=start_time, boot_id=boot_id
    )


@PROCESSES_HERE
@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"start_time": 1, "runner_start_time": 1}])
async def test_another_process_with_the_same_pid_is_left_alone(
    attempt: Attempt, change: dict[str, object]
) -> None:
    assert await attempt.executor.claim(attempt.place)
    (attempt.directory / shim.SPEC).write_bytes(encoded(attempt.spec("true")))
    running = msgspec.structs.replace(identity_of(os.getpid()), **change)
    (attempt.directory / shim.IDENTITY).write_bytes(msgspec.json.encode(running))
    await attempt.executor.end(attempt.place)  # a TERM would end this test
    assert await attempt.executor.presence(attempt.place) is Presence.LOST
    assert await attempt.wait() is None


@PROCESSES_HERE
async def test_a_process_carries_its_mark_while_its_program_is_not_loaded_yet(attempt: Attempt) -> None:
    mark = traces.trace_of(attempt.id).mark
    for _ in range(20):
        child = sleeper(attempt)
        found = traces.has_mark(child.pid, mark)
        child.kill()
        child.wait()
        assert found


@pytest.mark.this_host("it is no attempt's process")
def test_one_that_was_given_no_environment_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marianned.executors.host.traces.time.sleep", pytest.fail)
    cat = subprocess.Popen(["cat"], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert cat.stdin is not None
    assert cat.stdout is not None
    with cat, cat.stdin:
        cat.stdin.write(b"\n")
        cat.stdin.flush()
        assert cat.stdout.readline() == b"\n"  # it has been loaded
        assert traces.environment_of(cat.pid) == b""


@PROCESSES_HERE
async def test_a_zombie_counts_as_gone(attempt: Attempt) -> None:
    child = sleeper(attempt)
    running = identity_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  it has been killed
    assert await attempt.executor.claim(attempt.place)
    (attempt.directory / shim.IDENTITY).write_bytes(msgspec.json.encode(running))
    assert await attempt.executor.presence(attempt.place) is Presence.LOST
    assert await attempt.wait() is None
    child.wait()


@PROCESSES_HERE
async def test_a_short_supply_of_descriptors_is_not_taken_for_an_end(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    paused = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)

    monkeypatch.setattr(anyio, "sleep", pause)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
    try:
        assert await attempt.executor.presence(attempt.place) is Presence.RUNNING
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert paused == [1]
    await attempt.executor.end(attempt.place)
    await attempt.wait()


@LOOKED_FOR_HERE
async def test_an_attempt_lives_while_its_process_does_whatever_becomes_of_its_files(
    attempt: Attempt,
) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    shutil.rmtree(attempt.directory)
    assert await attempt.executor.presence(attempt.place) is Presence.RUNNING
    knows_nothing = LocalExecutor()
    assert await knows_nothing.presence(attempt.place) is Presence.RUNNING
    await knows_nothing.end(attempt.place)
    assert await soon(knows_nothing.wait(attempt.place)) is None
    await attempt.leash.gone()


@LOOKED_FOR_HERE
async def test_what_lies_there_of_another_attempt_is_neither_taken_nor_touched(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("true"))
    other = AttemptPlace(attempt.directory, "another")
    assert await attempt.executor.presence(other) is Presence.LOST
    assert await soon(attempt.executor.wait(other)) is None
    assert await attempt.executor.presence(attempt.place) is Presence.ENDED


@PROCESSES_HERE
async def test_who_has_shed_the_mark_is_killed_with_the_rest(attempt: Attempt) -> None:
    shed = f"env -u {shim.MARK} setsid sh -c 'echo $$ >&9; sleep 1000' &"
    await attempt.start(attempt.script(f"{shed} sleep 1000"))
    writer = int(await attempt.leash.line())
    running = await attempt.running()
    assert writer not in attempt.living()
    for number in (
        signal.SIGSTOP,
        signal.SIGKILL,
    ):  # held first: the other one would tell of the death of the first
        for pid in (running.pid, running.runner_pid):
            os.kill(pid, number)
    assert await attempt.wait() is None
    await attempt.leash.gone()
