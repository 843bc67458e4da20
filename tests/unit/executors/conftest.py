"""An attempt in tmp_path, of which nothing is left when its test is over."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from attempts import Attempt
from kit.executors import on_slurm

from marianned.executors.host.forking import ForkServer


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """One for all tests of this process that only want to be forked: to start it costs as much as an attempt."""
    forks = ForkServer()
    yield forks
    forks.close()


@pytest.fixture
async def attempt(tmp_path: Path, runs_on: str, fork_server: ForkServer) -> AsyncIterator[Attempt]:
    """One whose executor is of this kind."""
    made = Attempt(tmp_path)
    if runs_on == "slurm":
        async with on_slurm(tmp_path / "attempts") as made.executor:
            yield made
    else:
        if runs_on == "forked":
            made.open_fork_server(fork_server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.executor.serve)
            yield made
            tasks.cancel_scope.cancel()
    made.close()
    left = made.living()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert left == []
