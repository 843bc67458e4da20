"""How an attempt ends: by itself, by its time limit, because somebody asks, because somebody is killed."""

import contextlib
import os
import shutil
import signal

import anyio
import pytest
from attempts import ANY_START, BOTH_GONE, LOOKED_FOR_HERE, NO_FRONT, Attempt, encoded, soon, write

from marianned.executors import shim
from marianned.executors.base import Presence

pytestmark = [pytest.mark.anyio, pytest.mark.both(forked=True)]


# Two levels of detached processes that ignore TERM, in sessions of their own, and the command itself as one.
TREE = """
trap '' TERM
(setsid sh -c '(sleep 1000 & setsid sleep 1000 &) ; sleep 1000' &)
sleep 1000 &
echo ready >&9
"""
HANGS = TREE + "sleep 1000\n"


async def test_what_a_command_leaves_behind_does_not_outlive_it(attempt: Attempt) -> None:
    record = await attempt.run(attempt.script(TREE + "exit 3"))
    await attempt.leash.gone()
    assert (record.exit_code, record.asked, record.timed_out) == (3, False, False)
    assert record.swept >= 1


async def test_a_chain_of_forks_is_caught(attempt: Attempt) -> None:
    await attempt.run(
        attempt.script("chain() { [ $1 = 0 ] || (chain $(($1 - 1)) &); }\n(chain 900 &)\nexit 0")
    )
    await attempt.leash.gone()


async def test_the_time_limit_ends_what_ignores_term(attempt: Attempt) -> None:
    record = await attempt.run(attempt.script(HANGS, timeout_seconds=1.0))
    await attempt.leash.gone()
    assert (record.timed_out, record.asked, record.asked_by) == (True, False, None)
    assert record.signal == signal.SIGKILL
    assert record.swept >= 4


async def test_a_request_ends_what_ignores_term(attempt: Attempt) -> None:
    await attempt.start(attempt.script(HANGS))
    assert await attempt.leash.line() == "ready"
    await attempt.executor.end(attempt.place)
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    await attempt.leash.gone()
    assert record is not None
    assert (record.asked, record.timed_out) == (True, False)
    assert attempt.asked_by_us(record)
    assert record.signal == signal.SIGKILL
    assert record.writer == "runner"


async def test_within_grace_a_command_ends_its_own_way(attempt: Attempt) -> None:
    script = "trap 'echo saved; exit 4' TERM; echo ready >&9; for _ in $(seq 3000); do sleep 0.02; done"
    await attempt.start(attempt.script(script, grace_seconds=20.0))
    await attempt.leash.line()
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.asked) == (4, True)
    assert attempt.output() == "saved\n"


async def test_grace_is_for_the_whole_group_of_the_command(attempt: Attempt) -> None:
    """A wrapper dies of TERM at once; the agent in it still has its time to save its work."""
    agent = (
        "trap 'sleep 0.1; echo saved; exit' TERM; echo ready >&9; for _ in \\$(seq 3000); do sleep 0.02; done"
    )
    await attempt.start(attempt.script(f'sh -c "{agent}" & wait', grace_seconds=20.0))
    await attempt.leash.line()
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    assert record is not None
    assert (record.signal, record.swept) == (signal.SIGTERM, 0)
    assert attempt.output() == "saved\n"


async def test_a_stopped_command_can_be_ended_gently(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo ready >&9; kill -STOP $$", grace_seconds=20.0))
    await attempt.leash.line()
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    assert record is not None
    assert record.signal == signal.SIGTERM


async def test_what_ended_by_itself_first_was_not_asked(attempt: Attempt) -> None:
    go = attempt.workspace / "go"
    os.mkfifo(go)
    await attempt.start(attempt.script("echo $$ >&9; read word <go; exit 6"))
    command = int(await attempt.leash.line())
    running = await attempt.executor.read_identity(attempt.place)
    assert running is not None
    for supervisor in (running.pid, running.runner_pid):  # it can look at neither before both have happened
        os.kill(supervisor, signal.SIGSTOP)
    watch = os.pidfd_open(command)
    await write(go, "go\n")
    with anyio.fail_after(30):
        await anyio.wait_readable(watch)
    os.close(watch)
    await attempt.executor.end(attempt.place)  # which wakes both
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.asked, record.asked_by) == (6, False, None)


async def test_a_request_after_the_end_does_nothing(attempt: Attempt) -> None:
    before = await attempt.run(attempt.spec("true"))
    await attempt.executor.end(attempt.place)
    assert await attempt.wait() == before


KILLED = {
    "keeper": ("runner", signal.SIGKILL),
    "runner": ("keeper", None),
    "command": ("runner", signal.SIGKILL),
    "keeper command": ("runner", signal.SIGKILL),
    "runner command": ("keeper", None),
    "keeper runner": None,
    "keeper runner command": None,
}


