"""Each engine by the same tests: submitted, found, told why it waits, ended, withdrawn."""

import os

import anyio
import pytest
import torque
from kit.daemon import DEADLINE
from kit.executors import watched
from trying import said, until

from marianned.executors.base import AttemptWithdrawn
from marianned.executors.clusters.engine import EngineUnavailable
from marianned.executors.clusters.slurm import SlurmEngine, options, parse_squeue
from marianned.score.expanded import Resources

pytestmark = pytest.mark.anyio
ENGINES = {"slurm": SlurmEngine, "torque": torque.Torque}
on_the_cluster = pytest.mark.slurm


@pytest.fixture
def runs_on(cluster):
    """A cluster's."""
    return "slurm"


@pytest.fixture(params=ENGINES)
async def executor(request, runs_on, tmp_path):
    if request.param == "torque" and torque.missing():
        pytest.skip(f"not installed: {', '.join(torque.missing())}")
    async with watched(ENGINES[request.param](), tmp_path / "attempts", lost_after=2.0) as made:
        yield made


@on_the_cluster
async def test_it_runs_and_its_node_is_told(executor, trial):
    go = trial.workspace / "go"
    os.mkfifo(go)
    await executor.start(trial.directory, trial.script("echo begun >&9; read _ <go; exit 7"))
    await trial.leash.line()
    with anyio.fail_after(DEADLINE):
        where = await executor.whereabouts(trial.place)
        await anyio.to_thread.run_sync(go.write_text, "go\n", abandon_on_cancel=True)
        record = await executor.wait(trial.place)
    assert where.node in {"n1", "n2", "n3"}
    assert record.exit_code == 7


@on_the_cluster
async def test_it_is_ended(executor, trial):
    await executor.start(trial.directory, trial.script("echo begun >&9; sleep 1000"))
    await trial.leash.line()
    with anyio.fail_after(DEADLINE):
        await executor.end(trial.place)
        assert (await executor.wait(trial.place)).asked
    await trial.leash.gone()


@on_the_cluster
async def test_what_waits_says_so_and_is_withdrawn(cluster, executor, trial):
    held = Resources(arguments=("-h",) if executor._engine.name == "Torque" else ("--hold",))
    await executor.start(trial.directory, trial.script("true", resources=held))
    await until(lambda: "queue (" in said(executor, trial.id))
    await executor.withdraw(trial.place)
    with anyio.fail_after(DEADLINE), pytest.raises(AttemptWithdrawn):
        await executor.wait(trial.place)
    await until(lambda: not cluster.queue())


@on_the_cluster
async def test_several_at_once_each_begin_once(executor, trial):
    from test_cluster_faults import all_of

    await all_of(executor, trial, 5)


def test_every_want_is_a_word_of_sbatch():
    wants = Resources(
        partition="p",
        account="a",
        qos="q",
        cpus=2,
        memory="4G",
        gpus="a100:1",
        constraint="c",
        arguments=("--x",),
    )
    assert options(wants, 61.0) == [
        "--partition=p",
        "--account=a",
        "--qos=q",
        "--cpus-per-task=2",
        "--mem=4G",
        "--gpus=a100:1",
        "--constraint=c",
        "--time=2",
        "--x",
    ]
    assert options(Resources(time_limit=3600.0), 61.0) == ["--time=60"]
    told = set(Resources.__struct_fields__) - {"executor", "arguments", "time_limit", "checks"}
    assert all(options(Resources(**{name: "1"}), None) for name in told)


@pytest.mark.parametrize("name", ["sbatch", "squeue", "scancel"])
async def test_a_command_that_was_killed_says_nothing_of_jobs(tmp_path, monkeypatch, name):
    program = tmp_path / name
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    slurm = SlurmEngine()
    asked = {
        "sbatch": lambda: slurm.submit("m-x", "#!/bin/sh\n", None, Resources(), None),
        "squeue": slurm.list_jobs,
        "scancel": lambda: slurm.cancel(["1"]),
    }
    with pytest.raises(EngineUnavailable, match=f"{name} was ended by signal 9"):
        await asked[name]()


def test_of_two_jobs_of_a_name_the_one_that_runs_counts():
    text = "m-1|7|PENDING|Priority|\nm-1|9|RUNNING|None|n2\nm-2|8_3|PENDING|Resources|\nm|3||RUNNING\n"
    listed = parse_squeue(text)
    assert listed["m-1", None].id == "9"
    assert listed["m-1", None].node == "n2"
    assert listed["m-2", 3].waits
