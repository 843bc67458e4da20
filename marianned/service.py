"""The daemon as a program: its parts started and stopped in order, signals, readiness."""

import argparse
import faulthandler
import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
from anyio import to_thread

from marianned import __version__, faults, files, logs, memory, obstacles, standard_streams, workers
from marianned.api.dispatch import handlers
from marianned.api.listener import ListenerGuard
from marianned.api.server import Server, check_silent, check_socket_place
from marianned.api.streams import JournalFeed
from marianned.conductor.capacity.disk import DiskMonitor
from marianned.conductor.capacity.incarnation_directory import IncarnationDirectory
from marianned.conductor.capacity.rate_limits import RateLimiter
from marianned.conductor.capacity.slots import Scheduler
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.notifier import NotificationSender
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.requests.chain import chain
from marianned.conductor.requests.reload import SettingsReloader
from marianned.conductor.requests.retention import Retention
from marianned.conductor.requests.shutdown import ShutdownCoordinator
from marianned.conductor.requests.submit import Submissions
from marianned.conductor.run import strangers, walls
from marianned.conductor.services import Executors, Services
from marianned.conductor.workspace.worktrees import Worktrees
from marianned.config import ConfigError, Settings, load_settings
from marianned.errors import Unavailable
from marianned.executors.base import Spec
from marianned.executors.clusters.executor import ClusterExecutor, ClusterSettings
from marianned.executors.clusters.slurm import SlurmEngine
from marianned.executors.host.local import LocalExecutor
from marianned.file_watch import FileWatch
from marianned.formatting import visible
from marianned.holder import holder
from marianned.lock import Lock, LockHeld, locked
from marianned.moment import boot_id, now
from marianned.paths import (
    SOCKET_NAME,
    SocketPathTooLongError,
    configuration_directory,
    database_path,
    lock_path,
    socket_path,
    state_directory,
)
from marianned.places import CLUSTERS, Cluster
from marianned.protocol import Obstacle
from marianned.store.opening import DatabaseRefused
from marianned.store.writer import Store, open_store
from marianned.systemd import journal
from marianned.systemd.activation import WrongSocket, inherited_socket, socket_path_of
from marianned.systemd.notify import Notifier, notifier
from marianned.systemd.watchdog import Watchdog

MISCONFIGURED_EXIT = 78
"""A person has to change something first: starting again helps nobody (sysexits.h calls it EX_CONFIG)."""
_logger = logging.getLogger("marianned")


class LaunchContext(NamedTuple):
    """What the daemon was started with: its lock, who waits for its readiness, systemd's line and socket."""

    lock: Lock
    ready_fd: int | None
    notifier: Notifier
    given: socket.socket | None
    in_journal: bool
    nursery: workers.StartedNursery | None


