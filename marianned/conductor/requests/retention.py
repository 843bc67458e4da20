"""What is kept and what is forgotten: removed runs, retention, copies of the database.

Source: docs/design/control.md §9, docs/design/cli.md §2.1 `remove`.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, formatting
from marianned.clock import Instant
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.idempotency import DAY, rows_of
from marianned.conductor.core.messages import parse_job_id
from marianned.decoding import from_json
from marianned.errors import BadRequest, Unavailable, WrongStatus
from marianned.moment import now
from marianned.progress.views.messages import refusal_of_removal
from marianned.protocol import BackedUp, Caller, JobStatus, Remove, Removed, WriteBackup
from marianned.rows import Changes, Deleted, EventRow, RequestRow, Row, RunRow
from marianned.store.records import Records

_DAY_SECONDS = 86_400.0
_HOUR = 3_600_000
_MONTH = 30 * DAY
_NOTE = "clock"
_REMOVING = "removing"
"""The note of the run that was removed last, and where its files lay: a kill may have left them there."""
_logger = logging.getLogger(__name__)


class Retention:
    """Forgets ended runs with their history and output, and copies the database."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._services = conductor.services
        self._removing = anyio.Lock()

    async def finish(self) -> None:
        """Delete the files of the run that a daemon before was removing when it ended."""
        note = await self._services.store.records.note(_REMOVING)
        if note is not None:
            await self._delete_files(from_json(note, _RunRemoval))

    async def remove(self, caller: Caller, params: Remove) -> Removed:
        """Forget an ended run, or all that ended long enough ago; workspaces stay."""
        if params.plan:
            return await self._plan_removal(params)

        async def act(request: RequestRow) -> Removed:
            rows = await self._runs_to_remove(params)
            if rows and (away := await self._why_files_missing()) is not None:
                raise Unavailable(f"its files can't be deleted: {away}", hints=["mzt doctor"])
            reply = Removed(
                message=f"{formatting.plural(len(rows), 'run')} removed",
                removed=[f"{row.job_name}@{row.run}" for row in rows],
                event=0,
            )
            for row in rows[:-1]:
                await self._forget(row, caller, params.reason)
            answer = rows_of(request, reply)
            if rows:
                event = await self._forget(rows[-1], caller, params.reason, answer)
            elif answer:
                event = (await self._services.store.commit(Changes(rows=answer))).event
            else:
                event = self._services.store.last_event
            return msgspec.structs.replace(reply, event=event)

        return await self._conductor.keys.run(caller, params, Removed, act)

    async def _plan_removal(self, params: Remove) -> Removed:
        rows = await self._runs_to_remove(params)
        return Removed(
            message=f"{formatting.plural(len(rows), 'run')} would be removed",
            removed=[],
            would_remove=[f"{row.job_name}@{row.run}" for row in rows],
            event=self._services.store.last_event,
        )

    async def _runs_to_remove(self, params: Remove) -> list[RunRow]:
        if params.job_id is None and params.older_than is None:
            raise BadRequest("name a job, or with 'older_than' how long ago a run must have ended")
        records = self._services.store.records
        if params.job_id is None:
            return await records.old_runs(_milliseconds_ago(params.older_than or 0))
        row = await records.run(*parse_job_id(params.job_id))
        if row is None:
            raise await self._conductor.no_such_job(params.job_id)
        if row.ended is None or row.failing:
            raise refusal_of_removal(params.job_id, row.status, failing=row.failing)
        old = params.older_than is None or (row.ended_at or 0) <= _milliseconds_ago(params.older_than)
        return [row] if old else []

    async def _forget(
        self, row: RunRow, caller: Caller | None, reason: str | None, also: Sequence[Row] = ()
    ) -> int:
        """Delete a run in one transaction, and its files after the commit; return its event's number.

        `also` is put on disk in that transaction: the answer to the request that it is the last effect of.
        """
        event = EventRow(
            recorded_at=now().at,
            type="job.removed",
            job_name=row.job_name,
            run=row.run,
            caller=caller,
            reason=reason,
            text=f"{row.job_name}@{row.run} removed",
        )
        gone = Deleted(kind=RunRow, run_id=row.run_id, key=0)
        places = self._services.directories_of(row.run_id)
        removal = _RunRemoval(run_id=row.run_id, directories=[str(place) for place in places])
        # Who gives a worktree up tells so in the run's journal. One note, so one removal at a time.
        async with self._services.worktrees.removing(row.run_id, row.job_name), self._removing:
            notes = {_REMOVING: msgspec.json.encode(removal).decode()}
            changes = Changes(rows=list(also), deleted=[gone], events=[event], notes=notes)
            number = await self._conductor.forget(row, changes)
            faults.point("remove.committed")
            await self._delete_files(removal)
        return number

    async def _delete_files(self, removal: "_RunRemoval") -> None:
        places = [Path(place) for place in removal.directories]
        await to_thread.run_sync(self._services.delete_files, removal.run_id, places)

    async def retain(self) -> None:
        """Once a day forget what is older and more than the settings keep; never a failed or held run."""
        while True:
            try:
                await self._retain_once()
            except Unavailable as error:
                _logger.warning("nothing old could be removed: %s", error)
            await anyio.sleep(_DAY_SECONDS)

    async def _retain_once(self) -> None:
        settings = self._services.settings
        records = self._services.store.records
        if not await self._trusts_clock() or await self._why_files_missing() is not None:
            return
        for run in await records.old_runs(now().at - settings.keep_days * DAY, settings.keep_runs):
            if run.ended != JobStatus.FAILED and not await _has_left(records, run):
                with suppress(WrongStatus):  # let go on in this very moment
                    await self._forget(run, None, "retention")

    async def _why_files_missing(self) -> str | None:
        """Say why what attempts have left can't be found: deleted now, it would stay for ever."""
        return await to_thread.run_sync(self._services.incarnation_directory.why_missing)

    async def _trusts_clock(self) -> bool:
        """Look at the clock, keep what was seen, and tell whether ages can be told by it."""
        kept = await self._services.store.records.note(_NOTE)
        look = observe_clocks(None if kept is None else from_json(kept, ClockObservation), now())
        await self._services.store.commit(Changes(notes={_NOTE: msgspec.json.encode(look).decode()}))
        if look.doubted is not None:
            _logger.warning("the clock has jumped: nothing is forgotten before it has gone right for a day")
        return look.doubted is None

    async def backup(self, _caller: Caller, params: WriteBackup) -> BackedUp:
        """Write an online copy of the database; the file may not be there yet."""
        path = Path(params.file)
        if not path.is_absolute():
            raise BadRequest(f"'{params.file}' is not an absolute path")
        if not await to_thread.run_sync(path.parent.is_dir):
            raise BadRequest(f"there is no directory '{path.parent}' to write the backup into")
        try:
            size = await self._services.store.records.copy(path)
        except FileExistsError:
            raise BadRequest(f"'{path}' is there already; a backup never overwrites") from None
        except OSError as error:
            raise Unavailable(f"'{path}' can't be written: {error.strerror}") from None
        return BackedUp(
            message=f"{path}: {size} bytes", file=str(path), bytes=size, event=self._services.store.last_event
        )


