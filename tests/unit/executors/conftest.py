"""An attempt in tmp_path, of which nothing is left when its test is over."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Attempt


@pytest.fixture
def forked() -> bool:
    """Whether attempts are forked by the fork server; modules that try both ways override it."""
    return False


@pytest.fixture
def attempt(tmp_path: Path, forked: bool) -> Iterator[Attempt]:
    made = Attempt(tmp_path)
    if forked:
        made.open_fork_server()
    yield made
    made.close()
    left = made.living()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert left == []
