"""What the database knows, read: every reader is one snapshot, taken in a thread, never the writer's.

Nothing here changes anything, and nothing here sees what is not committed.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import anyio
import msgspec
from anyio import to_thread

from marianned import protocol
from marianned.clock import timestamp
from marianned.decoding import from_json
from marianned.errors import Unavailable
from marianned.rows import (
    ArchivedRow,
    ArchiveRow,
    AttemptRow,
    BreakpointRow,
    BriefRunRow,
    EventFacts,
    EventRow,
    HoldRow,
    HookRow,
    LeftScoreRow,
    LimitRow,
    LoopRow,
    PastSheetRow,
    RequestRow,
    RevisionRow,
    RunRow,
    SheetRow,
    SkipRow,
    WorktreeRow,
)
from marianned.store.copies import write_copy
from marianned.store.location import DatabaseDisplaced, DatabaseLocation, describe_error
from marianned.store.opening import connect_reader
from marianned.store.sql import SQL, Columns, Value

_READERS = 4
"""Connections, and so reads at the same time; more wait."""
_PATIENCE_SECONDS = 5.0
"""How long a read waits for another one's connection where no more can be opened."""
_REQUESTS_KEPT = 1_000
"""Of so many runs the last request is kept at most."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's attempts have cost; `known`: of every attempt that has ended the cost is known."""

    usd: float
    known: bool
    input_tokens: int
    output_tokens: int
    attempts: int


class StoredRun(NamedTuple):
    """The rows that make the state of a run, as they were at one moment.

    `revisions` has the one in force and the staged one by number, as far as they are there; `holds` come
    oldest first, `open_attempts` are those without an outcome, `skips` the skip rules that are being
    asked, `requests` those without an answer.
    """

    run: RunRow
    revisions: dict[int, RevisionRow]
    sheets: list[SheetRow]
    past_sheets: list[PastSheetRow]
    left_scores: list[LeftScoreRow]
    costs: Costs
    hooks: list[HookRow]
    holds: list[HoldRow]
    breakpoints: list[BreakpointRow]
    loops: list[LoopRow]
    open_attempts: list[AttemptRow]
    skips: list[SkipRow]
    requests: list[RequestRow]


class NewestRun(NamedTuple):
    """The newest run of a job, null where there is none; the highest number that one ever had, or 0."""

    row: RunRow | None
    last: int


class ListedRun(NamedTuple):
    """A run in a list: `newest` of its job, or an earlier one; `job`: its JOB keys, JSON, if it has ended.

    `brief`: where those are not wanted.
    """

    job_name: str
    run: int
    newest: bool
    job: bytes | None
    brief: BriefRunRow | None


T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")
_RUN = Columns(RunRow)
_BRIEF_RUN = Columns(BriefRunRow)
_SHEET = Columns(SheetRow)
_PAST_SHEET = Columns(PastSheetRow)
_LEFT_SCORE = Columns(LeftScoreRow)
_ATTEMPT = Columns(AttemptRow)
_LOOP = Columns(LoopRow)
_SKIP = Columns(SkipRow)
_HOOK = Columns(HookRow)
_HOLD = Columns(HoldRow)
_BREAKPOINT = Columns(BreakpointRow)
_REVISION = Columns(RevisionRow)
_REQUEST = Columns(RequestRow)
_LIMIT = Columns(LimitRow)
_ARCHIVE = Columns(ArchiveRow)
_ARCHIVED = Columns(ArchivedRow)
_WORKTREE = Columns(WorktreeRow)
_EVENT = Columns(EventRow)
_NO_FACTS = EventFacts()
_COSTS = Columns(Costs)


