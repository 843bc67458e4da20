"""What holds of an attempt wherever it runs: on this host, and on a cluster's node."""

import os
import signal

import anyio
import pytest
from kit.daemon import DEADLINE

from marianned.executors.base import AlreadyClaimed, FinalEventRule, Presence, SilenceLimit, describe_loss
from marianned.executors.host import traces

pytestmark = [pytest.mark.anyio, pytest.mark.both(in_each_run=True)]


async def test_it_outlives_the_daemon_with_all_its_output(trial):
    go = trial.workspace / "go"
    os.mkfifo(go)
    script = "echo ready >&9; read word <go; i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; exit 7"
    await trial.start(trial.script(script))
    await trial.leash.line()
    with anyio.fail_after(DEADLINE):
        await anyio.to_thread.run_sync(go.write_text, "go\n", abandon_on_cancel=True)
    record = await trial.wait()
    assert record.exit_code == 7
    assert trial.output() == "".join(f"{i}\n" for i in range(2000))


async def test_an_end_while_nobody_was_there_is_taken_as_if_never_away(trial):
    await trial.start(trial.script("echo ready >&9; exit 5"))
    await trial.leash.line()
    await trial.leash.gone()
    assert (await trial.wait()).exit_code == 5


async def test_the_time_limit_holds_to_the_second_while_the_daemon_is_away(trial):
    spec = trial.script("trap '' TERM; echo ready >&9; sleep 1000", timeout_seconds=1.0)
    await trial.start(spec)
    await trial.leash.line()
    await trial.leash.gone()
    record = await trial.wait()
    assert record.timed_out
    assert 1000 <= record.ended_at - record.started_at < 10_000


async def test_a_limit_that_is_raised_while_it_runs_counts(trial):
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo ready >&9; sleep 3", timeout_seconds=2.0))
        await trial.leash.line()
        await executor.raise_limit(trial.place, 60.0)
        with anyio.fail_after(DEADLINE):
            record = await executor.wait(trial.place)
    assert (record.exit_code, record.timed_out) == (0, False)


async def test_it_is_ended_with_all_that_has_detached_itself(trial):
    script = 'setsid sh -c "echo child >&9; sleep 1000" & trap "" TERM; sleep 1000'
    await trial.start(trial.script(script))
    assert await trial.leash.line() == "child"
    async with trial.executor() as executor:
        with anyio.fail_after(DEADLINE):
            await executor.end(trial.place)
            record = await executor.wait(trial.place)
    assert record.asked
    assert record.exit_code is None
    await trial.leash.gone()


async def test_it_begins_only_once(trial):
    spec = trial.spec("sh", "-c", "echo once")
    assert (await trial.run(spec)).exit_code == 0
    async with trial.executor() as executor:
        with pytest.raises(AlreadyClaimed):
            await executor.start(trial.directory, spec)
        assert not await executor.claim(trial.place)
    assert trial.output() == "once\n"


async def test_once_the_claim_is_taken_nothing_begins(trial):
    async with trial.executor() as executor:
        assert await executor.presence(trial.place) is Presence.NEVER_STARTED
        assert await executor.claim(trial.place)
        with pytest.raises(AlreadyClaimed):
            await executor.start(trial.directory, trial.spec("true"))


async def test_values_with_commas_quotes_and_newlines_arrive_whole(trial):
    odd = "a,b=c;\"d\" 'e'\n\\f $(g) \u00e9"
    record = await trial.run(trial.spec("sh", "-c", 'printf %s "$ODD"', env={"ODD": odd}))
    assert record.exit_code == 0
    assert trial.output() == odd


async def test_what_it_has_left_behind_ends_with_it(trial):
    record = await trial.run(trial.script("setsid sleep 1000 & echo said; exit 3"))
    assert (record.exit_code, record.swept) == (3, 1)
    await trial.leash.gone()


async def test_a_command_that_is_not_there_is_told(trial):
    record = await trial.run(trial.spec("no-such-command"))
    assert record.error == "'no-such-command': No such file or directory"


async def test_silence_ends_it(trial):
    silence = SilenceLimit(idle=0.5, interval=0.1, directories=[])
    record = await trial.run(trial.script("echo one; sleep 1000", silence=silence))
    assert record.stale


async def test_its_final_event_ends_it(trial):
    final = FinalEventRule(grace=0.2, event="result")
    record = await trial.run(trial.script("""echo '{"type": "result"}'; sleep 1000""", final=final))
    assert record.final


async def test_its_output_is_kept_within_its_cap(trial):
    cap = 1024 * 1024
    record = await trial.run(trial.script("head -c 20000000 /dev/zero | tr '\\0' x", output_cap=cap))
    assert record.exit_code == 0
    assert (trial.directory / "stdout").stat().st_size == 20_000_000
    assert (trial.directory / "stdout").stat().st_blocks * 512 < 4 * cap


async def test_when_its_keeper_is_killed_the_runner_ends_it(trial):
    await trial.start(trial.script("echo ready >&9; sleep 1000"))
    await trial.leash.line()
    async with trial.executor() as executor:
        running = await executor.read_identity(trial.place)
        os.kill(running.pid, signal.SIGKILL)
        with anyio.fail_after(DEADLINE):
            record = await executor.wait(trial.place)
    assert describe_loss(record)
    await trial.leash.gone()


async def test_when_both_its_supervisors_are_killed_it_is_lost(trial, runs_on):
    await trial.start(trial.script("echo ready >&9; sleep 1000"))
    await trial.leash.line()
    async with trial.executor() as executor:
        running = await executor.read_identity(trial.place)
        for pid in (running.runner_pid, running.pid):
            os.kill(pid, signal.SIGSTOP)
        for pid in (running.runner_pid, running.pid):
            os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(3 * DEADLINE):
            record = await executor.wait(trial.place)
    assert describe_loss(record)
    if runs_on == "slurm":  # what is left there is Slurm's to end, which it can't without cgroups
        traces.kill_all(trial.id)
    await trial.leash.gone()


async def test_two_who_look_after_it_get_the_same_record(trial):
    await trial.start(trial.script("echo ready >&9; sleep 1000"))
    await trial.leash.line()
    records = []

    async def wait():
        records.append(await trial.wait())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        async with trial.executor() as executor:
            await executor.end(trial.place)
    assert records[0] is not None
    assert records[0] == records[1]
