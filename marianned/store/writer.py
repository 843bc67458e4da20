"""The one writer: a thread that commits what it is handed, those that wait together with one fsync.

Each Changes is a savepoint of its own, so that one with a broken constraint fails alone; when the disk
refuses, none of the group is on it, all are told so, and the store is degraded until a write succeeds.
Source: docs/design/durability.md "One writer".
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import msgspec

from marianned import faults, protocol
from marianned.errors import Unavailable
from marianned.rows import TABLES, Changes, EventRow, RequestRow, Row, RunRow
from marianned.store.incarnations import IncarnationStart, begin_incarnation
from marianned.store.location import DatabaseDisplaced, DatabaseLocation, describe_error
from marianned.store.opening import connect_writer, refusal
from marianned.store.records import Records, last_number, to_event
from marianned.store.sql import SQL, Columns, delete, put

_TRIAL_SECONDS = 1.0
"""How often a degraded store looks whether it can write again."""

_PUT: dict[type[msgspec.Struct], tuple[str, Columns[Any]]] = {
    kind: (put(kind), Columns(kind)) for kind in TABLES
}
_DELETE: dict[type[msgspec.Struct], str] = {
    kind: delete(kind) for kind, table in TABLES.items() if table.is_deleted_by_run
}
_ITS_OWN_FAULT = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError)
"""The errors of SQLite that tell of what was to be written; the others tell of where."""

_REFUSED = (sqlite3.Error, MemoryError, DatabaseDisplaced)
"""What can keep a whole group from the disk."""

_logger = logging.getLogger(__name__)


class CommitResult(NamedTuple):
    """A transaction that is on disk: its last event's number (else the journal's newest), its events."""

    event: int
    events: list[protocol.Event]


class BrokenChanges(Exception):
    """These changes can't be stored, whatever the disk: a broken constraint. Nothing of them is."""


class _WriterSignal(Enum):
    """What the writer is asked for beside changes."""

    CHECK = "see whether it can be written"
    STOP = "end"


class _PendingCommit(NamedTuple):
    changes: Changes
    future: "asyncio.Future[CommitResult]"


_Result = CommitResult | Exception


