"""The process of a flight: started once whichever daemon does it, picked up, ended, and how it ended.

Its claim in the flight's directory is the fence. Source: docs/design/durability.md
"One supervisor for whatever runs", docs/design/executors.md "The interface".
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import to_thread

from marianned import files
from marianned.accidents import SHORT, Accident, FlightAbandoned, runs_short, until_it_works
from marianned.conductor.services import Services, is_away
from marianned.errors import Unavailable
from marianned.executors.base import (
    AlreadyClaimed,
    AttemptPlace,
    AttemptWithdrawn,
    CannotStart,
    ExitRecord,
    Fate,
    Presence,
    Spec,
    StartFailed,
    WaitReason,
    Whereabouts,
    read_spec_id,
)
from marianned.instruments.result import EndReason
from marianned.moment import now
from marianned.protocol import ErrorCategory
from marianned.rows import AttemptRow, Exit, Placed

STDOUT = "stdout"
STDERR = "stderr"
_A_WHILE_SECONDS = 0.75
"""How long a process must have run for the database to be told of its pid: a commit for each would cost."""
AGAIN_SECONDS = 1.0
"""After how long it is tried again where something runs short."""


def shell_script(directory: Path, command: str, *words: str) -> list[str]:
    """Write a command into a file of the attempt's directory, which is there; return how bash runs it.

    The arguments of a process are for everybody on the host to read, the file for its owner alone.
    """
    file = directory / "script.sh"
    files.write_private(file, command.encode(errors="surrogateescape"))
    return ["bash", str(file), *words]


class PreparationFailed(Exception):
    """A flight can't be started: its prompt, a file or its directory is missing; no retry mends it."""

    def __init__(self, category: ErrorCategory, message: str) -> None:
        super().__init__(message)
        self.category = category
        self.message = message


class PreparedProcess(NamedTuple):
    """How a process starts; `write` puts into its directory what it needs there, in a thread, just before."""

    spec: Spec
    write: Callable[[], None] | None = None


