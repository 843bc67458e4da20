"""What a supervisor notes of where and since when it runs, and what of that is believed."""

import json
import subprocess
import sys

import msgspec
import pytest
from attempts import Attempt
from kit.tables import each

from marianned.executors import shim
from marianned.executors.base import SupervisorIdentity, Whereabouts

pytestmark = pytest.mark.anyio


async def test_on_this_host_it_notes_since_when_it_runs_and_no_node(attempt: Attempt) -> None:
    record = await attempt.run(attempt.script("true"))
    running = await attempt.running()
    assert running.started_at is not None
    assert running.started_at <= record.started_at <= record.ended_at
    assert running.where is None


async def test_in_a_job_of_a_cluster_it_notes_the_node_and_the_job_and_the_command_hears_nothing(
    attempt: Attempt,
) -> None:
    attempt.directory.mkdir(parents=True)
    (attempt.directory / shim.SPEC).write_bytes(msgspec.json.encode(attempt.script("env")))
    env = {"MARIANNE_NODE": "n1", "MARIANNE_CLUSTER_JOB": "12_3"}
    argv = [sys.executable, "-I", "-S", shim.__file__, str(attempt.directory), shim.STAY]
    subprocess.run(argv, env=env, check=True)  # noqa: ASYNC221  nothing else is to happen meanwhile
    running = await attempt.running()
    assert running.where == Whereabouts("n1", "12_3", running.started_at)
    assert "12_3" not in attempt.output()


@each("forged", ["n\n1", "", "x" * 256, "\x1b[31m", "a b", "\u202e"])
def test_a_name_that_none_can_have_is_not_believed(forged: str) -> None:
    known = {"pid": 1, "start_time": 1, "runner_pid": 1, "runner_start_time": 1, "boot_id": ""}
    node = msgspec.convert(known | {"node": forged, "cluster_job": "1", "started_at": 5}, SupervisorIdentity)
    assert node.where == Whereabouts(None, "1", 5)
    assert msgspec.convert(known | {"node": "n1", "cluster_job": forged}, SupervisorIdentity).where is None


def test_what_an_older_release_has_noted_can_be_read() -> None:
    old = {"pid": 1, "start_time": 1, "runner_pid": 1, "runner_start_time": 1, "boot_id": ""}
    assert msgspec.json.decode(json.dumps(old), type=SupervisorIdentity).where is None
