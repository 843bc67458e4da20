"""What keeps the store true: the daemon's stream, over breaks and restarts."""

from collections.abc import Callable
from typing import Any

import anyio

from marianne_cli.client import AsyncClient
from marianne_cli.top.known.store import Store, needs_of
from marianned.errors import MarianneError, NoDaemon, NoSuchJob
from marianned.protocol import Event, GetDaemon, GetJob, Snapshot

_AGAIN_SECONDS = 1.0


class Feed:
    """Feeds a store; `changed` is called when something came."""

    def __init__(self, client: AsyncClient, store: Store, changed: Callable[[], None]) -> None:
        self._client = client
        self._store = store
        self._changed = changed
        self._watched: set[str] = set()
        self._due: dict[str, None] = {}
        self._news = anyio.Event()
        self.begun = False
        """Whether the present state has come."""

    def watch(self, job_id: str) -> None:
        """Keep the sheets of a job, too."""
        self._watched.add(job_id)
        self._want(job_id)

    def leave(self, job_id: str) -> None:
        """Keep the sheets of a job no longer."""
        self._watched.discard(job_id)

    def _want(self, job_id: str) -> None:
        self._due[job_id] = None
        self._news.set()

    async def run(self) -> None:
        """Feed the store, without an end; what is refused ends nothing."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask)
            while True:
                try:
                    await self._stream()
                except NoDaemon as error:
                    self._broken(error.message)
                except MarianneError as error:
                    self._broken(str(error))
                await anyio.sleep(_AGAIN_SECONDS)

    def _broken(self, why: str | None) -> None:
        self._store.put_broken(why)
        self._changed()

    async def _stream(self) -> None:
        jobs: list[Any] = []
        async with self._client.subscribe(connected=self._answers) as items:
            async for item in items:
                if isinstance(item, Snapshot):
                    jobs += item.jobs
                    if len(jobs) >= item.total:
                        self._begin(jobs)
                elif isinstance(item, Event):
                    self._event(item)

    def _answers(self, it_does: bool) -> None:
        """Hear that the daemon answers, or no longer does: the stream goes on once it does again."""
        self._broken(None if it_does else f"no daemon answers at {self._client.path}")
        if it_does:
            self._want("")

    def _begin(self, jobs: list[Any]) -> None:
        self._store.begin(jobs)
        self.begun = True
        self._changed()
        for job_id in ("", *self._watched):
            self._want(job_id)

    def _event(self, event: Event) -> None:
        if event.job_id is None:
            self._want("")
        elif event.type == "job.removed":
            self._store.remove_job(event.job_id)
            self._changed()
        else:
            self._want(event.job_id)

    async def _ask(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            due, self._due = self._due, {}
            for job_id in due:
                try:
                    await self._look(job_id)
                except NoSuchJob:
                    self._store.remove_job(job_id)
                except MarianneError:
                    continue  # the stream tells that nobody answers
                self._changed()

    async def _look(self, job_id: str) -> None:
        if not job_id:
            self._store.put_daemon(await self._client.ask(GetDaemon()))
            return
        if job_id not in self._watched:
            self._store.put_job(await self._client.ask(GetJob(job_id, limit=1)))
            return
        first = page = await self._client.ask(GetJob(job_id))
        sheets = list(page.sheets)
        while page.sheets and len(sheets) < page.total_sheets:
            page = await self._client.ask(GetJob(job_id, offset=len(sheets)))
            sheets += page.sheets
        self._store.put_job(first)
        self._store.begin_sheets(job_id, sheets, first.hooks)
        self._store.put_needs(job_id, needs_of(self._store.sheets[job_id]))