class FlightProcess:
    """One flight's process. `interrupt` may come at any time; what ended by itself before it counts.

    `pid` is its keeper's, once it is known, `where` where it runs, if that is not this host. `tell` hears of
    what keeps its end from being known, `keeper_known` of the pid, once it has run for a while: what ends
    sooner needs no memory of it; `placed` of where it has begun, and its pid there, if that is not this host.
    """

    def __init__(
        self,
        services: Services,
        row: Placed,
        tell: Callable[[str], None],
        keeper_known: Callable[[int], None] | None = None,
        placed: Callable[[Whereabouts, int | None], None] | None = None,
    ) -> None:
        self._tell = tell
        self._keeper_known = keeper_known
        self._placed = placed
        self._executor = services.executors.of(row)
        self._incarnation_directory = services.incarnation_directory
        self._away = is_away(row)
        self.place = services.place(row)
        self.directory = self.place.directory
        self.interrupted = False
        self._dropped = False
        self.pid: int | None = None
        self.where: Whereabouts | None = None

    def abandon(self) -> None:
        """Don't start it: its job may not start anything any more. What has started is ended."""
        self.interrupted = True

    async def interrupt(self, *, drop: bool = False) -> None:
        """End it: TERM, grace, KILL by its supervisors; asked to stop before that, unless `drop`."""
        self.interrupted = True
        self._dropped = self._dropped or drop
        await self._executor.end(self.place, drop=self._dropped)

    async def withdraw(self) -> None:
        """Take it back if it has not begun and waits for that elsewhere; `wait_for_end` says so."""
        await self._executor.withdraw(self.place)

    async def dismiss(self) -> None:
        """Let its job on a cluster go that has stayed behind its end; it goes by itself, only later."""
        with suppress(OSError):
            await self._executor.end(self.place)

    def queue_wait(self) -> WaitReason | None:
        """Say what keeps it from beginning, or from being known; null: nothing does."""
        return self._executor.queue_wait(self.place.id)

    async def start(
        self, prepare: Callable[[], Awaitable[PreparedProcess]], presence: Presence | None
    ) -> bool:
        """Start what `prepare` makes, unless `presence` says that it was; False: it never will be.

        What fails of ours, or runs short, is tried again until it works: that is no failure.

        Raises:
            PreparationFailed: it can't be started for another reason.
        """
        if presence not in (None, Presence.NEVER_STARTED):
            return True
        if not self.interrupted:
            with suppress(FlightAbandoned):
                await until_it_works(lambda: self._start(prepare))
        return not (self.interrupted and await self._executor.claim(self.place))

    async def _start(self, prepare: Callable[[], Awaitable[PreparedProcess]]) -> None:
        """Prepare and start it, unless it was interrupted meanwhile.

        Raises:
            Accident: something of ours failed, nothing has been started.
            PreparationFailed: it can't be started at all.
        """
        if self._away:
            await to_thread.run_sync(self._check_directory)
        try:
            prepared = await prepare()
            if not self.interrupted:
                root = self.place.root
                await self._executor.start(self.directory, prepared.spec, prepared.write, root)
        except AlreadyClaimed:
            pass  # an earlier daemon started it a moment before it died: it is picked up
        except OSError as error:
            await to_thread.run_sync(self._check_directory)  # it knows better why, or makes what is missing
            raise Accident(f"its files can't be written: {error.strerror}") from None
        except Unavailable as error:
            raise Accident(error.message) from None
        except PreparationFailed as why:
            if runs_short(why.message):
                raise Accident(why.message) from None
            raise
        except StartFailed:
            await to_thread.run_sync(self._check_directory)
            raise
        except CannotStart as error:
            raise PreparationFailed(error.category, str(error)) from None

    def _check_directory(self) -> None:
        """Look whether its files can be written where they would be found again; blocks.

        Raises:
            Accident: that place is away.
        """
        root = self.place.root
        if root is not None and (why := self._incarnation_directory.why_missing(root)) is not None:
            raise Accident(f"its files can't be written: {why}")

    async def wait_for_end(self) -> ExitRecord | None:
        """Wait for its end; None: it is lost, and left no record; `describe_loss` says more.

        One whose command could not be started for a shortage ends a moment later: it is to be tried again.

        Raises:
            AttemptWithdrawn: it never began, and won't.
        """
        running = await self._executor.read_identity(self.place)
        self.pid = running.pid if running else None
        if self.interrupted:
            await self._executor.end(self.place, drop=self._dropped)
        record = await (self._wait_away() if self._away else self._wait_here())
        if record is not None and runs_short(record.error):
            await anyio.sleep(AGAIN_SECONDS)
        return record

    async def _wait_here(self) -> ExitRecord | None:
        """Wait for its end on this host; a timer, which costs less than a task, tells of its pid."""
        if self._keeper_known is None or self.pid is None:
            return await self._executor.wait(self.place, self._tell)
        timer = asyncio.get_running_loop().call_later(_A_WHILE_SECONDS, self._keeper_known, self.pid)
        try:
            return await self._executor.wait(self.place, self._tell)
        finally:
            timer.cancel()

    async def _wait_away(self) -> ExitRecord | None:
        """Wait for its end on a cluster, and for where it begins; the end can be seen first."""
        record, withdrawn = None, None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._report_place)
            try:
                record = await self._executor.wait(self.place, self._tell)
            except AttemptWithdrawn as why:
                withdrawn = why
            tasks.cancel_scope.cancel()
        if withdrawn is not None:
            raise withdrawn
        if self.where is None:
            await self._read_supervisor_note()
        return record

    async def _read_supervisor_note(self) -> None:
        """Read what its supervisor has noted of itself."""
        if (running := await self._executor.read_identity(self.place)) is not None:
            self.pid, self.where = running.pid, running.where

    async def _report_place(self) -> None:
        where: Whereabouts | None = None
        while (where := await self._executor.whereabouts(self.place, where)) is not None:
            await self._read_supervisor_note()
            self.where = where
            if self._placed is not None:
                self._placed(where, self.pid)

    async def fate(self) -> Fate | None:
        """Say what a cluster says has become of its job, where its end was not its own, nor ours."""
        return None if self.interrupted else await self._executor.fate(self.place)

    async def describe_loss(self) -> str:
        """Say how it was lost, as far as that is known."""
        return await to_thread.run_sync(_describe_loss, self.place)

    async def has_files(self) -> bool:
        """Tell whether what lies in its directory is its own."""
        return await to_thread.run_sync(read_spec_id, self.place.directory) == self.place.id

    def exit_of(self, record: ExitRecord, printed: tuple[int, int]) -> Exit:
        """Return what is kept of every end; `printed` is what `output_sizes` has found."""
        return Exit(
            exit_code=record.exit_code,
            signal=record.signal_name,
            pid=self.pid,
            stdout_bytes=printed[0],
            stderr_bytes=printed[1],
            max_rss_kib=record.max_rss_kib,
        )


