"""Each walk has a daemon of its own, and ends with none of its processes left."""

import pytest
from daemon_for_tests import Daemon


@pytest.fixture
def house():
    """A daemon that has not been started."""
    made = Daemon()
    try:
        yield made
    finally:
        made.close()
