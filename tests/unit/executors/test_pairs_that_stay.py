"""A pair whose attempt has ended by itself takes another one, which can't tell; nothing reaches the wrong one."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from attempts import Attempt, ended, soon

from marianned.executors import forkserver
from marianned.executors.base import AttemptPlace, ExitRecord, Spec, SupervisorIdentity, brand_of
from marianned.executors.host import forking, supervisors, traces
from marianned.executors.host.local import LocalExecutor

pytestmark = pytest.mark.anyio

SURROUNDINGS = """
env; umask; pwd; readlink /proc/self/fd/*; ls /proc/self/fd; cat /proc/self/oom_score_adj /proc/self/limits
grep -E '^(Sig[BIC]|Shd|NoNewPrivs|Cpus|Uid|Gid|Groups)' /proc/self/status; cat /proc/self/cgroup; nice
"""


class Turns:
    """Attempts of one executor, one after the other."""

    def __init__(self, attempt: Attempt, executor: LocalExecutor) -> None:
        self.attempt, self.executor = attempt, executor

    def place(self, name: str) -> AttemptPlace:
        return AttemptPlace(self.attempt.directory / name, f"{self.attempt.id}-{name}")

    def spec(self, name: str, *argv: str, **given: Any) -> Spec:
        return self.attempt.spec(*argv, id=self.place(name).id, **given)

    async def start(self, name: str, *argv: str, **given: Any) -> SupervisorIdentity:
        await soon(self.executor.start(self.place(name).directory, self.spec(name, *argv, **given)))
        running = await self.executor.read_identity(self.place(name))
        assert running is not None
        return running

    async def wait(self, name: str) -> ExitRecord:
        record = await soon(self.executor.wait(self.place(name)))
        assert record is not None
        return record

    async def run(self, name: str, *argv: str, **given: Any) -> SupervisorIdentity:
        running = await self.start(name, *argv, **given)
        await self.wait(name)
        return running


@pytest.fixture
async def turns(attempt: Attempt) -> AsyncIterator[Turns]:
    async with LocalExecutor() as executor:
        yield Turns(attempt, executor)


def pair(running: SupervisorIdentity) -> tuple[int, int]:
    return running.pid, running.runner_pid


def carried(pid: int) -> tuple[bytes, bytes, str, list[str]]:
    """What a process carries: its mark, its brand, its directory, its descriptors."""
    line = next(
        line
        for line in Path(f"/proc/{pid}/limits").read_bytes().splitlines()
        if line.startswith(traces._LIMIT)
    )
    place = str(Path(f"/proc/{pid}/cwd").readlink())
    opened = sorted(path.name for path in Path(f"/proc/{pid}/fd").iterdir())
    mark = Path(f"/proc/{pid}/environ").read_bytes().partition(b"\0")[0].partition(b"=")[2]
    return mark, line.removeprefix(traces._LIMIT).split()[0], place, opened


async def test_it_takes_another_attempt_and_has_nothing_of_the_one_before(turns: Turns) -> None:
    first = await turns.run("first", "true")
    rests = [carried(pid) for pid in pair(first)]
    for mark, brand, place, _ in rests:
        assert (mark, brand, place) == (b"-" * forkserver.MARK_ROOM, b"unlimited", "/")
    second = await turns.start("second", "sleep", "1000")
    assert (pair(second), second.start_time) == (pair(first), first.start_time)
    for pid in pair(second):
        mark, brand, place, _ = carried(pid)
        assert mark.decode() == turns.place("second").id.ljust(forkserver.MARK_ROOM, "\0").rstrip("\0")
        assert int(brand) == brand_of(turns.place("second").id)
        if pid == second.pid:  # the runner is where the command is to be, while it spawns that
            assert place == str(turns.place("second").directory)
    await turns.executor.end(turns.place("second"))
    await turns.wait("second")
    for name in ("a", "b"):
        third = await turns.run(name, "true")
    assert [carried(pid) for pid in pair(third)] == rests


async def test_a_command_can_not_tell(turns: Turns, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given\n")
    seen = []
    for name in ("number-1", "number-2"):
        text = f"cat; {SURROUNDINGS}"
        await turns.run(name, "sh", "-c", text, stdin=str(tmp_path / "in"), umask=0o027)
        output = (turns.place(name).directory / "stdout").read_text()
        for own in (name, str(brand_of(turns.place(name).id))):
            output = output.replace(own, "OWN")
        seen.append(output)
    assert seen[0] == seen[1]
    assert "given" in seen[0]


async def test_what_one_has_used_is_not_the_next_ones(turns: Turns) -> None:
    busy = "x = bytearray(200 << 20)\nwhile sum(__import__('os').times()[:2]) < 0.5: pass"
    await turns.run("first", "python3", "-c", busy)
    await turns.run("second", "true")
    first, second = await turns.wait("first"), await turns.wait("second")
    assert first.user_seconds + first.system_seconds > 0.4
    assert first.max_rss_kib > 200 << 10
    assert second.user_seconds + second.system_seconds < 0.3
    assert second.max_rss_kib < 100 << 10


async def test_each_leaves_its_own_record_and_output(turns: Turns) -> None:
    for number in range(20):
        await turns.run(str(number), "sh", "-c", f"echo {number}; echo {number} >&2; exit {number}")
    for number in range(20):
        place = turns.place(str(number))
        record = await turns.wait(str(number))
        assert (record.id, record.exit_code) == (place.id, number)
        assert {(place.directory / name).read_text() for name in ("stdout", "stderr")} == {f"{number}\n"}


@pytest.mark.parametrize(
    ("argv", "given"),
    [
        (("sh", "-c", "sleep 1000 &"), {}),
        (("sleep", "1000"), {"timeout_seconds": 0.05}),
        (("/no/such/program",), {}),
    ],
    ids=["left something", "timed out", "never began"],
)
async def test_after_anything_but_an_end_by_itself_it_does_not_stay(
    turns: Turns, argv: tuple[str, ...], given: dict[str, Any]
) -> None:
    first = await turns.run("first", *argv, **given)
    for pid in pair(first):
        await ended(pid)
    await turns.run("second", "true")


async def test_after_it_was_told_to_end_it_does_not_stay(turns: Turns) -> None:
    first = await turns.start(
        "first", "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    )
    await turns.executor.end(turns.place("first"))
    await turns.wait("first")
    for pid in pair(first):
        await ended(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("which", ["keeper", "runner"])
async def test_whoever_ends_at_rest_the_next_attempt_runs(turns: Turns, which: str, number: int) -> None:
    first = await turns.run("first", "true")
    pid = first.pid if which == "keeper" else first.runner_pid
    os.kill(pid, number)
    if which == "keeper" or number == signal.SIGKILL:
        await ended(pid)
    assert (await turns.start("second", "sh", "-c", "exit 7")) is not None
    assert (await turns.wait("second")).exit_code == 7
    if which == "keeper":
        await ended(first.runner_pid)


async def test_a_runner_that_is_stopped_at_rest_is_woken(turns: Turns) -> None:
    first = await turns.run("first", "true")
    os.kill(first.runner_pid, signal.SIGSTOP)
    assert pair(await turns.run("second", "true")) == pair(first)


async def test_a_runner_that_is_stopped_at_rest_ends_with_its_keeper(turns: Turns) -> None:
    first = await turns.run("first", "true")
    os.kill(first.runner_pid, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGKILL)
    await ended(first.runner_pid)


async def test_an_end_that_comes_late_does_not_reach_the_next_attempt(turns: Turns) -> None:
    first = await turns.run("first", "true")
    second = await turns.start("second", "sh", "-c", "sleep 0.2; exit 4")
    assert pair(second) == pair(first)
    turns.executor._known[turns.place("first").id] = first
    await turns.executor.end(turns.place("first"), drop=True)
    record = await turns.wait("second")
    assert (record.exit_code, record.asked) == (4, False)


def no_patience_with_a_stuck_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be given up at once; who comes then may take as long as ever."""
    kill = forking.SupervisorChannel._kill

    def killed(pair: forking.SupervisorChannel) -> None:
        monkeypatch.undo()
        kill(pair)

    monkeypatch.setattr(forking.SupervisorChannel, "_kill", killed)
    monkeypatch.setattr(forking, "_PATIENCE_MILLISECONDS", 50)


async def test_an_end_on_its_way_to_one_that_rests_meets_no_attempt(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent while the attempt before was not over: the keeper, stopped here, takes it at rest."""
    first = await turns.run("first", "true")
    os.kill(first.pid, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGTERM)
    no_patience_with_a_stuck_one(monkeypatch)
    second = await turns.start("second", "sh", "-c", "exit 4")
    assert second.pid != first.pid
    record = await turns.wait("second")
    assert (record.exit_code, record.asked) == (4, False)


async def test_one_that_is_stopped_at_rest_holds_up_no_start(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await turns.run("first", "true")
    os.kill(first.pid, signal.SIGSTOP)
    no_patience_with_a_stuck_one(monkeypatch)
    await turns.start("second", "true")
    await turns.wait("second")
    for pid in pair(first):
        await ended(pid)


async def test_no_pair_is_moved_between_a_look_for_it_and_the_signal(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is to get a signal is looked for with the lock held under which pairs are given attempts."""
    held: dict[str, bool] = {}
    await turns.run("first", "true")
    forks = turns.executor._forks
    assert forks is not None
    (resting,) = forks._resting
    resting._way = Way(resting._way, held)  # type: ignore[assignment]
    await turns.start("second", "sleep", "1000")
    look, send = supervisors.living, signal.pidfd_send_signal

    def looked(place: AttemptPlace, known: SupervisorIdentity | None) -> list[supervisors.SupervisorProcess]:
        held["look"] = traces.reassigning.locked()
        return look(place, known)

    def sent(handle: int, number: int) -> None:
        held["signal"] = traces.reassigning.locked()
        send(handle, number)

    monkeypatch.setattr(supervisors, "living", looked)
    monkeypatch.setattr(signal, "pidfd_send_signal", sent)
    await turns.executor.end(turns.place("second"))
    monkeypatch.undo()
    await turns.wait("second")
    assert held == {"move": True, "look": True, "signal": True}


class Way:
    """A socket that tells whether the lock is held as it sends."""

    def __init__(self, way: socket.socket, held: dict[str, bool]) -> None:
        self._way, self._images = way, held

    def send(self, data: bytes, flags: int) -> int:
        self._images["move"] = traces.reassigning.locked()
        return self._way.send(data, flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._way, name)


async def test_one_with_nothing_to_do_leaves(turns: Turns) -> None:
    first = await turns.run("first", "true")
    for pid in pair(first):
        await ended(pid)


async def test_those_that_rest_leave_with_their_executor(attempt: Attempt) -> None:
    async with LocalExecutor() as executor:
        first = await Turns(attempt, executor).run("first", "true")
    for pid in pair(first):
        await ended(pid)


async def test_one_whose_starter_does_not_wait_any_more_does_not_stay(turns: Turns) -> None:
    first = await turns.start("first", "sleep", "0.2")
    with anyio.move_on_after(0):
        await turns.executor.wait(turns.place("first"))
    await turns.wait("first")
    for pid in pair(first):
        await ended(pid)


async def test_no_more_stay_than_there_is_room_for(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_RESTING_MOST", 2)
    pairs = [await turns.start(str(number), "true") for number in range(4)]
    for number in range(4):
        await turns.wait(str(number))
    for one in pairs[2:]:
        await ended(one.pid)
    again = [await turns.start(f"again-{number}", "true") for number in range(3)]
    assert {pair(one) for one in again[:2]} == {pair(one) for one in pairs[:2]}
    for number in range(3):
        await turns.wait(f"again-{number}")
