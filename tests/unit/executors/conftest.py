"""An attempt in tmp_path, of which nothing is left when its test is over."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Attempt


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    made = Attempt(tmp_path)
    yield made
    made.leash.close()
    left = made.living()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
