"""Each walk has a daemon of its own, and ends with none of its processes left."""

import sys
from pathlib import Path

import pytest
from kit.executors import a_daemon

sys.path.append(str(Path(__file__).parents[1] / "machine"))  # the model of the contract is kept there


@pytest.fixture
def house(runs_on):
    """A daemon that has not been started."""
    with a_daemon(runs_on) as made:
        yield made
