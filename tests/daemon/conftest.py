"""Each test has a daemon of its own, and ends with none of its processes left."""

import pytest
from kit.daemon import Daemon
from kit.service import serving


@pytest.fixture
def house():
    """A daemon that has not been started."""
    made = Daemon()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def daemon(house):
    return house.start()


@pytest.fixture
def ledger(house):
    return house.ledger


@pytest.fixture
def service():
    with serving() as service:
        yield service
