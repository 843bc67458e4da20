"""A cluster that forgets, is away, or loses a node: no attempt begins twice, none is forgotten, nothing fails."""

import anyio
import pytest
from kit.daemon import DEADLINE, LOST_AFTER
from kit.executors import watched
from kit.loopback import LONG
from trying import Trial, said, until

from marianned.executors.base import AttemptPlace, AttemptWithdrawn, CannotStart, describe_loss
from marianned.executors.clusters.cluster_files import SUBMISSION
from marianned.executors.clusters.slurm import SlurmEngine
from marianned.score.expanded import Resources

pytestmark = [pytest.mark.anyio, pytest.mark.slurm]
_HELD = Resources(arguments=("--hold",))


@pytest.fixture
def runs_on(cluster):
    """Slurm alone."""
    return "slurm"


class Forgetful(SlurmEngine):
    """A cluster that has no memory of what has ended: what is cancelled there is to us what it has forgotten."""

    async def fates(self, keys):
        return {}


def forgetful(trial):
    return watched(Forgetful(), trial.root.parent, lost_after=LOST_AFTER)


def job_of(trial):
    return f"m-{trial.id}"


def number(cluster, trial):
    return cluster.command("squeue", "--noheader", "--name", job_of(trial), "--format=%i").strip()


async def until_listed(cluster, trial, word):
    """Wait until Slurm lists the attempt like that; no event tells of it."""
    await until(lambda: f"{job_of(trial)} {word}" in cluster.queue())


async def test_a_submission_that_slurm_forgets_is_made_again_once(cluster, trial):
    held = trial.script("echo begun >&9", resources=_HELD)
    async with forgetful(trial) as executor:
        await executor.start(trial.directory, held)
        cluster.command("scancel", "--name", job_of(trial))
        await until(lambda: b'"forgotten":1' in (trial.directory / SUBMISSION).read_bytes())
        await until_listed(cluster, trial, "PENDING")
        cluster.command("scontrol", "release", number(cluster, trial))
        with anyio.fail_after(DEADLINE):
            record = await executor.wait(trial.place)
    assert record.exit_code == 0


async def test_what_slurm_forgets_twice_is_lost_and_can_never_begin(cluster, trial):
    async with forgetful(trial) as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9", resources=_HELD))
        records = []

        async def wait():
            records.append(await executor.wait(trial.place))

        def forgotten():
            cluster.command("scancel", "--name", job_of(trial))
            return records

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(forgotten)
        assert records == [None]
        assert not await executor.claim(trial.place)


async def test_a_crash_between_the_submission_and_its_answer_leaves_one_job(cluster, trial):
    await trial.start(trial.script("echo begun >&9", resources=_HELD))
    async with trial.executor() as executor, anyio.create_task_group() as tasks:

        async def wait():
            with pytest.raises(AttemptWithdrawn):
                await executor.wait(trial.place)

        await until_listed(cluster, trial, "PENDING")
        tasks.start_soon(wait)
        await until(lambda: "JobHeldUser: held by its user" in said(executor, trial.id))
        assert cluster.queue().count(f"{job_of(trial)} PENDING") == 1
        await executor.withdraw(trial.place)
        await until(lambda: not cluster.queue())


async def test_what_was_named_and_then_not_submitted_is_submitted(cluster, trial):
    await trial.start(trial.script("echo begun >&9; exit 4", resources=_HELD))
    cluster.command("scancel", "--name", job_of(trial))  # as if the daemon had died before the sbatch
    spec = trial.directory / "spec.json"
    spec.write_bytes(spec.read_bytes().replace(b'"--hold"', b'"--comment=x"'))
    async with forgetful(trial) as executor:
        with anyio.fail_after(DEADLINE):
            assert (await executor.wait(trial.place)).exit_code == 4


async def test_what_waits_is_withdrawn_and_what_has_begun_is_not(cluster, trial):
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9", resources=_HELD))
        await executor.withdraw(trial.place)
        with anyio.fail_after(DEADLINE):
            with pytest.raises(AttemptWithdrawn):
                await executor.wait(trial.place)
        await until(lambda: not cluster.queue())
    assert not (trial.directory / "stdout").exists()
    other = Trial(trial.workspace, trial.executor)
    async with other.executor() as executor:
        await executor.start(other.directory, other.script("echo begun >&9; sleep 1; exit 4"))
        await other.leash.line()
        await executor.withdraw(other.place)
        with anyio.fail_after(DEADLINE):
            assert (await executor.wait(other.place)).exit_code == 4
    other.close()


async def test_what_is_withdrawn_just_before_the_daemon_ends_leaves_the_queue(cluster, trial):
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9", resources=_HELD))
        await executor.withdraw(trial.place)
    await until(lambda: not cluster.queue())


async def test_what_slurm_will_never_take_is_refused_with_its_words(cluster, trial):
    nowhere = Resources(partition="nowhere")
    async with trial.executor() as executor:
        with pytest.raises(CannotStart, match="invalid partition specified: nowhere"):
            await executor.start(trial.directory, trial.spec("true", resources=nowhere))


async def test_a_node_without_the_interpreter_is_told(cluster, trial, tmp_path):
    shared = tmp_path / "attempts"
    async with watched(SlurmEngine(), shared, python="python99", lost_after=2.0) as executor:
        with anyio.fail_after(DEADLINE):
            await executor.start(trial.directory, trial.spec("true"))
            record = await executor.wait(trial.place)
    assert "python99: not found" in record.error