async def _has_left(records: Records, run: RunRow) -> bool:
    return run.ended == JobStatus.COMPLETED and await records.has_left(run.run_id)


class _RunRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is removed, and all places where its files can be.

    The places are kept, for with a run the database forgets the incarnations that no other run is of; the
    number of a run is never given again, so that they stay its own.
    """

    run_id: int
    directories: list[str]


class ClockObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What retention saw of the clocks: when it looked last, and since when it doubts the time, if it does.

    A wrong clock makes every run old, for as long as it is wrong; what is forgotten for it is gone for good.
    """

    seen: Instant
    doubted: Instant | None = None


def observe_clocks(before: ClockObservation | None, moment: Instant) -> ClockObservation:
    """Compare the clocks with what was seen before.

    On the same boot time and boot clock must have gone alike, within an hour; after a reboot only time can be
    asked, and must not have gone backwards nor more than a month. A doubt ends after a day without a jump.
    """
    if before is None:
        return ClockObservation(seen=moment)
    gone = moment.at - before.seen.at
    if moment.boot == before.seen.boot:
        jumped = abs(gone - (moment.boottime - before.seen.boottime)) > _HOUR
    else:
        jumped = not -_HOUR <= gone <= _MONTH
    doubted = moment if jumped else before.doubted
    if doubted is not None and not jumped and doubted.until(moment) >= DAY - _HOUR:
        doubted = None
    return ClockObservation(seen=moment, doubted=doubted)


def _milliseconds_ago(seconds: float) -> int:
    """Return the moment so many seconds ago (UTC, milliseconds)."""
    return int(now().at - seconds * 1000)