class Daemon:
    """One daemon, from its settings to its last reply."""

    def __init__(self, settings: Settings, state: Path, address: Path, around: LaunchContext) -> None:
        self._settings = settings
        self._state = state
        self._address = address
        self._lock = around.lock
        self._ready_fd = around.ready_fd
        self._around = around
        self._notifier = around.notifier

    async def run(self) -> None:
        """Serve until a signal or a request stops it; what is in flight goes on without it."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            await self._serve(signals)
        _logger.info("marianned (pid %d) has stopped; what is in flight goes on without it", os.getpid())

    async def _serve(self, signals: AsyncIterator[signal.Signals]) -> None:
        attempts = Path(self._settings.attempts_dir or self._state / "attempts")
        async with (
            workers.running(self._around.nursery),
            open_store(database_path(self._state), boot_id(), attempts, now().at) as store,
            LocalExecutor() as local,
            anyio.create_task_group() as tasks,
        ):
            self._refuse_copy(store)
            services, clusters = self._services(store, local)
            tasks.start_soon(local.serve)
            for cluster in clusters:
                tasks.start_soon(cluster.serve)
            conductor = Conductor(services, tasks, chain)
            submissions = Submissions(conductor)
            queries = JobQueries(conductor, now().at)
            watchdog = Watchdog(self._notifier, conductor.summary)
            stopper = ShutdownCoordinator(conductor, tasks, watchdog)
            reloader = SettingsReloader(conductor, configuration_directory(), self._notifier)
            retention = Retention(conductor)
            NotificationSender(conductor, tasks)  # the store knows it
            known = handlers(conductor, submissions, queries, retention, stopper.stop, reloader.reload)
            server = Server(known, JournalFeed(store), queries, store, stopper.answered)
            faults.point("service.opened")
            watchdog.set_busy(busy=True)
            tasks.start_soon(watchdog.run)
            if self._around.in_journal:
                store.on_commit(journal.log_events)
            recovered = await conductor.recover()
            await strangers.report_strangers(services, conductor.flights())
            await retention.finish()
            await to_thread.run_sync(services.tidy, conductor.incarnations_in_flight())
            faults.point("recover.done")
            tasks.start_soon(services.disk.watch, conductor.grant)
            tasks.start_soon(retention.retain)
            door = ListenerGuard(
                self._address,
                self._state / SOCKET_NAME,
                self._around.given,
                lambda: self._announce_ready(watchdog, conductor),
                lambda place: self._note_moved(services, place),
            )
            tasks.start_soon(door.serve, server)
            tasks.start_soon(self._keep_files, store)
            tasks.start_soon(strangers.watch_strangers, services)
            tasks.start_soon(self._warm)
            _logger.info(
                "marianned %s (pid %d) at %s; %d runs taken up",
                __version__,
                os.getpid(),
                self._address,
                recovered,
            )
            store.on_commit(watchdog.note_change)
            conductor.on_change(lambda *_: watchdog.note_change())  # a commit is told before its job shows it
            await self._until_stopped(stopper, reloader, signals)
            self._notifier.stopping()
            services.scheduler.close(Obstacle.STOPPING)
            await server.end_streams()
            tasks.cancel_scope.cancel()

    def _refuse_copy(self, store: Store) -> None:
        """Refuse a copy of a state directory whose daemon lives: both would take its attempts for theirs.

        Raises:
            DatabaseRefused: it is one.
        """
        for state in {Path(one.attempts).parent for one in store.incarnations.values()} - {self._state}:
            held = holder(state)
            if held is not None and held.pid != os.getpid():
                raise DatabaseRefused(
                    f"'{self._state}' is a copy of '{state}', whose daemon runs (pid {held.pid})",
                    f"stop that one first: mzt --socket {shlex.quote(held.socket)} stop",
                )

    def _cluster(self, cluster: Cluster, incarnation_directory: IncarnationDirectory) -> ClusterExecutor:
        """Return what runs attempts on a cluster; it does nothing before one is started there, or waits."""
        match cluster:
            case "slurm":
                slurm = self._settings.slurm
                tuning = ClusterSettings(slurm.python, tuple(slurm.arguments), slurm.lost_after)
                directory = incarnation_directory
                return ClusterExecutor(SlurmEngine(), directory.attempts, tuning, directory.why_missing)

    def _services(self, store: Store, local: LocalExecutor) -> tuple[Services, list[ClusterExecutor]]:
        incarnation_directory = IncarnationDirectory(
            store.incarnation, store.incarnations.values(), self._state
        )
        incarnation_directory.check()
        clusters: dict[str, ClusterExecutor] = {
            cluster: self._cluster(cluster, incarnation_directory) for cluster in CLUSTERS
        }
        scheduler = Scheduler(self._settings.max_attempts)
        disk = DiskMonitor(
            (self._state, incarnation_directory.attempts),
            self._settings.min_free_disk,
            scheduler,
            incarnation_directory,
        )
        disk.check()  # it makes this start's directory; where it can't, nothing is started before it can

        async def behind_wall(contain: bool, spec: Spec, own: Path) -> Spec:  # noqa: FBT001  of Wall
            return await walls.git_spec(services, contain, spec, own)  # as the settings are by then

        services = Services(
            store=store,
            executors=Executors(host=local, clusters=clusters),
            scheduler=scheduler,
            limits=RateLimiter(),
            disk=disk,
            incarnation_directory=incarnation_directory,
            worktrees=Worktrees(store, local, os.environ, behind_wall),
            settings=self._settings,
            attempts=incarnation_directory.attempts,
            socket=self._address,
            environ=dict(os.environ),
        )
        return services, [*clusters.values()]

    async def _keep_files(self, store: Store) -> None:
        """See to the files of the state directory when they are touched; clients find us by the lock's."""
        while True:
            with FileWatch([lock_path(self._state), *store.files]) as watch:
                self._renew_lock()
                store.check_files()
                await watch.touched()

    def _renew_lock(self) -> None:
        """Make the lock's file again when it is deleted."""
        try:
            if self._lock.renew():
                _logger.warning("the lock's file had been deleted; it is made again")
        except OSError as error:
            _logger.warning("the lock's file can't be made again: %s", error)

    async def _warm(self) -> None:
        try:
            await workers.warm()
        except Unavailable as error:
            _logger.warning("%s", error.message)

    async def _until_stopped(
        self, stopper: ShutdownCoordinator, reloader: SettingsReloader, signals: AsyncIterator[signal.Signals]
    ) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._handle_signals, signals, reloader, tasks.cancel_scope)
            await stopper.ready.wait()
            tasks.cancel_scope.cancel()

    async def _handle_signals(
        self, signals: AsyncIterator[signal.Signals], reloader: SettingsReloader, scope: anyio.CancelScope
    ) -> None:
        async for number in signals:
            if number is signal.SIGHUP:
                await reloader.on_signal()
                continue
            _logger.info("%s: stopping", signal.Signals(number).name)
            scope.cancel()
            return

    def _note_moved(self, services: Services, place: Path) -> None:
        """Tell clients, by the lock, and attempts that start from now on, where the daemon listens."""
        self._lock.moved(place)
        services.socket = place

    def _announce_ready(self, watchdog: Watchdog, conductor: Conductor) -> None:
        """Signal readiness, once: a socket that is made again is not announced."""
        watchdog.set_busy(busy=False)
        self._notifier.ready(conductor.summary())
        if self._ready_fd is not None:
            with suppress(BrokenPipeError):  # who started us has gone; the next one will ask
                os.write(self._ready_fd, b"1")
            os.close(self._ready_fd)
            self._ready_fd = None


