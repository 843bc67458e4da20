"""One event loop, and its workers, for all tests of a conductor in this process."""

import pytest
from anyio.from_thread import start_blocking_portal

from marianned import workers


@pytest.fixture(scope="session")
def loop():
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(workers.running()):
        yield portal
