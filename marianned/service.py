"""The daemon as a program: its parts started and stopped in order, signals, readiness."""

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec

from marianned import __version__, faults, logs, workers
from marianned.api.dispatch import handlers
from marianned.api.server import Server, listen
from marianned.api.streams import Journal
from marianned.checks import findings
from marianned.conductor.conductor import Conductor
from marianned.conductor.disk import Disk
from marianned.conductor.house import House
from marianned.conductor.keeping import Keeper
from marianned.conductor.limits import Limits
from marianned.conductor.looking import Lookout
from marianned.conductor.now import now
from marianned.conductor.scheduler import STOPPING, Scheduler
from marianned.conductor.stopping import Stopper
from marianned.config import ConfigError, Settings, load_settings
from marianned.executors.local import LocalExecutor
from marianned.lock import LockHeld, locked
from marianned.paths import (
    SocketPathTooLongError,
    configuration_directory,
    database_path,
    make_private_directory,
    socket_path,
    state_directory,
)
from marianned.store.opening import DatabaseRefused
from marianned.store.writer import open_store

_SOCKET_LOOK_SECONDS = 5.0
"""How often it is looked whether the socket's file is still there."""
_logger = logging.getLogger("marianned")


class Daemon:
    """One daemon, from its settings to its last reply."""

    def __init__(self, settings: Settings, state: Path, address: Path, ready_fd: int | None) -> None:
        self._settings = settings
        self._state = state
        self._address = address
        self._ready_fd = ready_fd
        self._said_ready = False

    async def run(self) -> None:
        """Serve until a signal or a request stops it; what is in flight goes on without it."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await self._serve(signals)
        _logger.info("marianned (pid %d) has stopped; what is in flight goes on without it", os.getpid())

    async def _serve(self, signals: AsyncIterator[signal.Signals]) -> None:
        async with (
            open_store(database_path(self._state)) as store,
            LocalExecutor() as executor,
            anyio.create_task_group() as tasks,
        ):
            attempts = Path(self._settings.attempts_dir or self._state / "attempts")
            make_private_directory(attempts)
            scheduler = Scheduler(self._settings.max_attempts)
            disk = Disk((self._state, attempts), self._settings.min_free_disk, scheduler)
            house = House(
                store=store,
                executor=executor,
                scheduler=scheduler,
                limits=Limits(),
                disk=disk,
                settings=self._settings,
                attempts=attempts,
                socket=self._address,
                environ=dict(os.environ),
            )
            conductor = Conductor(house, tasks)
            lookout = Lookout(conductor, now().at)
            stopper = Stopper(conductor, tasks)
            keeper = Keeper(conductor)
            known = handlers(conductor, lookout, keeper, stopper.stop)
            server = Server(known, Journal(store), lookout, store, stopper.ready)
            faults.point("service.opened")
            recovered = await conductor.recover()
            faults.point("recover.done")
            tasks.start_soon(disk.watch, conductor.grant)
            tasks.start_soon(keeper.retain)
            tasks.start_soon(self._listen, server)
            tasks.start_soon(self._warm)
            _logger.info(
                "marianned %s (pid %d) at %s; %d runs taken up",
                __version__,
                os.getpid(),
                self._address,
                recovered,
            )
            await self._until_stopped(stopper, signals)
            scheduler.close(STOPPING)
            tasks.cancel_scope.cancel()

    async def _warm(self) -> None:
        try:
            await workers.warm()
        except workers.WorkerLimit as limit:
            _logger.warning("no worker process could be started: %s", limit.message)

    async def _until_stopped(self, stopper: Stopper, signals: AsyncIterator[signal.Signals]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._first_signal, signals, tasks.cancel_scope)
            await stopper.ready.wait()
            tasks.cancel_scope.cancel()

    async def _first_signal(self, signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
        async for number in signals:
            _logger.info("%s: stopping", signal.Signals(number).name)
            scope.cancel()
            return

    # --- the socket --------------------------------------------------------------------------------------

    async def _listen(self, server: Server) -> None:
        """Serve the socket; when its file is deleted under us, make it again. Connections outlive it."""
        async with anyio.create_task_group() as connections:
            while True:
                listener = await self._listener()
                ours = self._address.stat().st_ino
                try:
                    self._say_ready()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(server.serve, listener, connections)
                        await self._while_there(ours)
                        tasks.cancel_scope.cancel()
                finally:
                    listener.close()
                    if self._inode() == ours:
                        self._address.unlink(missing_ok=True)

    async def _listener(self) -> socket.socket:
        """Make the socket; only for the first one a failure is the daemon's end."""
        while True:
            try:
                listener = listen(self._address)
            except OSError as error:
                if not self._said_ready:
                    raise
                _logger.warning("the socket can't be made again: %s", error)
                await anyio.sleep(_SOCKET_LOOK_SECONDS)
                continue
            faults.point("service.listening")
            return listener

    async def _while_there(self, ours: int) -> None:
        while self._inode() == ours:  # noqa: ASYNC110  the file system tells nobody
            await anyio.sleep(_SOCKET_LOOK_SECONDS)

    def _inode(self) -> int | None:
        try:
            return self._address.stat().st_ino
        except OSError:
            return None

    def _say_ready(self) -> None:
        if self._ready_fd is not None and not self._said_ready:
            os.write(self._ready_fd, b"1")
            os.close(self._ready_fd)
        self._said_ready = True


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
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
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon in the foreground; return its exit status."""
    given = _arguments(arguments)
    if given.check:
        return _check(as_json=given.json)
    logs.set_up()
    os.umask(0o077)
    try:
        settings = load_settings(configuration_directory())
        state, address = state_directory().absolute(), socket_path()
        os.chdir("/")  # no place of the caller's is kept busy, and workers import nothing from it
        with locked(state, address):
            faults.point("service.locked")
            anyio.run(Daemon(settings, state, address, given.ready_fd).run)
    except (*_SAID, ExceptionGroup) as error:
        cause = _only(error)
        if not isinstance(cause, _SAID):
            raise
        print(f"marianned: {cause}", file=sys.stderr)  # noqa: T201  before and after the log there is only stderr
        return 1
    return 0


_SAID = (ConfigError, DatabaseRefused, LockHeld, SocketPathTooLongError, OSError)
"""What keeps a daemon from serving and is told in one line."""


def _only(error: Exception) -> Exception:
    """Return what failed, out of the groups that the tasks around it made."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _check(*, as_json: bool) -> int:
    found = findings()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode({"checks": found}) + b"\n")
    else:
        for finding in found:
            mark = "ok  " if finding.passed else "FAIL"
            sys.stdout.write(f"{mark} {finding.name}: {finding.message}\n")
    return 0 if all(finding.passed for finding in found) else 1
