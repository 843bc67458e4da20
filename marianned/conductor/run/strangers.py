"""Strangers: attempts that run here and that the database does not know, because it is a copy put back.

Nothing of them is taken up or ended: they are another database's, or of a time that this one does not know
of. They are looked for at each start, not only at the first over that copy, and told as long as they live;
a sheet of which one still runs is not started beside it.
"""

import logging
from collections.abc import Collection
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import files
from marianned.conductor.services import Services
from marianned.executors.base import SPEC
from marianned.protocol import Stranger

_logger = logging.getLogger(__name__)


async def tell(services: Services, ours: Collection[str]) -> None:
    """Log that the database was replaced, and each attempt that runs here and is none of `ours`."""
    restored = services.store.restored
    if restored is not None:
        _logger.warning(
            "%s; what ran since is not known to it: its attempts are left alone, and sheets may run again",
            restored,
        )
    for name, pid in sorted((await _alive(services)).items()):
        whole = name.partition("-check-")[0]
        if whole in ours or (restored is None and await _is_known(services, whole)):
            continue
        stranger = await to_thread.run_sync(_stranger, services.attempts, name, pid)
        services.strangers.append(stranger)
        _logger.warning(
            "attempt %s (pid %d) is of another database, or of a time that this one does not know of; "
            "it is left alone; to end it, type: kill %d",
            name,
            pid,
            pid,
        )


async def watch(services: Services) -> None:
    """Forget each stranger when it has ended; returns when none is left."""
    async with anyio.create_task_group() as tasks:
        for stranger in list(services.strangers):
            tasks.start_soon(_outlast, services, stranger)


async def _outlast(services: Services, stranger: Stranger) -> None:
    for executor in services.executors:
        await executor.outlast(services.attempts, stranger.attempt)
    services.strangers.remove(stranger)
    _logger.warning("attempt %s, which the database does not know, has ended", stranger.attempt)


async def _alive(services: Services) -> dict[str, int]:
    alive: dict[str, int] = {}
    for executor in services.executors:
        alive |= await executor.alive_below(services.attempts)
    return alive


async def _is_known(services: Services, name: str) -> bool:
    """Tell whether an attempt need not surprise: the database has it, or it is none of this database."""
    if not name.startswith(f"{services.store.daemon_id}-"):
        return True
    top, run, uid, attempt = _parts(name)
    if all(one.name != top for one in services.store.incarnations.values()):
        return False
    if not (run.isdecimal() and uid.isdecimal()):
        return True  # a hook, or git's
    rows = await services.store.records.attempts(int(run), int(uid))
    return any(str(row.attempt) == attempt for row in rows)


def _parts(name: str) -> tuple[str, str, str, str]:
    """Return what an attempt's id is made of: its incarnation, run, sheet (by uid) and number."""
    top, *rest = name.rsplit("-", 3)
    return (top, rest[0], rest[1], rest[2]) if len(rest) == 3 else (name, "", "", "")  # noqa: PLR2004


class _Env(msgspec.Struct):
    job: str = msgspec.field(name="MARIANNE_JOB")
    run: str = msgspec.field(name="MARIANNE_RUN")
    sheet: str | None = msgspec.field(name="MARIANNE_SHEET", default=None)


class _Spec(msgspec.Struct):
    env: _Env


def _stranger(attempts: Path, name: str, pid: int) -> Stranger:
    """Say whose it is, as far as its spec tells."""
    top, run, first, last = _parts(name.partition("-check-")[0])
    try:
        spec = files.read(attempts / top / run / f"{first}-{last}" / SPEC, files.RECORD_MOST)
        env = msgspec.json.decode(spec, type=_Spec).env
        sheet = None if env.sheet is None else int(env.sheet)
        return Stranger(attempt=name, pid=pid, job_id=env.job, run=int(env.run), sheet=sheet)
    except (OSError, ValueError):  # what is no JSON, or no number, is a ValueError
        return Stranger(attempt=name, pid=pid)
