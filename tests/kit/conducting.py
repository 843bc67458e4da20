"""A conductor in this very process: a real store and real workers, on an executor in memory."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from kit.deadline import DEADLINE
from kit.memory import MemoryExecutor
from kit.new_database import put_new_database
from marianned.conductor.capacity.disk import DiskMonitor
from marianned.conductor.capacity.incarnation_directory import IncarnationDirectory
from marianned.conductor.capacity.rate_limits import RateLimiter
from marianned.conductor.capacity.slots import Scheduler
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.job import JobActor
from marianned.conductor.notifier import NotificationSender
from marianned.conductor.requests.chain import chain
from marianned.conductor.requests.control import ControlRequests
from marianned.conductor.requests.retention import Retention
from marianned.conductor.requests.submit import Submissions
from marianned.conductor.run import walls
from marianned.conductor.services import Executors, Services
from marianned.conductor.workspace.worktrees import Worktrees
from marianned.config import Settings
from marianned.executors.base import Spec
from marianned.places import CLUSTERS
from marianned.protocol import Caller, Submit, Submitted
from marianned.rows import Changes, RunRow
from marianned.store.writer import Store, open_store

ME = Caller(uid=os.getuid())
ENDED = ("completed", "failed", "cancelled")


class House:
    """One life of a conductor, and what a test asks of it."""

    def __init__(
        self, path: Path, store: Store, executor: MemoryExecutor, tasks: anyio.abc.TaskGroup, **given: Any
    ) -> None:
        """Build it; `given` are parts of its services that are not as usual."""
        self.path = path
        self.store = store
        self.executor = executor
        settings = given.get("settings", Settings())
        environ = given.get("environ", dict(os.environ))
        self.scheduler = Scheduler(settings.max_attempts)
        executors = Executors(host=executor, clusters=dict.fromkeys(CLUSTERS, executor))

        async def behind_wall(contain: bool, spec: Spec, own: Path) -> Spec:
            return await walls.git_spec(self.services, contain, spec, own)

        self.services = Services(
            store=store,
            executors=executors,
            scheduler=self.scheduler,
            limits=RateLimiter(),
            disk=DiskMonitor((path,), 0, self.scheduler),
            incarnation_directory=IncarnationDirectory(store.incarnation, store.incarnations.values(), path),
            worktrees=Worktrees(store, executors.host, environ, behind_wall),
            attempts=path / "attempts",
            **{"settings": settings, "environ": environ, "socket": path / "s", **given},
        )
        self.services.incarnation_directory.why_missing()
        self.conductor = Conductor(self.services, tasks, chain)
        self.submissions = Submissions(self.conductor)
        self.control = ControlRequests(self.conductor)
        self.retention = Retention(self.conductor)
        NotificationSender(self.conductor, tasks)
        self._news = anyio.Event()
        store.on_commit(self._told)
        self.miscounted: list[str] = []
        self.uncounted = self.conductor.on_change(self._count)
        """Call it where the comparing itself would be counted."""

    def _told(self, _events: object) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _count(self, job: JobActor, changes: Changes) -> None:
        """Compare what is counted step by step of the accounts with what is in flight."""
        state = job.state
        flying = Counter(state.account(state.number_of(row)) for row in state.sheet_flights)
        if changes and self.services.limits._flying.get(job.run_id, Counter()) != flying:
            self.miscounted.append(f"{changes.events}: {self.services.limits._flying}, {flying}")

    def close(self) -> None:
        """Close what a process would take along when it ends."""
        assert self.miscounted == []
        streams = [self.services.worktrees._send, self.services.worktrees._ended]
        for job in self.conductor.job_index:
            streams += [job._send, job._receive]
        for stream in streams:
            stream.close()

    async def submit(self, text: str, **params: object) -> Submitted:
        place = str(self.path)
        asked = {"text": text, "directory": place, "submit_directory": place, **params}
        return await self.submissions.submit(ME, Submit(**asked))  # type: ignore[arg-type]

    async def run(self, name: str) -> RunRow:
        row = await self.store.records.run(name)
        assert row is not None
        return row

    async def until(self, name: str, *statuses: str) -> RunRow:
        """Wait until the newest run of a job has one of these statuses, on disk."""
        while True:
            news = self._news
            row = await self.run(name)
            if row.status in statuses:
                return row
            await news.wait()

    async def until_so(self, told: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is told, which what is committed can change."""
        while True:
            news = self._news
            if await told():
                return
            await news.wait()


@asynccontextmanager
async def conducting(
    path: Path, executor: MemoryExecutor, deadline: float = DEADLINE, **given: Any
) -> AsyncIterator[House]:
    """Open a house, with all that earlier ones left at the path; everything of it ends with the block."""
    attempts = path / "attempts"
    attempts.mkdir(mode=0o700, exist_ok=True)
    put_new_database(path / "marianne.db")
    with anyio.fail_after(deadline):
        async with open_store(path / "marianne.db", "boot", attempts) as store:
            store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
            with ExitStack() as ended:
                async with anyio.create_task_group() as tasks:
                    house = House(path, store, executor, tasks, **given)
                    ended.callback(
                        house.close
                    )  # behind the last step of each job: it may still be told of an end
                    try:
                        await house.conductor.recover()
                        yield house
                    finally:
                        tasks.cancel_scope.cancel()
