"""A fresh start with a clean workspace: what lies there is moved into an archive, all of it or nothing.

What will be moved is committed before the first move, and forgotten in the transaction of the run it makes
room for: whatever an earlier daemon has begun and left without a run is moved back at the next start.
Moves are renames. Workspaces are written by agents: no link there leads a move or a deletion out of it, and
only those archives are deleted that the database has of this job. Source: docs/reference/score-format.md §19.
"""

import fnmatch
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anyio import to_thread

from marianned import faults, files
from marianned.errors import Unavailable
from marianned.rows import ArchivedRow, ArchiveRow, Changes, Deleted, EventRow, RunRow, event_of
from marianned.score.expanded import ArchivePolicy
from marianned.score.read.reader import is_below
from marianned.store.writer import Store

_ITERATION = ".iteration"
_ITERATION_BYTES = 100
_NUMBER = re.compile(rb"\s*([0-9]{1,18})\s*")
_logger = logging.getLogger(__name__)


async def move_away(
    store: Store, run_id: int, workspace: Path, archive: ArchivePolicy, umask: int
) -> ArchiveRow | None:
    """Move what the score does not preserve; None: there is nothing to move.

    The row is on disk: delete it in the transaction of the new run, or call `move_back`.

    Raises:
        Unavailable: it can't be moved; what was moved is where it was.
    """
    try:
        row = await to_thread.run_sync(_plan_archive, run_id, workspace, archive)
    except OSError as error:
        raise Unavailable(f"the workspace '{workspace}' can't be archived: {error.strerror}") from None
    if row is None:
        return None
    await store.commit(Changes(rows=[row]))
    faults.point("archive.planned")
    try:
        await to_thread.run_sync(_move, row, umask)
    except OSError as error:
        await move_back(store, row)
        what = f"'{error.filename}' can't be moved to '{row.directory}'"
        raise Unavailable(
            f"{what}: {error.strerror}; nothing of the workspace has changed",
            hints=["set 'workspace_lifecycle.preserve_patterns' or 'archive_dir'"],
        ) from None
    faults.point("archive.moved")
    return row


async def move_back(store: Store, row: ArchiveRow) -> None:
    """Put everything back where it was, and forget that it was to be moved."""
    await to_thread.run_sync(_move_back, row)
    faults.point("archive.back")
    await store.commit(Changes(deleted=[deletion_of(row)]))


async def is_open(store: Store, row: ArchiveRow) -> bool:
    """Tell whether the run that the row was moved for is not there."""
    return any(other.run_id == row.run_id for other in await store.records.archives())


async def recover(store: Store) -> None:
    """Move back what an earlier daemon has moved for a run that was never there."""
    for row in await store.records.archives():
        _logger.warning("a fresh start was cut off: what was in '%s' is moved back", row.workspace)
        await move_back(store, row)


def deletion_of(row: ArchiveRow) -> Deleted:
    """Return what takes the row from the disk."""
    return Deleted(kind=ArchiveRow, run_id=row.run_id, key=0)


def archived_event(row: ArchiveRow, run: RunRow) -> EventRow:
    """Return the event of the new run that tells what was moved, and where to."""
    many = len(_names_to_move(row))
    text = f"{many} {'entry' if many == 1 else 'entries'} of the workspace moved to {row.directory}"
    return event_of(run, "workspace.archived", text, run.created_at)


def archived_row(row: ArchiveRow, run: RunRow) -> ArchivedRow:
    """Return what is kept of an archive that was made: whose it is, so that it alone may delete it."""
    return ArchivedRow(
        run_id=row.run_id, job_name=run.job_name, workspace=row.workspace, directory=row.directory
    )


async def prune(store: Store, made: ArchivedRow, most: int) -> None:
    """Delete the job's oldest archives beside the one just made, beyond `most` (0: none is too many)."""
    if not most:
        return
    beside = Path(made.directory).parent
    rows = [
        row for row in await store.records.archived(made.job_name) if Path(row.directory).parent == beside
    ]
    for row in rows[:-most]:
        try:
            await to_thread.run_sync(_delete, row)
        except FileNotFoundError:
            pass  # somebody has moved it away: it is theirs now
        except OSError as error:
            _logger.warning("the old archive '%s' can't be removed: %s", row.directory, error.strerror)
            continue
        await store.commit(Changes(deleted=[Deleted(kind=ArchivedRow, run_id=row.run_id, key=0)]))


