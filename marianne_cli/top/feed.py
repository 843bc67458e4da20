"""Keeps the store up to date: the daemon's streams of states, over breaks and restarts."""

from collections.abc import Callable
from typing import Any

import anyio

from marianne_cli.client import AsyncClient
from marianne_cli.top.model.store import StateStore
from marianned.errors import BadRequest, MarianneError, NoDaemon
from marianned.protocol import (
    DaemonState,
    Event,
    GetJob,
    JobState,
    OutputStates,
    ReadGraph,
    Ready,
    RunRemoved,
    SheetStates,
    Snapshot,
)

_AGAIN_SECONDS = 1.0


class StateFeed:
    """Keeps a store up to date from the daemon's streams; `changed` is called after each update.

    One stream brings all jobs and the daemon, another the sheets of an open job.
    """

    def __init__(self, client: AsyncClient, store: StateStore, changed: Callable[[], None]) -> None:
        self._client = client
        self._store = store
        self._changed = changed
        self._watched: dict[str, anyio.CancelScope] = {}
        self._shown: list[Any] | None = []
        """The jobs of a snapshot that is not complete; null: it is."""
        self.begun = False
        """Whether the present state has come."""

    async def run(self) -> MarianneError | None:
        """Bring all jobs and the daemon, as long as that is not refused; return how it was refused."""
        while True:
            try:
                stream = self._client.states(output=True, types=[], connected=self._set_connected)
                async with stream as items:
                    async for item in items:
                        self._take_item(item)
            except NoDaemon as error:
                self._store.put_broken(error.message)
                self._changed()
            except BadRequest as error:
                error.hints = ["mzt restart"]  # a daemon of before knows no states
                return error
            except MarianneError as error:
                return error
            await anyio.sleep(_AGAIN_SECONDS)

    def _set_connected(self, it_does: bool) -> None:
        """Note whether the daemon answers; once it does again, the stream goes on with a new snapshot."""
        self._shown = []
        self._store.put_broken(None if it_does else f"no daemon answers at {self._client.path}")
        self._changed()

    def _take_item(self, item: object) -> None:
        if isinstance(item, Snapshot) and self._shown is not None:
            self._shown += item.jobs
        elif isinstance(item, JobState):
            self._store.put_job(item.job)
        elif isinstance(item, Ready) and self._shown is not None:
            self._store.replace_jobs(self._shown, keep=self._watched)
            self._shown, self.begun = None, True
        elif isinstance(item, DaemonState):
            self._store.put_daemon(item)
        elif isinstance(item, OutputStates):
            self._store.put_output(item.job_id, item.run, item.in_flight)
        elif isinstance(item, RunRemoved):
            self._store.remove_run(item.job_name, item.run)
        if self._shown is None:
            self._changed()

    # --- one job -------------------------------------------------------------------------------------

    def leave(self, job_id: str) -> None:
        """Bring the sheets of a job no longer."""
        if (scope := self._watched.pop(job_id, None)) is not None:
            scope.cancel()

    async def watch(self, job_id: str) -> None:
        """Bring a job, its sheets, its hooks and what its stages need, until it is left."""
        self.leave(job_id)
        with anyio.CancelScope() as scope:
            self._watched[job_id] = scope
            while True:
                try:
                    await self._follow_job(job_id)
                except MarianneError as error:
                    self._store.put_unavailable(job_id, error.message)
                    self._changed()
                await anyio.sleep(_AGAIN_SECONDS)

    async def _follow_job(self, job_id: str) -> None:
        of: tuple[int, int] | None = None
        states = self._client.states(jobs=[job_id], sheets=True, types=["hook."])
        async with states as items:
            async for item in items:
                if isinstance(item, JobState):
                    self._store.put_job(item.job)
                elif isinstance(item, Snapshot):
                    for job in item.jobs:
                        self._store.put_job(job)
                elif isinstance(item, SheetStates):
                    self._store.put_sheets(item.job_id, item.run, item.sheets, item.total_sheets)
                    if (item.run, item.revision) != of:
                        of = item.run, item.revision
                        await self._read_graph(job_id)
                        await self._read_hooks(job_id)
                elif isinstance(item, Event):
                    await self._read_hooks(job_id)
                if not isinstance(item, DaemonState):
                    self._changed()

    async def _read_graph(self, job_id: str) -> None:
        graph = await self._client.ask(ReadGraph(job_id, limit=1))
        self._store.put_needs(job_id, {one.stage: [*one.needs, *one.needs_own] for one in graph.stages})

    async def _read_hooks(self, job_id: str) -> None:
        told = await self._client.ask(GetJob(job_id, fields=["hooks"], limit=1))
        self._store.put_hooks(job_id, told.hooks)
