"""One daemon and one dashboard for all tests here; those that end or bend one start their own."""

import pytest
from kit.daemon import Daemon
from served_page import Dashboard


@pytest.fixture(scope="session")
def daemon():
    made = Daemon()
    made.may_log = []
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="session")
def dashboard(daemon):
    made = Dashboard(daemon)
    yield made
    made.stop()


@pytest.fixture
def start(daemon):
    """Start another dashboard for one test."""
    made = []

    def started(*options, **more):
        made.append(Dashboard(daemon, *options, **more))
        return made[-1]

    yield started
    for one in made:
        one.stop()
