"""A whole daemon but for its process: conductor, store and socket in the test's own, commands as its children.

It is spoken with in the same way as a real one. What needs a process is not here: signals, supervisors,
instruments of one's own, faults.
"""

import logging
import math
import shutil
from contextlib import asynccontextmanager, contextmanager, suppress

import anyio

from kit.bare import BareExecutor
from kit.conducting import conducting
from kit.daemon import DEADLINE, Ledger, Refused, Speaking, environment_of
from kit.homes import new_home
from marianned.api.dispatch import handlers
from marianned.api.listener import ListenerGuard
from marianned.api.server import Server
from marianned.api.streams import JournalFeed
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.requests.reload import SettingsReloader
from marianned.conductor.requests.shutdown import ShutdownCoordinator
from marianned.config import load_settings
from marianned.moment import now
from marianned.systemd.notify import Notifier
from marianned.systemd.watchdog import Watchdog


class Tracebacks(logging.Handler):
    """Keeps what the daemon logs with a traceback: nothing should be."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.found = []

    def emit(self, record):
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


class InProcess(Speaking):
    """One daemon over its lives: started, and stopped or killed, as often as it is wanted.

    `configuration` is the directory in which this process and its workers look for configuration.
    """

    def __init__(self, loop, configuration):
        self.loop = loop
        self.home = new_home()
        self.state = self.home
        self.socket = self.home / "s"
        self._configuration = configuration
        (self.home / "config").symlink_to(configuration)
        self.ledger = Ledger(self.home)
        self.gates = {}
        self.environment = environment_of(self.home) | {
            "XDG_CONFIG_HOME": str(configuration),
            "MARIANNE_SOCKET": str(self.socket),
        }
        self.house = None
        self._life = None
        self._scope = None
        self._database = self.home / "marianne.db"
        self._tracebacks = Tracebacks()
        logging.getLogger("marianned").addHandler(self._tracebacks)
        self._outer = self.loop.wrap_async_context_manager(self._executing())
        self.executor = self._outer.__enter__()

    @asynccontextmanager
    async def _executing(self):
        async with anyio.create_task_group() as tasks:
            executor = BareExecutor(tasks)
            yield executor
            executor.kill_all()

    # --- its life --------------------------------------------------------------------------------------

    def start(self):
        """Start it; returns when it serves."""
        self._life, self.house = self.loop.start_task(self._live)
        return self

    def stop(self):
        """Let it go; what runs goes on."""
        self.loop.call(self._scope.cancel)
        self.until_stopped()

    def until_stopped(self):
        """Wait until it has stopped, as it was asked to."""
        life, self._life = self._life, None
        life.result(DEADLINE)

    def kill(self):
        """End it with no more of its database than what is on disk in this very moment."""
        kept = self.loop.call(self._end_at_once)
        self.stop()
        for path, data in kept.items():
            path.write_bytes(data)  # over what is there: another file would be another database

    async def _end_at_once(self):
        """Cancel everything, and let nothing more happen before the database is read."""
        self._scope.cancel()
        wal = self._database.with_name("marianne.db-wal")
        return {path: path.read_bytes() for path in (wal, self._database) if path.exists()}

    async def _live(self, *, task_status):
        given = {
            "settings": load_settings(self._configuration / "marianne"),
            "environ": self.environment,
            "socket": self.socket,
        }
        with anyio.CancelScope() as self._scope:
            async with (
                conducting(self.home, self.executor, math.inf, **given) as house,
                anyio.create_task_group() as tasks,
            ):
                await house.retention.finish()
                tasks.start_soon(house.retention.retain)
                await tasks.start(self._serve, house)
                task_status.started(house)
                await anyio.sleep_forever()

    async def _serve(self, house, *, task_status):
        conductor, notifier = house.conductor, Notifier(None)
        queries = JobQueries(conductor, now().at)
        async with anyio.create_task_group() as tasks:
            stopper = ShutdownCoordinator(conductor, tasks, Watchdog(notifier, conductor.summary))
            reloader = SettingsReloader(conductor, self._configuration / "marianne", notifier)
            known = handlers(
                conductor, house.submissions, queries, house.retention, stopper.stop, reloader.reload
            )
            server = Server(known, JournalFeed(house.store), queries, house.store, stopper.answered)
            door = ListenerGuard(self.socket, self.socket, None, task_status.started, lambda _place: None)
            tasks.start_soon(door.serve, server)
            await stopper.ready.wait()
            self._scope.cancel()

    @contextmanager
    def holding_the_registry(self):
        """Let nobody start or remove a run."""

        async def hold(*, task_status):
            async with self.house.conductor.registry_lock:
                with anyio.CancelScope() as scope:
                    task_status.started(scope)
                    await anyio.sleep_forever()

        held, scope = self.loop.start_task(hold)
        yield
        self.loop.call(scope.cancel)
        held.result(DEADLINE)

    # --- the end -------------------------------------------------------------------------------------------

    def _end_jobs(self):
        try:
            for job in self.rpc("job.list", statuses=["active", "held"])["jobs"]:
                with suppress(Refused):  # it may have ended meanwhile
                    self.rpc("job.cancel", job_id=job["job_name"], wait=True, timeout=DEADLINE)
        finally:
            self.stop()

    def close(self):
        """Cancel everything and stop; nothing of it may have failed over a job."""
        try:
            if self._life is not None and not self._life.done():
                self._end_jobs()
        finally:
            logging.getLogger("marianned").removeHandler(self._tracebacks)
            self._outer.__exit__(None, None, None)
            self.ledger.close()
            for gate in self.gates.values():
                gate.close()
            shutil.rmtree(self.home, ignore_errors=True)
            shutil.rmtree(self._configuration / "marianne", ignore_errors=True)
        assert not self._tracebacks.found, self._tracebacks.found
