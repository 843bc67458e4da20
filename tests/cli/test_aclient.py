"""The anyio client against a real daemon."""

import os
import subprocess
import sys

import anyio
import pytest

from marianne_cli.aclient import aconnect
from marianned.errors import NoDaemon, NoSuchJob
from marianned.protocol import DaemonStatus, ListJobs, LookAtDaemon, LookAtJob, Submit

pytestmark = pytest.mark.anyio
SCORE = "name: a\nworkspace: ./out\ninstrument: cli\nsheet: {size: 1, total_items: 1}\nprompt: {template: 'true'}\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def daemon(tmp_path):
    environment = {
        **{k: v for k, v in os.environ.items() if k != "MARIANNE_ATTEMPT_ID"},
        "MARIANNE_SOCKET": str(tmp_path / "s"), "STATE_DIRECTORY": str(tmp_path / "state"),
        "CONFIGURATION_DIRECTORY": str(tmp_path / "config"),
    }  # fmt: skip
    mzt = [sys.executable, "-m", "marianne_cli"]
    subprocess.run([*mzt, "start"], env=environment, check=True, capture_output=True)
    yield str(tmp_path / "s")
    subprocess.run([*mzt, "stop"], env=environment, check=True, capture_output=True)


async def test_requests_run_side_by_side_and_events_come_as_they_are_committed(daemon, tmp_path):
    with anyio.fail_after(30):
        async with aconnect(daemon, name="test") as client:
            status = await client.call("daemon.status", LookAtDaemon())
            assert isinstance(status, DaemonStatus)
            directory = str(tmp_path)
            ask = Submit(text=SCORE, directory=directory, submit_directory=directory)
            submitted = await client.call("job.submit", ask)
            async for event in client.events(after=status.event, job_id=submitted.job_id):
                if event.type == "job.completed":
                    break
            jobs = await client.call("job.list", ListJobs())
            assert [job.status for job in jobs.jobs] == ["completed"]


async def test_a_refusal_is_raised_as_what_it_is(daemon):
    with pytest.raises(NoSuchJob):
        async with aconnect(daemon) as client:
            await client.call("job.status", LookAtJob(job_id="nope"))


async def test_nobody_there_is_no_daemon(tmp_path):
    with pytest.raises(NoDaemon):
        async with aconnect(str(tmp_path / "s")):
            pass