def plausible_end(ended_at: int, attempt: AttemptRow) -> int | None:
    """Return when its process ended, by its record; None: a clock was set, which makes it impossible."""
    return ended_at if attempt.started_at <= ended_at <= now().at else None


def plausible_start(record: ExitRecord, ended_at: int | None, attempt: AttemptRow) -> int:
    """Return when its process began: by its record, or, where a clock makes that impossible, by its length.

    It is neither before its submission nor after its end, `ended_at` (None: now).
    """
    end = now().at if ended_at is None else ended_at
    if attempt.started_at <= record.started_at <= end:
        return record.started_at
    return min(end, max(attempt.started_at, end - max(0, record.ended_at - record.started_at)))


def ended_by_us(record: ExitRecord) -> EndReason | None:
    """Say how an end was brought about by its supervisor; None: it was not."""
    if record.stale:
        return "stale"
    if record.final:
        return "final"
    return "asked" if record.asked else None


def leftover_warnings(record: ExitRecord) -> list[str]:
    """Say that a command has left processes behind, which were ended, and what is lost by that."""
    if not record.left_behind:
        return []
    one = record.left_behind == 1
    ended = "a process it left behind was" if one else f"{record.left_behind} processes it left behind were"
    cut = " before all output had passed through: its end is missing" if record.output_cut else ""
    return [f"{ended} ended{cut}"]


def _describe_loss(place: AttemptPlace) -> str:
    try:
        if not place.directory.exists():
            if place.root_is_missing():  # asked last: it may have gone with all of them
                return f"'{place.root}' is not there, and with it how it ended"
            return "its directory was deleted, and with it how it ended"
    except OSError as error:
        return f"its directory can't be looked at, and with it how it ended: {error.strerror}"
    if read_spec_id(place.directory) not in (None, place.id):
        return f"what lies in '{place.directory}' is of another attempt, and is left alone"
    return "no process of it is found, and no record"


def output_sizes(directory: Path) -> tuple[int, int]:
    """Return the bytes of stdout and stderr in an attempt's directory; blocks."""
    return _file_size(directory / STDOUT), _file_size(directory / STDERR)


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def check_directory(cwd: str, job_name: str) -> None:
    """Look for the place where a process of a job is to start; blocks.

    Raises:
        PreparationFailed: it is no directory, or can't be looked at.
        Accident: memory or descriptors ran short while it was looked at.
    """
    missing = files.no_directory(cwd)
    if missing is None:
        return
    if missing.number in SHORT:
        raise Accident(missing.why)
    way = "bring it back" if missing.command is None else f"bring it back, or type: {missing.command}"
    told = f"the directory it works in is gone: {missing.why}; {way}; then type: mzt resume {job_name}"
    raise PreparationFailed(ErrorCategory.CONFIG, told)
