"""What Slurm's commands get of the daemon's environment, by commands that only write it down."""

import os
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from marianned.executors.clusters import slurm
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
    engine = slurm.Slurm()
    await engine.submit("m-1", "#!/bin/sh\n", None, Resources(), None)
    await engine.look()
    await engine.fates([("m-1", None)])
    await engine.signal(["1"], 15)
    await engine.cancel(["1"])
    assert await run_sync(slurm.trouble) is None
    got = written.read_text().split()
    assert got.count("SLURM_CONF") == got.count("PATH") == 7
    assert not WANTING.keys() & set(got)
