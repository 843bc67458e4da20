"""Each test has a daemon of its own in this process; all share one event loop and its workers."""

import os

import pytest
from anyio.from_thread import start_blocking_portal
from kit.in_process import InProcess

from marianned import memory, workers


@pytest.fixture(scope="session")
def configuration(tmp_path_factory):
    """The directory in which this process, and the workers that it starts, look for configuration."""
    directory = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(directory))
        yield directory


@pytest.fixture(scope="session")
def loop(configuration):
    memory.spare_what_is_loaded()  # as a daemon does: here it is pytest besides
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(workers.running()):
        yield portal


@pytest.fixture
def house(loop, configuration):
    """A daemon that has not been started."""
    before = os.umask(0o077)  # the daemon's; other tests of this process have their own
    made = InProcess(loop, configuration)
    try:
        yield made
    finally:
        try:
            made.close()
        finally:
            os.umask(before)


@pytest.fixture
def daemon(house):
    return house.start()


@pytest.fixture
def ledger(house):
    return house.ledger
