"""What nobody wants any more, and may still wait in an engine's queue.

Source: docs/design/executors.md "What is left in the queue".
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import anyio

from marianned.executors.clusters.engine import ClusterJob, Engine, EngineUnavailable, JobKey

_LOOKED_FOR_SECONDS = 60.0
"""How long it is looked for, from the first answer on: it may be submitted late, and without our knowing."""
_LAST_SECONDS = 3.0
"""How long a daemon that ends stays for it."""


class UnwantedJobs:
    """The names of jobs whose claim is taken: they would only refuse. Times are the loop's."""

    def __init__(self) -> None:
        self._since: dict[JobKey, float | None] = {}

    def __bool__(self) -> bool:
        return bool(self._since)

    def add(self, keys: Iterable[JobKey]) -> None:
        """Note that nobody wants these."""
        self._since |= dict.fromkeys(keys)

    async def clear(self, engine: Engine, listed: Mapping[JobKey, ClusterJob], began: float) -> None:
        """Take out of the queue what is listed there; `began` is when that list was asked for.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        if jobs := [listed[key].id for key in self._since if key in listed]:
            await engine.cancel(jobs)
        since = {key: began if at is None else at for key, at in self._since.items()}
        known = began - _LOOKED_FOR_SECONDS
        self._since = {key: at for key, at in since.items() if key in listed or at > known}

    async def finish(self, engine: Engine) -> None:
        """Take out what is there, before the daemon ends: nobody would look for it any more."""
        if self._since:
            with anyio.move_on_after(_LAST_SECONDS, shield=True), suppress(EngineUnavailable):
                await self.clear(engine, await engine.list_jobs(), anyio.current_time())
