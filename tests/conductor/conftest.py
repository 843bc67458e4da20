"""Each test has a daemon of its own in this process; all share one event loop and its workers."""

import pytest
from anyio.from_thread import start_blocking_portal
from kit.in_process import InProcess

from marianned import workers


@pytest.fixture(scope="session")
def loop():
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(workers.running()):
        yield portal


@pytest.fixture
def house(loop):
    """A daemon that has not been started."""
    made = InProcess(loop)
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
