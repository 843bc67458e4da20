"""What Slurm's commands get of the daemon's environment, by commands that only write it down."""

import os
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync
from kit.daemon import DEADLINE

from marianned.executors.clusters import slurm
from marianned.executors.clusters.engine import EngineCommandResult, EngineUnavailable, run_command
from marianned.score.expanded import Resources

pytestmark = pytest.mark.anyio
WANTING = {
    "SBATCH_PARTITION": "nosuch",
    "SBATCH_WAIT": "1",
    "SQUEUE_USERS": "nobody",
    "SCANCEL_STATE": "PENDING",
    "SACCT_FEDERATION": "1",
    "SLURM_CLUSTERS": "nowhere",
    "SLURM_HINT": "nomultithread",
    "SLURM_JOB_ID": "7",
    "ORACLE_API_KEY": "secret",
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands write the names of what they get."""
    for name in ("sbatch", "squeue", "scancel", "sacct"):
        (tmp_path / name).write_text(f"#!/bin/sh\nenv | cut -d= -f1 >>'{tmp_path}/written'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/of-mine.conf")
    for name, value in WANTING.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "written"


async def test_they_get_what_leads_to_the_cluster_and_nothing_that_wants_something(written):
    engine = slurm.SlurmEngine()
    await engine.submit("m-1", "#!/bin/sh\n", None, Resources(), None)
    await engine.list_jobs()
    await engine.fates([("m-1", None)])
    await engine.signal(["1"], 15)
    await engine.cancel(["1"])
    assert await run_sync(slurm.describe_trouble) is None
    got = written.read_text().split()
    assert got.count("SLURM_CONF") == got.count("PATH") == 7
    assert not WANTING.keys() & set(got)


async def test_one_that_ends_before_it_has_read_what_it_is_given_is_judged_by_its_end():
    for _ in range(10):
        assert await run_command(("sh", "-c", "exit 3"), "#" * 200_000) == EngineCommandResult(3, "", "")


@pytest.fixture
def saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the commands say on stderr, and then go on for minutes."""
    for name in ("sbatch", "squeue", "scancel"):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat '{tmp_path}/said' >&2; exec sleep 600\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "said"


@pytest.mark.parametrize("call", ["submit", "list_jobs", "signal", "cancel"])
async def test_a_configuration_that_is_not_there_is_told_by_its_name_and_not_waited_for(saying, call):
    why = "cannot stat file /share/of mine/slurm.conf: Permission denied, retrying in 1sec up to 60sec"
    saying.write_text(f"sbatch: error: s_p_parse_file: {why}\n")
    given = {"submit": ("m-1", "", None, Resources(), None), "signal": (["1"], 15), "cancel": (["1"],)}
    with anyio.fail_after(DEADLINE), pytest.raises(EngineUnavailable) as told:
        await getattr(slurm.SlurmEngine(), call)(*given.get(call, ()))
    typed = "ls -ld '/share/of mine/slurm.conf'"
    said = "its configuration '/share/of mine/slurm.conf' can't be looked at: Permission denied"
    assert (told.value.typed, str(told.value)) == (typed, f"{said}; type: {typed}")


async def test_a_configuration_that_can_not_be_read_fails_no_submission(saying):
    said = (
        "error: Parse error in file /etc/slurm/slurm.conf line 3\nfatal: Unable to process configuration file"
    )
    (saying.parent / "sbatch").write_text(f"#!/bin/sh\necho '{said}' >&2; exit 1\n")
    with pytest.raises(EngineUnavailable, match=r"Parse error in file /etc/slurm/slurm\.conf line 3"):
        await slurm.SlurmEngine().submit("m-1", "", None, Resources(), None)
