"""What tests of more than one room share."""

import pytest

from marianned import worker_pool


@pytest.fixture(scope="module")
async def one_pool(anyio_backend):
    """Keep one event loop for all tests of a file, and with it the workers: each pool starts a nursery anew.

    The backend is asked for so that tests that are no coroutines can have it too.
    """
    yield
    await worker_pool.pool().close()
