"""The process of a flight: started once whichever daemon does it, picked up, ended, and how it ended.

Its claim in the flight's directory is the fence. Source: docs/design/durability.md, docs/design/executors.md.
"""

import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from marianned import files
from marianned.accidents import SHORT, Accident, GivenUp, runs_short, until_it_works
from marianned.conductor.services import House
from marianned.errors import NoCapacity
from marianned.executors.base import AlreadyClaimed, CannotStart, ExitRecord, NotStarted, Presence, Spec
from marianned.rows import Flight

STDOUT = "stdout"
STDERR = "stderr"
FOREIGN = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP})
"""Signals that, unasked for, tell of a host going down: what ended by them is lost, not failed."""
AGAIN_SECONDS = 1.0
"""After how long it is tried again where something runs short."""


def shell_script(directory: Path, command: str, *words: str) -> list[str]:
    """Write a command into a file of the attempt's directory, which is there; return how bash runs it.

    The arguments of a process are for everybody on the host to read, the file for its owner alone.
    """
    file = directory / "script.sh"
    files.write_private(file, command.encode(errors="surrogateescape"))
    return ["bash", str(file), *words]


class Unprepared(Exception):
    """A flight can't be started: its prompt, a file or its directory is missing; no retry mends it."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category
        self.message = message


class Process:
    """One flight's process. `interrupt` may come at any time; what ended by itself before it counts.

    `pid` is its keeper's, once it is known.
    """

    def __init__(self, house: House, row: Flight) -> None:
        self._executor = house.executor
        self.directory = house.directory(row)
        self.interrupted = False
        self.pid: int | None = None

    def give_up(self) -> None:
        """Don't start it: its job may not start anything any more. What has started is ended."""
        self.interrupted = True

    async def interrupt(self) -> None:
        """End it: TERM, grace, KILL by its shim."""
        self.interrupted = True
        await self._executor.end(self.directory)

    async def start(self, prepare: Callable[[], Awaitable[Spec]], presence: Presence | None) -> bool:
        """Start what `prepare` makes, unless `presence` says that it was; False: it never will be.

        What fails of ours, or runs short, is tried again until it works: that is no failure.

        Raises:
            Unprepared: it can't be started for another reason.
        """
        if presence not in (None, Presence.NEVER_STARTED):
            return True
        if not self.interrupted:
            with suppress(GivenUp):
                await until_it_works(lambda: self._start(prepare))
        return not (self.interrupted and await self._executor.claim(self.directory))

    async def _start(self, prepare: Callable[[], Awaitable[Spec]]) -> None:
        """Prepare and start it, unless it was interrupted meanwhile.

        Raises:
            Accident: something of ours failed, nothing has been started.
            Unprepared: it can't be started at all.
        """
        try:
            spec = await prepare()
            if not self.interrupted:
                await self._executor.start(self.directory, spec)
        except AlreadyClaimed:
            pass  # an earlier daemon started it a moment before it died: it is picked up
        except OSError as error:
            raise Accident(f"its files can't be written: {error.strerror}") from None
        except NoCapacity as error:
            raise Accident(error.message) from None
        except Unprepared as why:
            if runs_short(why.message):
                raise Accident(why.message) from None
            raise
        except NotStarted:
            raise
        except CannotStart as error:
            raise Unprepared("unavailable", str(error)) from None

    async def ended(self) -> ExitRecord | None:
        """Wait for its end; None: it is lost, nothing of it is left, and no record.

        One whose command could not be started for a shortage ends a moment later: it is to be tried again.
        """
        running = await self._executor.running(self.directory)
        self.pid = running.pid if running else None
        if self.interrupted:
            await self._executor.end(self.directory)
        record = await self._executor.wait(self.directory)
        if record is not None and runs_short(record.error):
            await anyio.sleep(AGAIN_SECONDS)
        return record

    async def seen(self, record: ExitRecord) -> dict[str, Any]:
        """Return what is kept of every end: exit code, signal's name, pid, bytes printed."""
        return {
            "exit_code": record.exit_code,
            "signal": signal.Signals(record.signal).name if record.signal else None,
            "pid": self.pid,
            "stdout_bytes": await to_thread.run_sync(_size, self.directory / STDOUT),
            "stderr_bytes": await to_thread.run_sync(_size, self.directory / STDERR),
        }


def left_behind(record: ExitRecord) -> list[str]:
    """Say that a command has left processes behind, which were ended; nothing where it has not."""
    if not record.left_behind:
        return []
    if record.left_behind == 1:
        return ["a process it left behind was ended"]
    return [f"{record.left_behind} processes it left behind were ended"]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def check_directory(cwd: str) -> None:
    """Look for the place where a process is to start.

    Raises:
        Unprepared: it is no directory, or can't be looked at.
    """
    try:
        there = Path(cwd).is_dir()
    except OSError as error:
        if error.errno in SHORT:
            raise
        there = False
    if not there:
        raise Unprepared("config", f"the working directory is gone: '{cwd}'")