@pytest.mark.parametrize(
    "victims",
    [pytest.param(one, marks=[BOTH_GONE] if KILLED[one] is None else []) for one in KILLED],
)
async def test_whoever_is_killed_nothing_is_left_and_a_survivor_tells(attempt: Attempt, victims: str) -> None:
    await attempt.start(attempt.script(TREE + "echo $$ >&9; sleep 1000"))
    await attempt.leash.line()
    running = await attempt.executor.read_identity(attempt.place)
    assert running is not None
    pids = {"keeper": running.pid, "runner": running.runner_pid, "command": int(await attempt.leash.line())}
    for sign in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, they die without seeing each other die
        for victim in victims.split():
            with contextlib.suppress(ProcessLookupError):  # a runner left over is quick to sweep the command
                os.kill(pids[victim], sign)
    record = await attempt.wait()
    await attempt.leash.gone()
    seen = record and (record.writer, record.signal)
    assert seen == KILLED[victims]
    if record:
        assert (record.exit_code, record.asked, record.timed_out) == (None, False, False)
    assert await soon(attempt.executor.presence(attempt.place)) is (
        Presence.ENDED if record else Presence.LOST
    )


async def test_a_directory_that_was_removed_keeps_nobody_alive(attempt: Attempt) -> None:
    go = attempt.workspace / "go"
    os.mkfifo(go)
    await attempt.start(attempt.script("echo ready >&9; read word <go"))
    await attempt.leash.line()
    running = await attempt.executor.read_identity(attempt.place)
    assert running is not None
    watch = os.pidfd_open(running.pid)
    shutil.rmtree(attempt.directory)
    await write(go, "go\n")
    with anyio.fail_after(30):
        await anyio.wait_readable(watch)
    os.close(watch)
    assert await attempt.wait() is None


@ANY_START
@NO_FRONT
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "StopIteration"),
        (b'{"version": 1, "argv"', "no usable spec.json"),
        (b'{"version": 2, "argv": ["true"]}', "version 2, this shim reads 1"),
        (b'{"version": 1, "argv": []}', "argv is empty"),
        (b'{"version": 1, "argv": ["true"]}', "'timeout_seconds'"),
    ],
)
async def test_a_bad_spec_is_refused_before_the_claim(attempt: Attempt, content: bytes, said: str) -> None:
    front = attempt.run_shim(content)
    assert front.returncode == shim.BAD_SPEC_STATUS
    assert said in front.stderr
    assert front.stderr.count("\n") == 1
    assert not (attempt.directory / shim.CLAIM).exists()


@ANY_START
@NO_FRONT
async def test_a_second_shim_over_the_same_attempt_refuses(attempt: Attempt) -> None:
    spec = attempt.spec("sh", "-c", "echo once")
    await attempt.run(spec)
    front = attempt.run_shim(encoded(spec))
    assert (front.returncode, front.stderr) == (shim.CLAIMED_STATUS, "the attempt is claimed already\n")
    assert attempt.output() == "once\n"


async def test_the_record_uses_the_room_that_came_with_the_claim(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    reserved = (attempt.directory / shim.CLAIM).stat()
    assert reserved.st_blocks * 512 >= 4096
    await attempt.executor.end(attempt.place)
    await attempt.wait()
    assert (attempt.directory / shim.RECORD).stat().st_ino == reserved.st_ino


@ANY_START
@pytest.mark.parametrize("instead", ["nothing", "an empty file", "another's", "a directory", "a pipe"])
async def test_where_the_record_is_gone_the_claim_that_became_it_tells_how_it_ended(
    attempt: Attempt, instead: str
) -> None:
    ended = await attempt.run(attempt.spec("sh", "-c", "exit 7"))
    record = attempt.directory / shim.RECORD
    text = record.read_text()
    record.unlink()
    match instead:
        case "an empty file":
            record.touch()
        case "another's":
            record.write_text(text.replace(attempt.id, f"{attempt.id}-another"))
        case "a directory":
            record.mkdir()
        case "a pipe":
            os.mkfifo(record)
    assert await attempt.executor.presence(attempt.place) is Presence.ENDED
    assert await soon(attempt.executor.wait(attempt.place)) == ended


@ANY_START
@LOOKED_FOR_HERE
async def test_a_claim_of_another_attempt_tells_nothing_of_this_one(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("sh", "-c", "exit 7"))
    record, claim = attempt.directory / shim.RECORD, attempt.directory / shim.CLAIM
    text = record.read_text()
    record.unlink()
    claim.write_text(text.replace(attempt.id, f"{attempt.id}-another"))
    assert await attempt.executor.presence(attempt.place) is Presence.LOST