def to_event(event: int, row: EventRow) -> protocol.Event:
    """Return a line of the journal, with its number, as it is told on the socket."""
    facts = row.facts or _NO_FACTS
    return protocol.Event(
        event=event,
        recorded_at=timestamp(row.recorded_at),
        type=row.type,
        job_id=row.job_name,
        run=row.run,
        sheet=row.sheet,
        stage=row.stage,
        instance=row.instance,
        hook=row.hook,
        attempt=row.attempt,
        status=row.status,
        revision=row.revision,
        caller=row.caller,
        reason=row.reason,
        cause=row.cause,
        text=row.text,
        kind=facts.kind,
        instrument=facts.instrument,
        model=facts.model,
        time_limit_at=timestamp(facts.time_limit_at),
        outcome=facts.outcome,
        exit_code=facts.exit_code,
        signal=facts.signal,
        error_category=facts.error_category,
        cost_usd=facts.cost_usd,
        input_tokens=facts.input_tokens,
        output_tokens=facts.output_tokens,
        duration_seconds=facts.duration_seconds,
        waiting_for=facts.waiting_for,
        until_at=timestamp(facts.until_at),
        hold=facts.hold,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _salvage(columns: Columns[T], found: Mapping[str, Any]) -> T:
    """Return a row, of a damaged one what can be read of it."""
    try:
        return columns.struct(found)
    except (TypeError, ValueError):  # one of them is Undecodable
        return columns.remains(found)


class Records:
    """The readers of one database. Close it only when no read is under way.

    `last_published` is the number of the newest event that the listeners have been told. A commit is on disk
    before they are told: no reader of the journal gets a later event, else that reader would be ahead of the
    jobs in memory, and the status it asks for next would be older than the event that made it ask.
    """

    def __init__(self, path: Path, place: DatabaseLocation) -> None:
        self.path = path
        self._place = place
        self._idle: deque[sqlite3.Connection] = deque()
        self._given_back = threading.Condition()
        self._opened = False
        self._limiter = anyio.CapacityLimiter(_READERS)
        self._last_requests: dict[_Run, protocol.Event | None] = {}
        self.last_published = 0

    def note_commit(self, events: Sequence[protocol.Event]) -> None:
        """Take note of these events, just committed; on the event loop."""
        if events:
            self.last_published = events[-1].event
        for event in events:
            if event.job_id is not None and event.run is not None and _is_request(event):
                self._kept_requests()[event.job_id, event.run] = event

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    async def list_runs(
        self,
        *,
        runs: bool,
        statuses: Collection[str],
        labels: Collection[str],
        since: int,
        changed: int,
        prefix: str,
        newest_first: bool,
        page: slice,
        shape: str,
    ) -> tuple[list[ListedRun], int]:
        """Return a page of the runs, in the order of their changes, and how many there are in all.

        Args:
            runs: every run of each job; false: the newest of each.
            statuses: those of these alone; empty: all, but see `since`.
            labels: those that have all of these.
            since: without `runs` and `statuses`, none that had ended at this moment (UTC, milliseconds).
            changed: those that have changed at this moment, or later.
            prefix: those whose names begin so.
            newest_first: the newest change first; false: last.
            page: from which to before which.
            shape: the form in which their JOB keys are wanted; empty: they are not.
        """
        asked: dict[str, Value] = {
            "runs": runs,
            "statuses": _json([*statuses]),
            "labels": _json([*labels]),
            "since": since,
            "changed": changed,
            "prefix": prefix,
            "newest_first": newest_first,
            "offset": page.start,
            "limit": page.stop - page.start,
            "shape": shape,
        }

        def read(connection: sqlite3.Connection) -> tuple[list[ListedRun], int]:
            found = _select(connection, "listed", asked)
            rows = [
                ListedRun(
                    job_name=one["job_name"],
                    run=one["run"],
                    newest=bool(one["newest"]),
                    job=one["job"],
                    brief=None if shape else _salvage(_BRIEF_RUN, one),
                )
                for one in found
                if one["job_name"]
            ]
            return rows, found[0]["total"]

        return await self._read(read)

    async def listed_counts(
        self, *, runs: bool, labels: Collection[str], changed: int, prefix: str
    ) -> dict[str, int]:
        """Return how many runs there are of each status, of those that `listed` may choose from."""
        asked = {"runs": runs, "labels": _json([*labels]), "changed": changed, "prefix": prefix}
        return await self._read(lambda connection: dict(connection.execute(SQL["listed_counts"], asked)))

    async def run_counts(self) -> dict[str, int]:
        """Return how many jobs there are of each status, by their newest runs."""
        return await self._read(lambda connection: dict(connection.execute(SQL["run_counts"])))

    async def newest_names(self, *statuses: str) -> list[tuple[str, str | None]]:
        """Return each job's name and its score's file, the newest change last: of these statuses, or all."""
        asked = {"statuses": _json([*statuses])}
        return await self._read(lambda connection: connection.execute(SQL["newest_names"], asked).fetchall())

    async def runs_in(self, workspace: str) -> list[RunRow]:
        """Return the newest runs of the jobs that work in a directory."""
        return await self._runs("runs_in", workspace=workspace)

    async def old_runs(self, before: int, keep: int = 0) -> list[RunRow]:
        """Return the runs that had ended at a moment (UTC, ms), but for the newest `keep` of each job."""
        return await self._runs("old_runs", before=before, keep=keep)

    async def run_names(self) -> list[tuple[str, int, str, bool, frozenset[str]]]:
        """Return name, number, status of each run, whether it is the newest, and its labels.

        The newest change comes last.
        """

        def read(connection: sqlite3.Connection) -> list[tuple[str, int, str, bool, frozenset[str]]]:
            return [
                (str(name), int(run), str(status), bool(newest), frozenset(from_json(labels)))
                for name, run, status, newest, labels in connection.execute(SQL["run_names"])
            ]

        return await self._read(read)

    async def runs(self, job_name: str) -> list[RunRow]:
        """Return all runs of a job, oldest first."""
        return await self._runs("runs", job_name=job_name)

    async def run(self, job_name: str, run: int | None = None) -> RunRow | None:
        """Return a run of a job, the newest where no number is given."""
        found = await self._runs("run", job_name=job_name, run=run)
        return found[0] if found else None

    async def newest(self, job_name: str) -> NewestRun:
        """Return the newest run of a name, and the highest number that one of it ever had."""

        def read(connection: sqlite3.Connection) -> NewestRun:
            found = _select(connection, "run", {"job_name": job_name, "run": None})
            row = _salvage(_RUN, found[0]) if found else None
            last = connection.execute(SQL["last_run"], {"job_name": job_name}).fetchone()
            return NewestRun(row, int(last[0]) if last else 0)

        return await self._read(read)

    async def unfinished_runs(self) -> list[RunRow]:
        """Return the runs that have not ended, or whose failure still has hooks to run, oldest first."""
        return await self._runs("unfinished_runs")

    async def _runs(self, name: str, **params: Value) -> list[RunRow]:
        """Read runs: one that is damaged keeps nobody from the others."""

        def read(connection: sqlite3.Connection) -> list[RunRow]:
            return [_salvage(_RUN, found) for found in _select(connection, name, params)]

        return await self._read(read)

    async def stored_run(
        self, job_name: str, run: int | None = None, *, damaged: bool = False
    ) -> StoredRun | None:
        """Return what makes the state of a run, as it is at one moment; the newest run without a number.

        Of a damaged one: what can be read of that.
        """

        def read(connection: sqlite3.Connection) -> StoredRun | None:
            found = _select(connection, "run", {"job_name": job_name, "run": run})
            if not found:
                return None
            now = _salvage(_RUN, found[0]) if damaged else _RUN.struct(found[0])

            def rows(columns: Columns[T], name: str, **params: Value) -> list[T]:
                selected = _select(connection, name, {"run_id": now.run_id, **params})
                if damaged:
                    return [_salvage(columns, one) for one in selected]
                return [columns.struct(one) for one in selected]

            numbers = [number for number in (now.revision, now.staged_revision) if number is not None]
            revisions = [row for n in numbers for row in rows(_REVISION, "revision", revision=n)]
            return StoredRun(
                run=now,
                revisions={row.revision: row for row in revisions},
                sheets=rows(_SHEET, "sheets"),
                past_sheets=rows(_PAST_SHEET, "past_sheets"),
                left_scores=rows(_LEFT_SCORE, "left_scores"),
                costs=rows(_COSTS, "costs")[0],
                hooks=rows(_HOOK, "hooks"),
                holds=rows(_HOLD, "holds"),
                breakpoints=rows(_BREAKPOINT, "breakpoints"),
                loops=rows(_LOOP, "loops"),
                open_attempts=rows(_ATTEMPT, "open_attempts"),
                skips=rows(_SKIP, "skips"),
                requests=rows(_REQUEST, "waiting_requests"),
            )

        return await self._read(read)

    async def sheets(self, run_id: int) -> list[SheetRow]:
        """Return the sheets of a run in ascending number."""
        return await self._rows(_SHEET, "sheets", run_id=run_id)

    async def attempts(self, run_id: int, uid: int | None = None) -> list[AttemptRow]:
        """Return the attempts of a run, or of one sheet of it, without their result texts."""
        return await self._rows(_ATTEMPT, "attempts", run_id=run_id, uid=uid)

    async def unbegun(self, run_id: int) -> int:
        """Count the attempts of a run that were for a cluster and were not seen to begin there."""
        asked = {"run_id": run_id}
        return await self._read(lambda connection: connection.execute(SQL["unbegun"], asked).fetchone()[0])

    async def attempts_since(
        self, run_id: int | None, since: int, page: slice
    ) -> tuple[list[tuple[str, int, AttemptRow]], int]:
        """Return a page of the attempts by their starts, each with job name and run, and how many there are.

        Of one run, or of all; those that were in flight at a moment (UTC, ms) or later. Results and reports
        of checks are left out.
        """
        asked: dict[str, Value] = {"run_id": run_id, "since": since}
        paged = {**asked, "offset": page.start, "limit": page.stop - page.start}

        def read(connection: sqlite3.Connection) -> tuple[list[tuple[str, int, AttemptRow]], int]:
            found = _select(connection, "attempts_since", paged)
            rows = [(one["job_name"], one["run"], _ATTEMPT.struct(one)) for one in found]
            return rows, connection.execute(SQL["attempts_counted"], asked).fetchone()[0]

        return await self._read(read)

    async def round_results(self, run_id: int, number: int) -> dict[int, str]:
        """Return, by uid, the result texts of the last attempts of this round that ended by themselves."""

        def read(connection: sqlite3.Connection) -> dict[int, str]:
            rows = connection.execute(SQL["round_results"], {"run_id": run_id, "number": number})
            return {uid: result or "" for uid, result in rows}

        return await self._read(read)

    async def last_result(self, run_id: int, uid: int, *, even_failed: bool = False) -> str | None:
        """Return the result text of the last attempt of a sheet that succeeded, or even failed."""
        given = {"run_id": run_id, "uid": uid, "even_failed": even_failed}

        def read(connection: sqlite3.Connection) -> str | None:
            found = connection.execute(SQL["last_result"], given).fetchone()
            return found[0] if found else None

        return await self._read(read)

    async def revisions(self, run_id: int) -> list[RevisionRow]:
        """Return the revisions of a run, oldest first; `text`, `files`, `expanded`, `problems` are empty."""
        return await self._rows(_REVISION, "revisions", run_id=run_id)

    async def revision(self, run_id: int, revision: int) -> RevisionRow | None:
        """Return one whole revision."""
        return await self._row(_REVISION, "revision", run_id=run_id, revision=revision)

    async def request(self, uid: int, method: str, key: str) -> RequestRow | None:
        """Return the request of this key; it may be older than the day a key counts for."""
        return await self._row(_REQUEST, "request", uid=uid, method=method, key=key)

    async def worktree(self, run_id: int) -> WorktreeRow | None:
        """Return the worktree of a run, if it is isolated."""
        return await self._row(_WORKTREE, "worktree", run_id=run_id)

    async def has_left(self, run_id: int) -> bool:
        """Tell whether sheets or hooks of a run have still to run."""

        def read(connection: sqlite3.Connection) -> bool:
            return bool(connection.execute(SQL["has_left"], {"run_id": run_id}).fetchone()[0])

        return await self._read(read)

    async def runs_with_worktrees(self) -> list[RunRow]:
        """Return the ended runs whose worktree has not been given up yet."""
        return await self._rows(_RUN, "runs_with_worktrees")

    async def archives(self) -> list[ArchiveRow]:
        """Return what was to be moved for runs that never came to be."""
        return await self._rows(_ARCHIVE, "archives")

    async def archived(self, job_name: str) -> list[ArchivedRow]:
        """Return the archives that a job has made, the oldest first."""
        return await self._rows(_ARCHIVED, "archived", job_name=job_name)

    async def limits(self) -> list[LimitRow]:
        """Return the rate limits that are known, those in force and those that are lifted."""
        return await self._rows(_LIMIT, "limits")

    def knows_last_request(self, run: RunRow) -> bool:
        """Tell whether the newest request of a run needs no look at the disk."""
        return (run.job_name, run.run) in self._last_requests

    async def last_request(self, run: RunRow) -> protocol.Event | None:
        """Return the newest event by which somebody paused, resumed or ended a run; null: there is none.

        Each look at a job tells it, so it is kept, and each commit brings what it has to say.
        """
        key = (run.job_name, run.run)
        if key in self._last_requests:
            return self._last_requests[key]
        kept = self._kept_requests()
        asked: dict[str, Value] = {"run_id": run.run_id, "told": self.last_published}
        found = await self._read(lambda connection: _events(connection, "last_request", asked))
        return kept.setdefault(key, found[0] if found else None)  # what was committed meanwhile is newer

    def _kept_requests(self) -> "dict[_Run, protocol.Event | None]":
        """Return those kept, another dict once they are many: looks under way end with the one before."""
        if len(self._last_requests) >= _REQUESTS_KEPT:
            self._last_requests = {}
        return self._last_requests

    async def has_changed(self, run_ids: Collection[int], event: int) -> bool:
        """Tell whether the journal has something of these runs, or of rate limits, after an event."""
        asked: dict[str, Value] = {"run_ids": _json([*run_ids]), "event": event}

        def read(connection: sqlite3.Connection) -> bool:
            return bool(connection.execute(SQL["has_changed"], asked).fetchone()[0])

        return await self._read(read)

    async def events(
        self, after: int, run_id: int | None, limit: int, job_name: str | None = None
    ) -> list[protocol.Event]:
        """Return the journal from the event after `after` on, of one run, of all of a name, or of all."""
        query = "events" if run_id is None else "events_of_run"
        query = query if job_name is None else "events_of_name"
        params: dict[str, Value] = {
            "run_id": run_id,
            "after": after,
            "limit": limit,
            "name": job_name,
            "told": self.last_published,
        }

        def read(connection: sqlite3.Connection) -> list[protocol.Event]:
            return _events(connection, query, params)

        return await self._read(read)

    async def oldest_event(self) -> int:
        """Return the number of the oldest event that is kept, 0 where there is none."""

        def read(connection: sqlite3.Connection) -> int:
            return int(connection.execute(SQL["oldest_event"]).fetchone()[0] or 0)

        return await self._read(read)

    async def history(
        self, run_id: int, sheets: Collection[int] | None, since: int | None, limit: int, offset: int = 0
    ) -> tuple[list[protocol.Event], int]:
        """Return the newest `limit` events of a run, oldest first, and how many there are in all.

        `offset` leaves out so many of the newest. `sheets` keeps those of sheets that had these numbers,
        `since` (UTC ms) those from then on.
        """
        name = "history" if sheets is None else "history_of_sheets"
        params: dict[str, Value] = {
            "run_id": run_id,
            "since": since or 0,
            "limit": limit,
            "offset": offset,
            "told": self.last_published,
        }
        params["sheets"] = msgspec.json.encode(sorted(sheets or ())).decode()

        def read(connection: sqlite3.Connection) -> tuple[list[protocol.Event], int]:
            (total,) = connection.execute(SQL[f"{name}_total"], params).fetchone()
            return _events(connection, name, params)[::-1], total

        return await self._read(read)

    async def note(self, name: str) -> str | None:
        """Return what the daemon keeps for itself under this name."""

        def read(connection: sqlite3.Connection) -> str | None:
            found = connection.execute(SQL["meta"], {"name": name}).fetchone()
            return None if found is None else str(found[0])

        return await self._read(read)

    async def last_event(self) -> int:
        """Return the number of the journal's newest event, 0 where there never was one."""
        return await self._read(lambda connection: last_number(connection, "events"))

    async def copy(self, path: Path) -> int:
        """Write a copy of the database as it is now to a new file, mode 0600; return its size in bytes.

        Raises:
            FileExistsError: there is something at `path`.
            OSError: the disk refuses; nothing of the copy is left.
        """
        return await self._read(lambda connection: write_copy(connection, path))

    async def _row(self, columns: Columns[T], name: str, **params: Value) -> T | None:
        found = await self._rows(columns, name, **params)
        return found[0] if found else None

    async def _rows(self, columns: Columns[T], name: str, **params: Value) -> list[T]:
        return await self._read(
            lambda connection: [columns.struct(found) for found in _select(connection, name, params)]
        )

    async def _read(self, read: Callable[[sqlite3.Connection], R]) -> R:
        """Read in a thread.

        Raises:
            Unavailable: disk, memory or descriptors don't let us; that passes.
        """
        try:
            return await to_thread.run_sync(self._snapshot, read, limiter=self._limiter)
        except (sqlite3.DatabaseError, DatabaseDisplaced) as error:
            cause = self._place.cause(error)
            if not isinstance(cause, (sqlite3.OperationalError, DatabaseDisplaced)):
                raise
            raise Unavailable(f"the database can't be read: {describe_error(cause)}") from error

    def _snapshot(self, read: Callable[[sqlite3.Connection], R]) -> R:
        connection = self._take_connection()
        try:
            connection.execute("BEGIN")
            try:
                return read(connection)
            finally:
                connection.execute("ROLLBACK")
        finally:
            with self._given_back:
                self._idle.append(connection)
                self._given_back.notify()

    def _take_connection(self) -> sqlite3.Connection:
        """Return a connection that nobody reads with; where no more can be opened, one that is given back.

        The file may be gone, which those that are open still have, or descriptors may be short.
        """
        with self._given_back:
            if self._idle:
                return self._idle.pop()
        try:
            connection = self._connect()
        except (DatabaseDisplaced, sqlite3.OperationalError):
            with self._given_back:
                if not self._opened or not self._given_back.wait_for(lambda: self._idle, _PATIENCE_SECONDS):
                    raise
                return self._idle.pop()
        self._opened = True
        return connection

    def _connect(self) -> sqlite3.Connection:
        """Open one more connection, to the database that the writer has open and no other."""
        self._place.check()
        connection = connect_reader(self.path)
        try:
            self._place.check()
        except DatabaseDisplaced:
            connection.close()
            raise
        return connection


_Run = tuple[str, int]
"""A run by its job's name and its number, as events have it."""


def _is_request(event: protocol.Event) -> bool:
    """Tell what the query `last_request` tells of a row."""
    named = event.type.startswith("job.") or event.type in ("hold.added", "hold.released")
    return event.caller is not None and named


def last_number(connection: sqlite3.Connection, table: str) -> int:
    """Return the highest number that a table (`runs`, `events`) ever gave a row."""
    found = connection.execute(SQL["last_number"], {"name": table}).fetchone()
    return int(found[0]) if found else 0


def _events(connection: sqlite3.Connection, name: str, params: Mapping[str, Value]) -> list[protocol.Event]:
    return [to_event(found["event"], _EVENT.struct(found)) for found in _select(connection, name, params)]


def _select(connection: sqlite3.Connection, name: str, params: Mapping[str, Value]) -> list[dict[str, Any]]:
    cursor = connection.execute(SQL[name], params)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor]
