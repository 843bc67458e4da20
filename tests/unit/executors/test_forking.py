"""The fork server: it changes nothing for an attempt, and nothing depends on its life."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
import pytest
from attempts import Attempt, ended, soon

from marianned.executors import forkserver
from marianned.executors.base import AlreadyClaimed, AttemptPlace, CannotStart, Presence
from marianned.executors.host import forking
from marianned.executors.host.forking import ForkServer
from marianned.executors.host.local import LocalExecutor

pytestmark = pytest.mark.anyio

SURROUNDINGS = """
env; umask; pwd; readlink /proc/self/fd/*; ls /proc/self/fd; cat /proc/self/oom_score_adj /proc/self/limits
grep -E '^(Sig[BIC]|Shd|NoNewPrivs|Cpus|Uid|Gid|Groups)' /proc/self/status; cat /proc/self/cgroup; nice
[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads a session
"""


@pytest.fixture
def forks(attempt: Attempt) -> Iterator[ForkServer]:
    return attempt.open_fork_server()


async def test_a_forked_attempt_sees_what_a_spawned_one_sees(attempt: Attempt, tmp_path: Path) -> None:
    outputs = []
    async with LocalExecutor() as forking_executor:
        for name, executor in (("spawned", LocalExecutor()), ("forked", forking_executor)):
            directory = tmp_path / name
            spec = attempt.spec("sh", "-c", SURROUNDINGS)
            await soon(executor.start(directory, spec))
            await soon(executor.wait(AttemptPlace(directory, spec.id)))
            outputs.append((directory / "stdout").read_text().replace(str(directory), "DIR"))
    assert "leads a session" in outputs[0]
    assert outputs[0] == outputs[1]


async def test_its_keepers_and_runners_carry_the_mark(attempt: Attempt, forks: ForkServer) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    running = await attempt.running()
    assert {running.pid, running.runner_pid} < set(attempt.living())
    assert forks.pid not in attempt.living()
    await attempt.executor.end(attempt.place)
    assert await attempt.wait()


async def test_it_holds_nothing_of_the_daemon_and_its_attempts_nothing_of_it(
    attempt: Attempt, forks: ForkServer
) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()  # the server has served, so it has read all its modules
    running = await attempt.running()
    for pid, ways in ((running.pid, 2), (running.runner_pid, 1)):  # to the daemon, to each other
        assert len(sockets(pid)) == ways
        assert not sockets(pid) & sockets(forks.pid)
    assert not any(sockets(pid) for pid in attempt.living() if pid not in {running.pid, running.runner_pid})
    assert surroundings(forks.pid) == ("/", ["0", "1", "2"])
    await attempt.executor.end(attempt.place)
    await attempt.wait()


def surroundings(pid: int | None) -> tuple[str, list[str]]:
    return str(Path(f"/proc/{pid}/cwd").readlink()), sorted(descriptors(pid))


def sockets(pid: int | None) -> set[str]:
    return {name for name in descriptors(pid).values() if name.startswith("socket:")}


def descriptors(pid: int | None) -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}


async def test_after_a_kill_starts_go_on_and_a_new_one_serves(
    attempt: Attempt, forks: ForkServer, tmp_path: Path
) -> None:
    servers = set()
    for number in range(3):
        assert forks.pid is not None
        servers.add(forks.pid)
        os.kill(forks.pid, signal.SIGKILL)
        attempt.directory = tmp_path / str(number)
        assert (await attempt.run(attempt.spec("true"))).exit_code == 0
        forks.open()  # as the next start would
    assert len(servers) == 3


async def test_killed_at_any_moment_it_fails_no_start(attempt: Attempt, tmp_path: Path) -> None:
    """The kills race with starts that run side by side; each start must end well all the same."""
    async with LocalExecutor() as executor:
        forks = executor._forks
        assert forks is not None

        async def one(number: int) -> None:
            place = AttemptPlace(tmp_path / str(number), f"{attempt.id}-{number}")
            spec = attempt.spec("sh", "-c", f"exit {number}", id=place.id)
            await executor.start(place.directory, spec)
            record = await executor.wait(place)
            assert record is not None
            assert record.exit_code == number

        async def all_of_them() -> None:
            async with anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(one, number)
                    await anyio.lowlevel.checkpoint()
                    if forks.pid and number % 3 == 2:
                        with suppress(ProcessLookupError):  # a start has seen it dead
                            os.kill(forks.pid, signal.SIGKILL)

        await soon(all_of_them())


async def test_one_that_hangs_is_replaced(
    attempt: Attempt, forks: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "_PATIENCE_MILLISECONDS", 20)
    assert forks.pid is not None
    os.kill(forks.pid, signal.SIGSTOP)
    stopped = forks.pid
    assert (await attempt.run(attempt.spec("sh", "-c", "exit 5"))).exit_code == 5
    forks.open()
    assert forks.pid != stopped


async def test_what_it_started_outlives_its_end(attempt: Attempt, forks: ForkServer) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    forks.close()
    assert await attempt.executor.presence(attempt.place) is Presence.RUNNING
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    assert record is not None
    assert (record.asked, record.asked_by) == (True, os.getpid())


IS_KILLED_WITH_A_SERVER = """
import os, signal, sys
from pathlib import Path
import anyio, msgspec
from marianned.executors.base import Spec
from marianned.executors.host.local import LocalExecutor
spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
async def main():
    async with LocalExecutor() as executor:
        await executor.start(Path(sys.argv[1]), spec)
        print(executor._forks.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""


def run(command: list[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, timeout=30, check=False)


async def test_it_ends_with_a_daemon_that_is_killed_and_its_attempts_do_not(attempt: Attempt) -> None:
    spec = attempt.script("echo ready >&9; sleep 1000")
    command = [sys.executable, "-c", IS_KILLED_WITH_A_SERVER, str(attempt.directory)]
    given = msgspec.json.encode(spec)
    daemon = run(command, given)
    assert daemon.returncode == -signal.SIGKILL
    await ended(int(daemon.stdout))
    await attempt.leash.line()
    assert await attempt.executor.presence(attempt.place) is Presence.RUNNING
    await attempt.executor.end(attempt.place)
    assert await attempt.wait()


async def test_a_second_start_is_refused_by_it_too(attempt: Attempt, forks: ForkServer) -> None:
    spec = attempt.spec("sh", "-c", "echo once")
    await attempt.run(spec)
    for _ in range(2):  # by a pair that rests, and by one that is forked
        assert forks.start(attempt.directory, attempt.id) == (125, "the attempt is claimed already", None)
    with pytest.raises(AlreadyClaimed):
        await attempt.start(spec)
    assert attempt.output() == "once\n"
    for pid in attempt.living():  # those that were refused have said so, and end
        await ended(pid)


async def test_it_says_why_a_spec_is_of_no_use(attempt: Attempt, forks: ForkServer) -> None:
    attempt.directory.mkdir(parents=True)
    (attempt.directory / "spec.json").write_text('{"version": 2}')
    answer = forks.start(attempt.directory, attempt.id)
    assert answer is not None
    assert answer[:2] == (126, "no usable spec.json: ValueError: version 2, this shim reads 1")


async def test_an_id_it_has_no_room_for_is_spawned(attempt: Attempt, forks: ForkServer) -> None:
    name = "x" * (forkserver.MARK_ROOM + 1)
    assert forks.start(attempt.directory, name) is None
    record = await attempt.run(attempt.spec("true", id=name))
    assert record.exit_code == 0


async def test_without_an_interpreter_the_reason_is_told_at_the_start(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    async with LocalExecutor() as executor:
        with pytest.raises(CannotStart, match="/no/such/python"):
            await soon(executor.start(attempt.directory, attempt.spec("true")))


async def test_no_zombie_of_it_is_left(attempt: Attempt, forks: ForkServer) -> None:
    assert forks.pid is not None
    others = set(children()) - {str(forks.pid)}  # what other tests of this process have started
    os.kill(forks.pid, signal.SIGKILL)
    await attempt.run(attempt.spec("true"))
    forks.close()
    assert set(children()) <= others


def children() -> list[str]:
    return "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
