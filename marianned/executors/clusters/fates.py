"""What an engine says has become of jobs: asked for many at once, and seldom.

Source: docs/design/executors.md "What Slurm says of an end".
"""

from collections.abc import Collection, Iterable, Mapping

import anyio

from marianned.executors.base import Fate, FateKind
from marianned.executors.clusters.engine import ClusterJob, Engine, EngineUnavailable, JobKey


class FateLookup:
    """Asks an engine; whoever asks while it is being asked shares the next answer. Times are the loop's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = anyio.Lock()
        self._wanted = set[JobKey]()
        self._asked, self._asked_at = frozenset[JobKey](), float("-inf")
        self._answer: Mapping[JobKey, Fate] | EngineUnavailable = {}

    def expect(self, keys: Iterable[JobKey]) -> None:
        """Have these answered with whatever is asked for next."""
        self._wanted.update(keys)

    async def look_up(self, keys: Collection[JobKey], since: float | None = None) -> Mapping[JobKey, Fate]:
        """Say what has become of these, by an answer that was asked for after `since` (None: now).

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        since = anyio.current_time() if since is None else since
        self.expect(keys)
        async with self._lock:
            if self._asked_at < since or not self._asked.issuperset(keys):
                self._asked_at, self._asked = anyio.current_time(), frozenset(self._wanted)
                self._wanted.clear()
                try:
                    self._answer = await self._engine.fates(self._asked)
                except EngineUnavailable as why:
                    self._answer = why
            if isinstance(self._answer, EngineUnavailable):
                raise self._answer
            return self._answer


def fate_of_taken_out(
    keys: Collection[JobKey], job: ClusterJob | None, listed: Iterable[JobKey], engine: str
) -> Fate | None:
    """Say that a job that has not begun was taken out of its array: the others are there, it alone is not.

    An engine that forgets an array forgets all of it, and of what is taken out some know nothing any more.
    """
    arrays = {name for name, task in keys if task is not None}
    if not any(name in arrays for name, _ in listed):
        return None
    which = f" {job.id}" if job is not None else ""
    return Fate(FateKind.CANCELLED, f"its job{which} of {engine} was cancelled")
