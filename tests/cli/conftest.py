"""Each test that asks for it has a home, and ends with none of its jobs and no daemon left."""

import pytest
from home_for_tests import Home
from kit.daemon import Daemon


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cold_home(tmp_path):
    """A home in which `mzt` starts the daemon."""
    made = Home(tmp_path, cold=True)
    yield made
    made.close()


@pytest.fixture
def house():
    """A daemon that is asked on its socket."""
    made = Daemon()
    try:
        yield made.start()
    finally:
        made.close()