def arguments_parser() -> argparse.ArgumentParser:
    """Return what reads the program's arguments; its manual page is made from that."""
    parser = argparse.ArgumentParser(
        prog="marianned", description="The daemon of Marianne; `mzt start` starts it, `mzt --help` uses it."
    )
    parser.add_argument("--version", action="version", version=f"marianned {__version__}")
    parser.add_argument(
        "--ready-fd", type=int, metavar="N", help="write one byte to this descriptor when it serves"
    )
    parser.add_argument(
        "--check", action="store_true", help="check this installation and exit (1: something needs you)"
    )
    parser.add_argument("--json", action="store_true", help="with --check: print the findings as JSON")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon in the foreground; return its exit status."""
    given = arguments_parser().parse_args(arguments)
    if given.check:
        return _check(as_json=given.json)
    if None in (sys.stdin, sys.stdout, sys.stderr):
        standard_streams.open_to_nobody()
    faulthandler.enable()  # systemd ends a daemon that is silent by ABRT: the log tells where it hung
    in_journal = logs.set_up()
    os.umask(0o077)
    memory.give_back_large_blocks()
    memory.keep_to_ourselves()
    try:
        _close(configuration_directory())
        settings = load_settings(configuration_directory())
        handed = inherited_socket()
        state = state_directory().absolute()
        address = socket_path_of(handed) if handed else socket_path()
        os.chdir("/")  # no place of the caller's is kept busy, and workers import nothing from it
        with locked(state, address) as lock:
            if handed is None:
                check_socket_place(address)
                check_silent(address)  # before anything is taken up that would then be without a daemon
            logs.to_file(state)
            faults.point("service.locked")
            memory.spare_what_is_loaded()  # first, for to collect later is to write on pages that both share
            nursery = workers.fork_nursery()  # as long as there is but one thread
            around = LaunchContext(lock, given.ready_fd, notifier(), handed, in_journal, nursery)
            anyio.run(Daemon(settings, state, address, around).run)
    except (*_SAID, ExceptionGroup) as error:
        cause = _single_cause(error)
        if not isinstance(cause, _SAID):
            raise
        said = _startup_error_text(cause)
        print(visible(f"marianned: {said}"), file=sys.stderr)  # noqa: T201  before and after the log there is only stderr
        return MISCONFIGURED_EXIT if isinstance(cause, _LASTING) else 1
    return 0


def _close(directory: Path) -> None:
    """Close the configuration to others who could read it; what they can write is not read at all."""
    try:
        open_to_others = directory.stat().st_mode & 0o077
        if open_to_others and files.distrusted(directory) is None and directory.stat().st_uid == os.getuid():
            directory.chmod(0o700)
            _logger.warning("'%s' was open to others; it is closed now", directory)
    except OSError:
        pass  # there is none, or it is read-only: reading it tells


_LASTING = (ConfigError, DatabaseRefused, SocketPathTooLongError, WrongSocket, files.UnsuitableFile)
"""What keeps a daemon from serving until a person has done something."""
_SAID = (*_LASTING, LockHeld, OSError)
"""What keeps a daemon from serving and is told without a traceback."""


def _startup_error_text(cause: Exception) -> str:
    """Return the words for what keeps the daemon from serving."""
    if isinstance(cause, OSError) and cause.filename is not None and cause.strerror is not None:
        what = f"'{cause.filename}' can't be used: {cause.strerror}"
        if isinstance(cause, files.UnsuitableFile):
            return what
        return f"{what}; {obstacles.of_error(cause)}"
    return str(cause)


def _single_cause(error: Exception) -> Exception:
    """Return what failed, out of the groups that the tasks around it made."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _check(*, as_json: bool) -> int:
    from marianned.self_check import run_self_check  # noqa: PLC0415  it reads YAML, which no start should wait for

    found = run_self_check()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        for finding in found.checks:
            mark = "ok  " if finding.passed else "FAIL"
            sys.stdout.write(visible(f"{mark} {finding.name}: {finding.message}\n"))
    return 0 if all(finding.passed for finding in found.checks) else 1