async def test_beyond_what_slurm_takes_a_start_waits(cluster, trial):
    cluster.command("sbatch", "--hold", "--wrap", "true")
    cluster.set(MaxJobCount=1)
    try:
        async with trial.executor() as executor, anyio.create_task_group() as tasks:
            tasks.start_soon(executor.start, trial.directory, trial.script("echo begun >&9"))
            with anyio.move_on_after(3):
                await trial.leash.line()
                raise AssertionError("it has begun")
            cluster.set(MaxJobCount=None)
            assert await trial.leash.line() == "begun"
        assert (await trial.wait()).exit_code == 0
    finally:
        cluster.set(MaxJobCount=None)
        cluster.command("scancel", "--me")


async def test_more_than_an_array_may_have_go_as_several(cluster, trial):
    cluster.set(MaxArraySize=4)
    try:
        async with trial.executor() as executor:
            await all_of(executor, trial, 10)
    finally:
        cluster.set(MaxArraySize=None)


async def all_of(executor, trial, count):
    """Run so many attempts at once; each says its number."""
    records = {}

    async def one(number):
        place = AttemptPlace(trial.root / "1" / f"{number}-1", f"{trial.id}-{number}", trial.root)
        await executor.start(place.directory, trial.spec("sh", "-c", f"echo {number}", id=place.id))
        record = await executor.wait(place)
        records[number] = (record.exit_code, (place.directory / "stdout").read_text())

    with anyio.fail_after(2 * DEADLINE):
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(one, number)
    assert records == {number: (0, f"{number}\n") for number in range(count)}


@pytest.mark.parametrize("pause", [1.0, 6.0] if LONG else [1.0])
async def test_a_controller_that_is_killed_behind_a_submission_starts_nothing_twice(cluster, trial, pause):
    script = f'echo "$$" >> {trial.workspace}/begun; sleep {pause + 2}; exit 3'
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script(script))
        await anyio.sleep(pause)  # what is tried is this very time
        await anyio.to_thread.run_sync(cluster.fault, "ctld-kill")
        await anyio.to_thread.run_sync(cluster.fault, "ctld-start")
        with anyio.fail_after(3 * DEADLINE):
            record = await executor.wait(trial.place)
    begun = (trial.workspace / "begun").read_text().split()
    assert len(begun) == 1
    assert record is None or describe_loss(record) or record.exit_code == 3


async def test_while_the_controller_is_away_nothing_fails(cluster, trial, tmp_path):
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9; sleep 3; exit 4"))
        await trial.leash.line()
        await anyio.to_thread.run_sync(cluster.fault, "ctld-stop")
        try:
            with anyio.fail_after(DEADLINE):  # it ends meanwhile: that is seen without Slurm
                assert (await executor.wait(trial.place)).exit_code == 4
            (tmp_path / "later").mkdir()
            later = Trial(tmp_path / "later", trial.executor)
            later.leash.deadline = 4 * DEADLINE  # it is to be silent for longer than what begins may take
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(executor.start, later.directory, later.script("echo begun >&9"))
                with anyio.move_on_after(60 if LONG else 12):
                    await later.leash.line()
                    raise AssertionError("it has begun without a controller")
                await anyio.to_thread.run_sync(cluster.fault, "ctld-start")
                assert await later.leash.line() == "begun"
            with anyio.fail_after(DEADLINE):
                assert (await executor.wait(later.place)).exit_code == 0
            later.close()
        finally:
            await anyio.to_thread.run_sync(cluster.fault, "ctld-start")


async def test_an_attempt_is_ended_while_the_controller_is_away(cluster, trial):
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9; sleep 1000"))
        await trial.leash.line()
        await anyio.to_thread.run_sync(cluster.fault, "ctld-stop")
        try:
            with anyio.fail_after(DEADLINE):
                await executor.end(trial.place)
                record = await executor.wait(trial.place)
        finally:
            await anyio.to_thread.run_sync(cluster.fault, "ctld-start")
    assert record.asked
    await trial.leash.gone()


async def test_while_the_shared_directory_is_away_nothing_is_concluded(cluster, trial):
    aside = trial.root.with_name("aside")
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9; sleep 2; exit 4"))
        await trial.leash.line()
        trial.root.rename(aside)
        async with anyio.create_task_group() as tasks:
            records = []

            async def wait():
                records.append(await executor.wait(trial.place))

            tasks.start_soon(wait)
            await anyio.sleep(30 if LONG else 6)  # longer than it takes, and than what is gone is waited for
            assert records == []
            assert "is not there; bring it back" in said(executor, trial.id)
            aside.rename(trial.root)
            await until(lambda: records)
    assert records[0].exit_code == 4


@pytest.mark.skipif(not LONG, reason="takes a minute: MARIANNE_SLURM_LONG=1")
async def test_what_a_dead_node_ran_is_lost_and_runs_no_more(cluster, trial):
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9; sleep 1000"))
        await trial.leash.line()
        node = cluster.command("squeue", "--noheader", "--format=%N").strip()
        await anyio.to_thread.run_sync(cluster.fault, "node-kill", node)
        try:
            with anyio.fail_after(240):
                record = await executor.wait(trial.place)
            assert describe_loss(record)
            await trial.leash.gone()
        finally:
            await anyio.to_thread.run_sync(cluster.fault, "node-start", node)
