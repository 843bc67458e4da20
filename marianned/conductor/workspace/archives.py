"""A fresh start with a clean workspace: what lies there is moved into an archive, all of it or nothing.

What will be moved is committed before the first move, and forgotten in the transaction of the run it makes
room for: whatever an earlier daemon has begun and left without a run is moved back at the next start.
Moves are renames. Source: docs/reference/score-format.md §19.
"""

import fnmatch
import logging
import os
import re
import shutil
import stat
import time
from pathlib import Path

from anyio import to_thread

from marianned import faults
from marianned.errors import NoCapacity
from marianned.rows import ArchiveRow, Changes, Deleted, EventRow, RunRow
from marianned.score.expanded import Archive
from marianned.store.writer import Store

_ITERATION = ".iteration"
_ITERATION_BYTES = 100
_NUMBER = re.compile(rb"\s*([0-9]{1,18})\s*")
_NAME = re.compile(r"(iteration-[0-9]+|archive-[0-9]{8}-[0-9]{6})(-[0-9]+)?")
_logger = logging.getLogger(__name__)


async def move_away(
    store: Store, run_id: int, workspace: Path, archive: Archive, umask: int
) -> ArchiveRow | None:
    """Move what the score does not preserve; None: there is nothing to move.

    The row is on disk: delete it in the transaction of the new run, or call `move_back`.

    Raises:
        NoCapacity: it can't be moved; what was moved is where it was.
    """
    try:
        row = await to_thread.run_sync(_planned, run_id, workspace, archive)
    except OSError as error:
        raise NoCapacity(f"the workspace '{workspace}' can't be archived: {error.strerror}") from None
    if row is None:
        return None
    await store.commit(Changes(rows=[row]))
    faults.point("archive.planned")
    try:
        await to_thread.run_sync(_move, row, umask)
    except OSError as error:
        await move_back(store, row)
        what = f"'{error.filename}' can't be moved to '{row.directory}'"
        raise NoCapacity(
            f"{what}: {error.strerror}; nothing of the workspace has changed",
            hints=["set 'workspace_lifecycle.preserve_patterns' or 'archive_dir'"],
        ) from None
    faults.point("archive.moved")
    return row


async def move_back(store: Store, row: ArchiveRow) -> None:
    """Put everything back where it was, and forget that it was to be moved."""
    await to_thread.run_sync(_move_back, row)
    faults.point("archive.back")
    await store.commit(Changes(deleted=[forgotten(row)]))


async def is_open(store: Store, row: ArchiveRow) -> bool:
    """Tell whether the run that the row was moved for is not there."""
    return any(other.run_id == row.run_id for other in await store.records.archives())


async def recover(store: Store) -> None:
    """Move back what an earlier daemon has moved for a run that was never there."""
    for row in await store.records.archives():
        _logger.warning("a fresh start was cut off: what was in '%s' is moved back", row.workspace)
        await move_back(store, row)


def forgotten(row: ArchiveRow) -> Deleted:
    """Return what takes the row from the disk."""
    return Deleted(kind=ArchiveRow, run_id=row.run_id, key=0)


def told(row: ArchiveRow, run: RunRow) -> EventRow:
    """Return the event of the new run that tells what was moved, and where to."""
    many = len(_names(row))
    return EventRow(
        recorded_at=run.created_at,
        type="workspace.archived",
        run_id=run.run_id,
        job_name=run.job_name,
        run=run.run,
        status=run.status,
        revision=run.revision,
        text=f"{many} {'entry' if many == 1 else 'entries'} of the workspace moved to {row.directory}",
    )


async def prune(row: ArchiveRow, most: int) -> None:
    """Delete the oldest archives beyond `most` (0: none is too many); never the one just made."""
    try:
        if most:
            await to_thread.run_sync(_prune, Path(row.directory), most)
    except OSError as error:
        _logger.warning("old archives beside '%s' can't be removed: %s", row.directory, error.strerror)


def _planned(run_id: int, workspace: Path, archive: Archive) -> ArchiveRow | None:
    base = Path(os.path.normpath(workspace / archive.directory))
    inside = Path(os.path.relpath(base, workspace)).parts[:1]
    kept = set(inside)
    if not inside:
        raise OSError(0, "'archive_dir' is the workspace itself")
    entries = sorted(
        entry.name
        for entry in workspace.iterdir()
        if entry.name not in kept and not any(_matches(entry.name, one) for one in archive.preserve_patterns)
    )
    if not entries:
        return None
    return ArchiveRow(
        run_id=run_id,
        workspace=str(workspace),
        directory=str(_free(base, _name(workspace, archive))),
        entries=b"\0".join(map(os.fsencode, entries)),
    )


def _names(row: ArchiveRow) -> list[str]:
    return [os.fsdecode(name) for name in row.entries.split(b"\0")]


def _matches(name: str, pattern: str) -> bool:
    """Tell whether a name is preserved; `X/**` keeps X itself, too."""
    return fnmatch.fnmatchcase(name, pattern.removesuffix("/**"))


def _name(workspace: Path, archive: Archive) -> str:
    number = _iteration(workspace / _ITERATION) if archive.naming == "iteration" else None
    return (
        f"iteration-{number}" if number is not None else time.strftime("archive-%Y%m%d-%H%M%S", time.gmtime())
    )


def _iteration(path: Path) -> int | None:
    """Read the number in a file that agents write: nothing but a regular file, and not much of it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        regular = stat.S_ISREG(os.fstat(file).st_mode)
        found = _NUMBER.fullmatch(os.read(file, _ITERATION_BYTES)) if regular else None
    finally:
        os.close(file)
    return int(found[1]) if found else None


def _free(base: Path, name: str) -> Path:
    number, tried = 0, base / name
    while os.path.lexists(tried):
        number += 1
        tried = base / f"{name}-{number}"
    return tried


def _move(row: ArchiveRow, umask: int) -> None:
    """Move the entries.

    Raises:
        OSError: some could not be moved; its `filename` says which.
    """
    directory = Path(row.directory)
    for missing in reversed([place for place in (directory, *directory.parents) if not place.exists()]):
        missing.mkdir()
        missing.chmod(0o777 & ~umask)
    for name in _names(row):
        (Path(row.workspace) / name).rename(directory / name)
        faults.point("archive.entry")
    _sync(Path(row.workspace))
    _sync(directory)


def _move_back(row: ArchiveRow) -> None:
    """Move back what is in the archive and not in the workspace; what is in both stays in both."""
    directory, workspace = Path(row.directory), Path(row.workspace)
    for name in reversed(_names(row)):
        if not os.path.lexists(directory / name):
            continue
        if os.path.lexists(workspace / name):
            _logger.warning(
                "'%s' is there again; what it was before stays in '%s'", workspace / name, directory
            )
            continue
        try:
            (directory / name).rename(workspace / name)
        except OSError as error:
            _logger.warning(
                "'%s' can't be moved back to '%s': %s", directory / name, workspace, error.strerror
            )
    for made in (directory, directory.parent):
        try:
            made.rmdir()  # only when it is empty
        except OSError:
            break


def _sync(directory: Path) -> None:
    """Bring renames to the disk before the run that counts on them."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(newest: Path, most: int) -> None:
    found = [
        (entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
        for entry in os.scandir(newest.parent)
        if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False) and entry.path != str(newest)
    ]
    for _, path in sorted(found, reverse=True)[most - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
