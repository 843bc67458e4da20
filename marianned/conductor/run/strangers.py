"""Strangers: attempts that run here, or ran, and that the database does not know: it is a copy put back.

Nothing of them is taken up or ended: they are another database's, or of a time that this one does not know
of. Those that run are looked for at each start, not only at the first over that copy, and told as long as
they live; a sheet of which one still runs is not started beside it. What has run is told by the first start:
it runs again.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
from anyio import to_thread

from marianned import files
from marianned.conductor.services import Services
from marianned.decoding import Undecodable, from_json
from marianned.errors import MarianneError
from marianned.executors.base import SPEC
from marianned.formatting import listing, sheet_list
from marianned.moment import now
from marianned.protocol import Stranger
from marianned.rows import Changes, EventRow, RunRow

_NAMED_MOST = 5
"""How many runs are named in a line."""
_logger = logging.getLogger(__name__)


async def report_strangers(services: Services, ours: Collection[str]) -> None:
    """Tell that the database was replaced, and of each attempt that runs here and is none of `ours`."""
    restored = services.store.restored
    if restored is not None:
        services.restored = await _what_ran_since(services, restored)
        _logger.warning("%s", services.restored)
        event = EventRow(recorded_at=now().at, type="database.restored", text=services.restored)
        with suppress(MarianneError):  # a full disk: it is told all the same
            await services.store.commit(Changes(events=[event]))
    for name, pid in sorted((await _running_attempts(services)).items()):
        whole = name.partition("-check-")[0]
        if whole in ours or (restored is None and await _is_known(services, whole)):
            continue
        stranger = await to_thread.run_sync(_stranger_of, services.attempts, name, pid)
        services.strangers.append(stranger)
        _logger.warning(
            "attempt %s (pid %d) is of another database, or of a time that this one does not know of; "
            "it is left alone; to end it, type: kill %d",
            name,
            pid,
            pid,
        )


async def _what_ran_since(services: Services, restored: str) -> str:
    """Say what ran after the copy was made that was put back, as far as its directories tell.

    The sheets of runs that this database has are kept, for the status of their jobs to tell.
    """
    records, names = services.store.records, services.store.incarnations
    again: dict[str, set[int]] = {}
    unknown: set[str] = set()
    runs: dict[str, RunRow | None] = {}
    for run, uids in sorted((await to_thread.run_sync(_earlier_attempts, services)).items()):
        had = [one for one in await records.attempts(run) if one.incarnation in names]
        known = {f"{names[one.incarnation].name}-{one.uid}-{one.attempt}" for one in had}
        for uid, entries in uids.items():
            for one in (ran for ran in entries if ran.name not in known):
                address = f"{one.job}@{one.run}"
                if address not in runs:
                    runs[address] = await records.run(one.job, one.run)
                row = runs[address]
                if row is None or row.run_id != run:
                    unknown.add(address)
                    continue
                again.setdefault(address, set()).add(one.sheet)
                if uid < row.next_uid:
                    services.ran_since.setdefault(run, set()).add(uid)
    if (away := await to_thread.run_sync(services.incarnation_directory.why_missing)) is not None:
        restored = f"{restored}; what ran since can't be looked for: {away}"
    told = [f"{address}, {sheet_list(sheets)}" for address, sheets in sorted(again.items())]
    said = f"{restored}; what ran since is not known to it"
    said += (
        f", and runs again where its job goes on: {'; '.join(told[:_NAMED_MOST])}{_more_runs_note(len(told))}"
        if told
        else ""
    )
    return f"{said}; runs that it has not: {listing(sorted(unknown))}" if unknown else said


def _more_runs_note(count: int) -> str:
    return f"; and {count - _NAMED_MOST} runs more" if count > _NAMED_MOST else ""


class _LeftAttempt(NamedTuple):
    """An attempt's directory, by its incarnation's name, uid and number, and whose it says it is."""

    name: str
    job: str
    run: int
    sheet: int


def _earlier_attempts(services: Services) -> dict[int, dict[int, list[_LeftAttempt]]]:
    """Return what attempts of sheets of earlier starts have left, by run and uid."""
    found: dict[int, dict[int, list[_LeftAttempt]]] = {}
    mine = services.store.incarnation.name
    for spec in services.attempts.glob(f"{services.store.daemon_id}-*/*/*-*/{SPEC}"):
        directory = spec.parent
        run, (uid, _, attempt) = directory.parent.name, directory.name.partition("-")
        top = directory.parent.parent.name
        if top == mine or not (run.isdecimal() and uid.isdecimal() and attempt.isdecimal()) or attempt == "0":
            continue
        env = _read_env(spec)
        if env is not None and env.sheet is not None:
            ran = _LeftAttempt(f"{top}-{directory.name}", env.job, env.run, env.sheet)
            found.setdefault(int(run), {}).setdefault(int(uid), []).append(ran)
    return found


async def watch_strangers(services: Services) -> None:
    """Forget each stranger when it has ended; returns when none is left."""
    async with anyio.create_task_group() as tasks:
        for stranger in list(services.strangers):
            tasks.start_soon(_forget_when_ended, services, stranger)


async def _forget_when_ended(services: Services, stranger: Stranger) -> None:
    for executor in services.executors.all:
        await executor.outlast(services.attempts, stranger.attempt)
    services.strangers.remove(stranger)
    _logger.warning("attempt %s, which the database does not know, has ended", stranger.attempt)


async def _running_attempts(services: Services) -> dict[str, int]:
    alive: dict[str, int] = {}
    for executor in services.executors.all:
        alive |= await executor.alive_below(services.attempts)
    return alive


async def _is_known(services: Services, name: str) -> bool:
    """Tell whether an attempt need not surprise: the database has it, or it is none of this database."""
    if not name.startswith(f"{services.store.daemon_id}-"):
        return True
    top, run, uid, attempt = _parse_attempt_id(name)
    if all(one.name != top for one in services.store.incarnations.values()):
        return False
    if not (run.isdecimal() and uid.isdecimal()):
        return True  # a hook, or git's
    rows = await services.store.records.attempts(int(run), int(uid))
    return any(str(row.attempt) == attempt for row in rows)


def _parse_attempt_id(name: str) -> tuple[str, str, str, str]:
    """Return what an attempt's id is made of: its incarnation, run, sheet (by uid) and number."""
    top, *rest = name.rsplit("-", 3)
    return (top, rest[0], rest[1], rest[2]) if len(rest) == 3 else (name, "", "", "")  # noqa: PLR2004


class _SpecEnv(msgspec.Struct):
    job: str = msgspec.field(name="MARIANNE_JOB")
    run: int = msgspec.field(name="MARIANNE_RUN")
    sheet: int | None = msgspec.field(name="MARIANNE_SHEET", default=None)


class _SpecFile(msgspec.Struct):
    env: _SpecEnv


def _stranger_of(attempts: Path, name: str, pid: int) -> Stranger:
    """Say whose it is, as far as its spec tells."""
    top, run, first, last = _parse_attempt_id(name.partition("-check-")[0])
    env = _read_env(attempts / top / run / f"{first}-{last}" / SPEC)
    if env is None:
        return Stranger(attempt=name, pid=pid)
    return Stranger(attempt=name, pid=pid, job_id=env.job, run=env.run, sheet=env.sheet)


def _read_env(spec: Path) -> _SpecEnv | None:
    """Return whose an attempt is, as its spec tells; null where it can't be read."""
    try:
        return from_json(files.read(spec, files.RECORD_MOST), _SpecFile, strict=False).env
    except (OSError, Undecodable):
        return None
