"""Each walk has a daemon of its own, and ends with none of its processes left."""

import sys
from pathlib import Path

import pytest
from kit.daemon import Daemon

sys.path.append(str(Path(__file__).parents[1] / "machine"))  # the model of the contract is kept there


@pytest.fixture
def house():
    """A daemon that has not been started."""
    made = Daemon()
    try:
        yield made
    finally:
        made.close()