class Store:
    """The database at `path`: `commit` writes, `records` reads. Made by `open_store`.

    `daemon_id` is random, made with the database; `rebooted` tells whether the machine has been started
    anew since the database was opened last; `incarnation` is what attempts are named after from now on,
    `incarnations` has all by number; `restored` says what tells that the database is not the one that was
    used here last, null where it is.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        records: Records,
        place: DatabaseLocation,
        boot: str,
        begun: IncarnationStart,
    ) -> None:
        self.records = records
        self.path = records.path
        self._place = place
        self.incarnation, self.incarnations, self.restored = begun
        self.daemon_id = self.incarnation.daemon_id
        last = connection.execute(SQL["meta"], {"name": "boot_id"}).fetchone()
        self.rebooted = last is not None and last != (boot,)
        connection.execute(SQL["set_meta"], {"name": "boot_id", "value": boot})
        self._degraded: str | None = None
        records.last_published = last_number(connection, "events")
        self._connection = connection
        self._newest_event = records.last_published
        self._newest_run_id = last_number(connection, "runs")
        self._queue: queue.SimpleQueue[_PendingCommit | _WriterSignal] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._commit_listeners: list[Callable[[list[protocol.Event]], None]] = [records.note_commit]
        self._open = True
        self._thread = threading.Thread(target=self._run, name="store-writer")
        self._thread.start()

    @property
    def last_event(self) -> int:
        """The number of the newest event that has been told to the listeners."""
        return self.records.last_published

    @property
    def degraded(self) -> str | None:
        """Why nothing can be written now, or could not be at the last trial; null when it can."""
        return self.degraded_by(self.displaced)

    def degraded_by(self, displaced: DatabaseDisplaced | None) -> str | None:
        """Return `degraded` for who has looked at `displaced` already."""
        if self._degraded is not None:
            return self._degraded
        return None if displaced is None else _reason(displaced)

    @property
    def displaced(self) -> DatabaseDisplaced | None:
        """What tells now that the database is not where it was opened; null: it is there."""
        try:
            self._place.check()
        except DatabaseDisplaced as displaced:
            return displaced
        return None

    def on_commit(self, callback: Callable[[list[protocol.Event]], None]) -> None:
        """Call back on the event loop with each transaction's events, in the order of the journal.

        That is before whoever awaits the commit goes on, and also when it was cancelled meanwhile.
        """
        self._commit_listeners.append(callback)

    def new_run_id(self) -> int:
        """Return a run id that no run ever had."""
        self._newest_run_id += 1
        return self._newest_run_id

    @property
    def device(self) -> int:
        """The file system that the database lies in (`st_dev`)."""
        return self._place.device

    @property
    def files(self) -> list[Path]:
        """The database's files, as they were when it was opened."""
        return self._place.files

    def check_files(self) -> None:
        """See whether the files are where they were, now: the writer itself looks only when it writes."""
        self._queue.put(_WriterSignal.CHECK)

    async def commit(self, changes: Changes) -> CommitResult:
        """Write the changes, all or nothing; return when they are on disk.

        Commits happen in the order of the calls. Cancelling the wait does not take the changes back.

        Raises:
            Unavailable: the disk refuses; nothing has changed.
            BrokenChanges: they break a constraint; nothing has changed.
        """
        if not self._open:
            raise RuntimeError("the store is closed")
        future: asyncio.Future[CommitResult] = self._loop.create_future()
        self._queue.put(_PendingCommit(changes, future))
        return await future

    async def close(self) -> None:
        """Write what is queued, end the thread, close all connections."""
        self._open = False
        with anyio.CancelScope(shield=True):
            self._queue.put(_WriterSignal.STOP)
            await anyio.to_thread.run_sync(self._thread.join)
            self.records.close()
            await anyio.to_thread.run_sync(self._connection.close)

    # The rest is on the writer's thread, but for `_deliver`.

    def _run(self) -> None:
        going_on = True
        while going_on:
            try:
                group = [self._queue.get(timeout=_TRIAL_SECONDS if self._degraded else None)]
            except queue.Empty:
                group = [_WriterSignal.CHECK]
            while not self._queue.empty():
                group.append(self._queue.get())
            going_on = _WriterSignal.STOP not in group
            works = [work for work in group if isinstance(work, _PendingCommit)]
            if works:
                self._post(works, self._write_group(works))
            elif going_on:
                self._try_to_write()

    def _write_group(self, works: list[_PendingCommit]) -> list[_Result]:
        """Write what waits in one transaction; return what becomes of each.

        One fsync pays for all. Each of them is a savepoint inside the transaction: one that breaks a
        constraint is rolled back alone, and the others are committed without it. Where the disk refuses,
        BEGIN or COMMIT included, nothing of the group is on it, and each is told so; event numbers go back
        to what they were, for they are given out again. The files are looked at last before the COMMIT:
        what was moved away meanwhile must not be written and acknowledged.
        """
        event_before = self._newest_event
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            faults.point("store.begun")
            results = [self._write_alone(work.changes) for work in works]
            faults.point("store.written")
            self._place.check()
            self._connection.execute("COMMIT")
            faults.point("store.committed")
        except _REFUSED as error:
            self._newest_event = event_before
            self._end_transaction()
            return [self._refusal(error) for _ in works]
        self._set_degraded(None)
        return results

    def _write_alone(self, changes: Changes) -> _Result:
        """Write into the group's transaction; raise only what is the group's misfortune."""
        event_before = self._newest_event
        self._connection.execute("SAVEPOINT one")
        try:
            committed = self._write(changes)
        except Exception as error:
            if isinstance(error, (sqlite3.Error, MemoryError)) and not isinstance(error, _ITS_OWN_FAULT):
                raise
            self._newest_event = event_before
            self._connection.execute("ROLLBACK TO one")
            self._connection.execute("RELEASE one")
            broken = BrokenChanges(f"{type(error).__name__}: {error}")
            broken.__cause__ = error
            return broken
        self._connection.execute("RELEASE one")
        return committed

    def _write(self, changes: Changes) -> CommitResult:
        for row in changes.rows:  # what hangs on a run comes after it
            if isinstance(row, RunRow):
                self._put(row)
        for gone in changes.deleted:
            self._connection.execute(_DELETE[gone.kind], gone.key_values)
        events = [self._put_event(event) for event in changes.events]
        for row in changes.rows:
            if isinstance(row, RequestRow):
                self._connection.execute(SQL["forget_requests"], msgspec.structs.asdict(row.asked))
                if row.reply is not None and row.event is None:
                    self._put(msgspec.structs.replace(row, event=self._newest_event))
                    continue
            if not isinstance(row, RunRow):
                self._put(row)
        for name, value in changes.notes.items():
            self._connection.execute(SQL["set_meta"], {"name": name, "value": value})
        return CommitResult(self._newest_event, events)

    def _put(self, row: Row | EventRow) -> int | None:
        statement, columns = _PUT[type(row)]
        return self._connection.execute(statement, columns.values(row)).lastrowid

    def _put_event(self, row: EventRow) -> protocol.Event:
        number = self._put(row)
        assert number is not None
        self._newest_event = number
        return to_event(number, row)

    def _try_to_write(self) -> None:
        """See whether it can be written; a degraded store tries."""
        try:
            self._place.check()
            if self._degraded is not None:
                self._connection.execute(SQL["take_room"])
                self._connection.execute(SQL["give_room"])
        except _REFUSED as error:
            self._end_transaction()
            self._refusal(error)
        else:
            self._set_degraded(None)

    def _end_transaction(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                _logger.exception("the failed transaction can't be rolled back")

    def _refusal(self, error: Exception) -> Unavailable:
        reason = _reason(self._place.cause(error))
        self._set_degraded(reason)
        return Unavailable(f"{reason}; nothing has changed")

    def _set_degraded(self, reason: str | None) -> None:
        changed = (reason is None) != (self._degraded is None)
        self._degraded = reason
        if changed:
            if reason is None:
                _logger.warning("the database can be written again; what waited for it goes on")
            else:
                _logger.warning("%s; nothing is acknowledged or started until it can", reason)

    def _post(self, works: list[_PendingCommit], results: list[_Result]) -> None:
        self._loop.call_soon_threadsafe(self._deliver, works, results)

    def _deliver(self, works: list[_PendingCommit], results: list[_Result]) -> None:
        for work, result in zip(works, results, strict=True):
            if isinstance(result, CommitResult):
                if result.events:
                    self._publish(result.events)
                if not work.future.done():
                    work.future.set_result(result)
            elif not work.future.done():
                work.future.set_exception(result)

    def _publish(self, events: list[protocol.Event]) -> None:
        for listener in self._commit_listeners:
            try:
                listener(events)
            except Exception:
                _logger.exception("a listener of the store failed; the others and the caller go on")


def _reason(error: Exception) -> str:
    return f"the database can't be written: {describe_error(error)}"


@asynccontextmanager
async def open_store(
    path: Path, boot: str = "", attempts: Path | None = None, at: int = 0
) -> AsyncIterator[Store]:
    """Open the database at `path`, made and migrated where needed; close it at the end.

    `boot` names this boot of the machine; `attempts` is the directory of the attempts that will be started,
    usually the one beside the database; `at` is now (UTC ms).

    Raises:
        DatabaseRefused: it is newer than this program, damaged, or no database; it is as it was.
    """
    connection = await anyio.to_thread.run_sync(connect_writer, path)
    try:
        begun = await anyio.to_thread.run_sync(
            begin_incarnation, connection, path, attempts or path.with_name("attempts"), at
        )
    except sqlite3.Error as error:
        connection.close()
        raise refusal(path, error) from error
    place = DatabaseLocation(path)
    store = Store(connection, Records(path, place), place, boot, begun)
    try:
        yield store
    finally:
        await store.close()
