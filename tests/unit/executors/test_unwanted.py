"""What nobody wants any more is looked for in the queue for a while, from the engine's first answer on."""

import anyio
import pytest

from marianned.executors.clusters.engine import ClusterJob
from marianned.executors.clusters.unwanted import UnwantedJobs

KEY = ("m-1", None)


class Queue:
    """The engine: it has cancelled these."""

    def __init__(self):
        self.cancelled = []

    async def cancel(self, jobs):
        self.cancelled += jobs


@pytest.mark.anyio
async def test_what_comes_into_the_queue_after_a_long_silence_is_still_taken_out():
    queue, unwanted = Queue(), UnwantedJobs()
    unwanted.add([KEY])
    began = anyio.current_time() + 600  # the engine has not answered until then
    await unwanted.clear(queue, {}, began)
    await unwanted.clear(queue, {KEY: ClusterJob("7", waits=True, reason=None, node=None)}, began + 30)
    assert queue.cancelled == ["7"]
    await unwanted.clear(queue, {}, began + 100)
    assert not unwanted