def _plan_archive(run_id: int, workspace: Path, archive: ArchivePolicy) -> ArchiveRow | None:
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
        directory=str(_free_path(base, _archive_name(workspace, archive))),
        entries=b"\0".join(map(os.fsencode, entries)),
    )


def _names_to_move(row: ArchiveRow) -> list[str]:
    return [os.fsdecode(name) for name in row.entries.split(b"\0")]


def _matches(name: str, pattern: str) -> bool:
    """Tell whether a name is preserved; `X/**` keeps X itself, too."""
    return fnmatch.fnmatchcase(name, pattern.removesuffix("/**"))


def _archive_name(workspace: Path, archive: ArchivePolicy) -> str:
    number = _iteration(workspace / _ITERATION) if archive.naming == "iteration" else None
    return (
        f"iteration-{number}" if number is not None else time.strftime("archive-%Y%m%d-%H%M%S", time.gmtime())
    )


def _iteration(path: Path) -> int | None:
    """Read the number in a file that agents write: nothing but a regular file, and not much of it."""
    try:
        data, _ = files.head(path, _ITERATION_BYTES, below=path.parent)
    except OSError:
        return None
    found = _NUMBER.fullmatch(data)
    return int(found[1]) if found else None


def _free_path(base: Path, name: str) -> Path:
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
    base = Path(row.directory).parent
    for missing in reversed([place for place in (base, *base.parents) if not place.exists()]):
        missing.mkdir()
        missing.chmod(0o777 & ~umask)
    with _open_base(row) as above:
        name = Path(row.directory).name
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
    with _open_both(row) as (workspace, directory):
        os.chmod(f"/proc/self/fd/{directory}", 0o777 & ~umask)  # noqa: PTH101  a handle
        for name in _names_to_move(row):
            os.rename(name, name, src_dir_fd=workspace, dst_dir_fd=directory)
            faults.point("archive.entry")
        _sync(workspace)
        _sync(directory)


@contextmanager
def _open_base(row: ArchiveRow | ArchivedRow) -> Iterator[int]:
    """Open the directory of archives; where it is named below the workspace, it lies there."""
    base = Path(row.directory).parent
    handle = files.directory(base, below=row.workspace if is_below(str(base), row.workspace) else None)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _open_both(row: ArchiveRow) -> Iterator[tuple[int, int]]:
    """Open the workspace and the archive, to work in; no name there can lead elsewhere."""
    with _open_base(row) as base:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        directory = os.open(Path(row.directory).name, flags | os.O_NOFOLLOW, dir_fd=base)
        try:
            workspace = os.open(row.workspace, flags)
            try:
                yield workspace, directory
            finally:
                os.close(workspace)
        finally:
            os.close(directory)


def _move_back(row: ArchiveRow) -> None:
    """Move back what is in the archive and not in the workspace; what is in both stays in both."""
    directory = Path(row.directory)
    try:
        with _open_both(row) as handles:
            for name in reversed(_names_to_move(row)):
                _put_back(row, name, *handles)
    except FileNotFoundError:
        return  # nothing was moved yet
    except OSError as error:
        _logger.warning("what is in '%s' can't be moved back: %s", directory, error.strerror)
        return
    for made in (directory, directory.parent):
        try:
            made.rmdir()  # only when it is empty
        except OSError:
            break


def _put_back(row: ArchiveRow, name: str, workspace: int, directory: int) -> None:
    if not _is_there(name, directory):
        return
    if _is_there(name, workspace):
        _logger.warning("'%s' is there again; what it was before stays in '%s'", name, row.directory)
        return
    try:
        os.rename(name, name, src_dir_fd=directory, dst_dir_fd=workspace)
    except OSError as error:
        _logger.warning("'%s' can't be moved back to '%s': %s", name, row.workspace, error.strerror)


def _is_there(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _sync(directory: int) -> None:
    """Bring renames to the disk before the run that counts on them."""
    descriptor = os.open(f"/proc/self/fd/{directory}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(row: ArchivedRow) -> None:
    with _open_base(row) as base:
        files.remove_tree(Path(row.directory).name, dir_fd=base)
