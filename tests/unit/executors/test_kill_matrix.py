"""Every one of keeper, runner and command left alone, killed, or stopped for a while: nothing is left.

MARIANNE_KILL_ROUNDS says how often each combination is tried (1); `pytest -s` shows what came of it.
"""

import collections
import contextlib
import itertools
import os
import signal
import sys
from pathlib import Path

import pytest
from attempts import BOTH_GONE, Attempt, soon
from kit.executors import on_slurm

from marianned.executors.base import ExitRecord, Presence
from marianned.executors.host.local import LocalExecutor

ROUNDS = int(os.environ.get("MARIANNE_KILL_ROUNDS", "1"))
PARTS = ("keeper", "runner", "command")
FATES = [
    fates for fates in itertools.product(("alone", "killed", "stopped"), repeat=3) if set(fates) != {"alone"}
]

pytestmark = [pytest.mark.anyio, pytest.mark.both, pytest.mark.timeout(120 * ROUNDS)]

# Ignores TERM; double forks, sessions of their own, and a chain of children each of which forks the next. All
# of it ends by itself: nobody sweeps when the test run is killed.
TREE = """
trap '' TERM
(setsid sh -c '(sleep 1000 & setsid sleep 1000 &) ; sleep 1000' &)
sleep 1000 &
chain() { [ $1 = 0 ] || (sleep 0.01; chain $(($1 - 1)) &); }
(chain 900 &)
echo $$ >&9
sleep 1000
"""


def tried(fates: tuple[str, ...]) -> object:
    """Return them as a parameter."""
    marks = [BOTH_GONE] if fates[:2] == ("killed", "killed") else []
    return pytest.param(fates, id="-".join(fates), marks=marks)


@pytest.mark.parametrize("fates", [tried(fates) for fates in FATES])
async def test_whoever_is_killed_or_stopped_nothing_is_left(
    tmp_path: Path, runs_on: str, fates: tuple[str, ...]
) -> None:
    seen: collections.Counter[str] = collections.Counter()
    async with on_slurm(tmp_path) if runs_on == "slurm" else LocalExecutor() as executor:
        for number in range(ROUNDS):
            place = tmp_path / str(number)
            place.mkdir()
            attempt = Attempt(place)
            if number % 2 == 0 or runs_on == "slurm":
                attempt.executor = executor
            try:
                record = await play(attempt, dict(zip(PARTS, fates, strict=True)))
                await attempt.leash.gone()
                assert attempt.living() == []
            finally:
                attempt.leash.close()
            check(fates, record)
            assert await attempt.executor.presence(attempt.place) is (
                Presence.ENDED if record else Presence.LOST
            )
            seen[f"recorded by the {record.writer}" if record else "lost"] += 1
    print(f"{'-'.join(fates)}: {ROUNDS} rounds, {dict(seen)}, 0 left", file=sys.stderr)


async def play(attempt: Attempt, fates: dict[str, str]) -> ExitRecord | None:
    await attempt.start(attempt.script(TREE, grace_seconds=0.05))
    command = int(await attempt.leash.line())
    running = await attempt.running()
    pids = {"keeper": running.pid, "runner": running.runner_pid, "command": command}
    victims = [pids[part] for part in PARTS if fates[part] != "alone"]
    send(signal.SIGSTOP, victims)  # first, so that those to be killed don't see each other die
    send(signal.SIGKILL, [pids[part] for part in PARTS if fates[part] == "killed"])
    send(signal.SIGCONT, [pids[part] for part in PARTS if fates[part] == "stopped"])
    if "killed" not in fates.values():
        await attempt.executor.end(attempt.place)
    return await soon(attempt.wait())


def send(number: int, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a runner left over is quick to sweep the command
            os.kill(pid, number)


def check(fates: tuple[str, ...], record: ExitRecord | None) -> None:
    """Tell what must be recorded: nothing if both supervisors were killed, else what is known."""
    keeper, runner, _ = fates
    if keeper == runner == "killed":
        assert record is None
        return
    assert record is not None
    assert record.writer == ("keeper" if runner == "killed" else "runner")
    assert record.signal == (None if runner == "killed" else signal.SIGKILL)
    assert record.asked == ("killed" not in fates)
