"""Each test that asks for it has a home, and ends with none of its jobs and no daemon left."""

import pytest
from home_for_tests import Home
from kit.daemon import Daemon
from kit.shared import is_shared


@pytest.fixture
def home(request, tmp_path):
    made = Home(tmp_path, lent=request.getfixturevalue("in_turn") if is_shared(request) else None)
    yield made
    made.close()


@pytest.fixture
def cold_home(tmp_path):
    """A home in which `mzt` starts the daemon."""
    made = Home(tmp_path, cold=True)
    yield made
    made.close()


@pytest.fixture
def house(request):
    """A daemon that is asked on its socket."""
    if is_shared(request):
        yield request.getfixturevalue("in_turn").start()
        return
    made = Daemon()
    try:
        yield made.start()
    finally:
        made.close()
