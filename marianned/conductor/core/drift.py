"""What somebody else changed in a job's workspace while the job stood still.

When a job comes to rest, which files there are is remembered in one small file of the state directory; who
asks later is told what differs. All of it is bounded: the entries, the time, what is read. What can't be
watched is said, and stops nothing. Files there are anybody's: names are bytes, and nothing but regular files
is opened.
Source: docs/design/control.md §6 "Drift".
"""

import hashlib
import logging
import os
import stat
import time
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import files, lifecycle
from marianned.clock import timestamp
from marianned.conductor.services import Services
from marianned.conductor.workspace.worktrees import FileListFailed
from marianned.decoding import Undecodable, from_msgpack
from marianned.paths import make_private_directory
from marianned.progress.state.run import RunState
from marianned.protocol import Drift, FileChange, FileDifference, JobStatus, WaitingFor
from marianned.rows import WorktreeStatus
from marianned.score.expanded import ExpandedScore

AT_REST = (JobStatus.PAUSED, JobStatus.FAILED)
"""Where nothing is in flight and a resume goes on: what changes there is somebody else's doing."""
_ENTRIES_MOST = 10_000
_SECONDS = 1.0
"""How long a look may take, and so how long it holds a pause up at the most."""
_DIGESTS_MOST = 200
_DIGEST_BYTES = 1024**2
"""Of so large a file the digest is kept, where a check looks at it or it is captured."""
_TOLD_MOST = 20
_RECORD_BYTES = 16 * 1024**2
_PAUSE_FILE = b".marianne-pause-"
_GIT = b".git"
_COMMAND = "command_succeeds"
_IN_PATTERNS = "*?[{"
_LATE = f"to look at its files takes longer than {_SECONDS:g}s"
_logger = logging.getLogger(__name__)


class _EntryState(msgspec.Struct, frozen=True, array_like=True):
    """One entry: which kind it is (S_IFMT), bytes, nanoseconds, and a digest where one is kept."""

    kind: int
    size: int
    modified: int
    digest: bytes | None = None


class WorkspaceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was there. `since`: the job came to rest then, UTC milliseconds; `git`: as git lists it.

    `unread` are directories that could not be read; `unwatched` says why nothing was looked at.
    """

    since: int
    root: str
    git: bool = False
    entries: dict[bytes, _EntryState] = {}
    unread: list[bytes] = []
    unwatched: str | None = None


class _WorkspaceUnwatchable(Exception):
    """It can't be looked at in bounds; the message says why."""


async def remember_workspace(services: Services, state: RunState) -> None:
    """Remember what is there: the commit that follows, which never fails for this, brings the job to rest."""
    run = state.run
    if run.started_at is None:
        return
    try:
        row = await services.store.records.worktree(run.run_id)
        made = row is not None and row.status == WorktreeStatus.MADE
        if made and run.ended is not None:
            return  # its worktree may go with it
        root = row.path if row is not None and made else run.workspace
        seen = await _take_snapshot(services, state, root)
        snapshot = msgspec.structs.replace(seen, since=run.status_since)
        await to_thread.run_sync(_write_snapshot, services.workspace_record(run.run_id), snapshot)
    except OSError as error:
        _logger.warning("the files of '%s' are not watched: %s", run.job_name, error)


def is_watched(state: RunState) -> bool:
    """Tell whether a job is at rest with something done: then its workspace is looked at."""
    at_rest = lifecycle.status(state.facts) in AT_REST and not state.failing
    return at_rest and state.run.started_at is not None


async def find_drift(services: Services, state: RunState) -> Drift | None:
    """Tell what differs now from when the job came to rest; None: it is not at rest, or nothing is known."""
    if not is_watched(state):
        return None
    lost = await services.worktrees.loss(state.run)
    if lost is not None:
        return _unwatched_drift(timestamp(state.run.status_since), lost)
    return await _compared(services, state)


async def _compared(services: Services, state: RunState) -> Drift | None:
    since = timestamp(state.run.status_since)
    alone = all(row.waiting_for != WaitingFor.JOB for row in state.hooks)
    given = (services.workspace_record(state.run.run_id), state.run.status_since, state.score, alone)
    with anyio.move_on_after(_SECONDS) as limit:
        kept, walked = await to_thread.run_sync(_read_and_walk, *given, abandon_on_cancel=True)
    if limit.cancelled_caught:
        return _unwatched_drift(since, _LATE)
    if kept is None:
        return None
    why = kept.unwatched
    if why is None and (child := _works_there(state, kept.root)):
        why = f"'{child}' works there, which it waits for"
    if why is not None:
        return _unwatched_drift(since, why)
    seen = walked or await _take_snapshot(services, state, kept.root, as_git=kept.git)
    if seen.unwatched is not None:
        return _unwatched_drift(since, seen.unwatched)
    differing = sorted(_differences(kept, seen))
    told = [FileDifference(path=_printable_name(name), how=how) for name, how in differing[:_TOLD_MOST]]
    return Drift(since_at=since, changes=told, total=len(differing), unwatched=None)


def _unwatched_drift(since: str, why: str) -> Drift:
    return Drift(since_at=since, changes=[], total=0, unwatched=why)


def _read_and_walk(
    path: Path,
    since: int,
    score: ExpandedScore,
    alone: bool,  # noqa: FBT001  a thread is called by position
) -> tuple[WorkspaceSnapshot | None, WorkspaceSnapshot | None]:
    """Return what was there when a job came to rest, null where that is not known, and what is there now.

    The latter in one go, where neither git has to be asked first nor a job that may write there: else null.
    """
    kept = _read_snapshot(path)
    if kept is None or kept.since != since:
        return None, None
    if kept.git or kept.unwatched is not None or not alone:
        return kept, None
    return kept, _bounded_snapshot(kept.root, None, score, time.monotonic() + _SECONDS)


async def forget_workspace(services: Services, run_id: int) -> None:
    """Forget what was there: the job goes on."""
    with suppress(OSError):
        await to_thread.run_sync(services.workspace_record(run_id).unlink)


def _works_there(state: RunState, root: str) -> str | None:
    """Return a chained job that the job waits for, and that may write in a directory of its own accord."""
    for row in state.hooks:
        child = state.find(row.chained) if row.waiting_for == WaitingFor.JOB and row.chained else None
        places = () if child is None else (child.run.workspace,)
        if any(f"{root}/".startswith(f"{one}/") or f"{one}/".startswith(f"{root}/") for one in places):
            return row.chained
    return None


def _printable_name(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


# --- looking -------------------------------------------------------------------------------------------


async def _take_snapshot(
    services: Services, state: RunState, root: str, *, as_git: bool | None = None
) -> WorkspaceSnapshot:
    """Look at what is there, as git lists it (`as_git`; null: where git can be asked, and lists anything)."""
    bare = WorkspaceSnapshot(since=0, root=root)
    ends = time.monotonic() + _SECONDS
    with anyio.move_on_after(_SECONDS):
        if (missing := await to_thread.run_sync(files.no_directory, root)) is not None:
            return msgspec.structs.replace(bare, unwatched=missing.why)
        try:
            listed: bytes | None = None
            if as_git is not False and await to_thread.run_sync(_in_repository, root):
                listed = await _git_listing(services, state, root)
        except OSError as error:
            return msgspec.structs.replace(bare, unwatched=f"'{root}': {error.strerror}")
        if as_git and not listed:
            return msgspec.structs.replace(bare, unwatched=f"git no longer lists the files of '{root}'")
        given = (root, listed or None, state.score, ends)
        return await to_thread.run_sync(_bounded_snapshot, *given, abandon_on_cancel=True)
    return msgspec.structs.replace(bare, unwatched=_LATE)


async def _git_listing(services: Services, state: RunState, root: str) -> bytes | None:
    try:
        return await services.worktrees.list_files(state.run, root)
    except FileListFailed:
        return None


def _in_repository(root: str) -> bool:
    place = Path(root)
    return any(os.path.lexists(above / ".git") for above in (place, *place.parents))


def _daemon_files(score: ExpandedScore, root: str) -> frozenset[bytes]:
    """Return the names of what the daemon itself writes there."""
    log = score.concert.log_path
    return frozenset(_names_below(root, [log] if log else []))


def _files_by_content(score: ExpandedScore, root: str) -> frozenset[bytes]:
    """Return the names of files that checks look at, or that are captured: their content counts."""
    targets = [check.target for sheet in score.sheets for check in sheet.checks if check.type != _COMMAND]
    captured = [text for text in score.cross_sheet.capture_files if not set(text) & set(_IN_PATTERNS)]
    absolute = [str(Path(root) / text) for text in captured]
    return frozenset(_names_below(root, dict.fromkeys([*targets, *absolute])))


def _names_below(root: str, paths: Collection[str]) -> Iterator[bytes]:
    top = f"{root.rstrip('/')}/"
    for path in paths:
        if path.startswith(top):
            yield os.fsencode(os.path.normpath(path)[len(top) :])


def _bounded_snapshot(
    root: str, listed: bytes | None, score: ExpandedScore, ends: float
) -> WorkspaceSnapshot:
    """Look at what is there, in a thread; say so where that can't be done in bounds."""
    try:
        return _snapshot_of(root, listed, _daemon_files(score, root), _files_by_content(score, root), ends)
    except _WorkspaceUnwatchable as why:
        return WorkspaceSnapshot(since=0, root=root, unwatched=str(why))
    except OSError as error:
        missing = files.no_directory(root)
        unwatched = f"'{root}': {error.strerror}" if missing is None else missing.why
        return WorkspaceSnapshot(since=0, root=root, unwatched=unwatched)


def _snapshot_of(
    root: str, listed: bytes | None, own: Collection[bytes], marked: Collection[bytes], ends: float
) -> WorkspaceSnapshot:
    """Look at what is there, in a thread.

    Raises:
        _WorkspaceUnwatchable: there is too much, or it takes too long.
        OSError: the directory itself can't be read.
    """
    unread: list[bytes] = []
    top = os.fsencode(root)
    names = _walk(top, unread, ends) if listed is None else _parse_listing(listed)
    entries: dict[bytes, _EntryState] = {}
    digests = 0
    for name in names:
        _check_time(ends)
        if name in own or name.startswith(_PAUSE_FILE):
            continue
        try:
            facts = os.lstat(_join(top, name))
        except OSError:
            continue  # gone meanwhile, or git knows of a file that is not there
        if len(entries) >= _ENTRIES_MOST:
            raise _WorkspaceUnwatchable(f"too many files to watch: more than {_ENTRIES_MOST:,}")
        digest = None
        if name in marked and facts.st_size <= _DIGEST_BYTES and digests < _DIGESTS_MOST:
            digest, digests = _digest(_join(top, name), top), digests + 1
        kind = stat.S_IFMT(facts.st_mode)
        entries[name] = _EntryState(kind, facts.st_size, facts.st_mtime_ns, digest)
    return WorkspaceSnapshot(since=0, root=root, git=listed is not None, entries=entries, unread=unread)


def _parse_listing(listed: bytes) -> list[bytes]:
    """Return the names that git has listed, but for other repositories in it, which end in a slash."""
    names = {name for name in listed.split(b"\0") if name and not name.endswith(b"/")}
    if len(names) > _ENTRIES_MOST:
        raise _WorkspaceUnwatchable(f"too many files to watch: {len(names):,}")
    return sorted(names)


def _walk(top: bytes, unread: list[bytes], ends: float) -> Iterator[bytes]:
    """Yield the name of each entry that is no directory; no link is followed, no `.git` is looked into."""
    todo = [b""]
    while todo:
        _check_time(ends)
        below = todo.pop()
        try:
            handle = files.directory(os.fsdecode(_join(top, below) if below else os.path.realpath(top)))
        except OSError:
            if not below:
                raise
            unread.append(below)
            continue
        try:
            with os.scandir(b"/proc/self/fd/%d" % handle) as found:
                for entry in found:
                    bare = entry.name
                    name = _join(below, bare)
                    if bare == _GIT:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(name)
                        if len(todo) > _ENTRIES_MOST:
                            raise _WorkspaceUnwatchable(
                                f"too many directories to watch: more than {_ENTRIES_MOST:,}"
                            )
                    else:
                        yield name
        except OSError:
            if not below:
                raise
            unread.append(below)
        finally:
            os.close(handle)


def _join(above: bytes, name: bytes) -> bytes:
    return above + b"/" + name if above and name else above or name


def _check_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise _WorkspaceUnwatchable(_LATE)


def _digest(path: bytes, top: bytes) -> bytes | None:
    """Return the digest of a regular file; None: there is none to read."""
    try:
        data = files.read(os.fsdecode(path), _DIGEST_BYTES, below=os.fsdecode(top))
    except OSError:
        return None
    return hashlib.blake2b(data, digest_size=16).digest()


# --- comparing -----------------------------------------------------------------------------------------


def _differences(old: WorkspaceSnapshot, new: WorkspaceSnapshot) -> Iterator[tuple[bytes, FileChange]]:
    """Yield what differs; what lies in a directory that one of the two could not read is not known."""
    for name, seen in new.entries.items():
        before = old.entries.get(name)
        if before is None:
            if not _is_in(name, old.unread):
                yield name, FileChange.ADDED
        elif _differs(before, seen):
            yield name, FileChange.CHANGED
    for name in old.entries.keys() - new.entries.keys():
        if not _is_in(name, new.unread):
            yield name, FileChange.REMOVED


def _differs(old: _EntryState, new: _EntryState) -> bool:
    if (old.kind, old.size) != (new.kind, new.size):
        return True
    if old.digest is not None and new.digest is not None:
        return old.digest != new.digest
    return old.modified != new.modified


def _is_in(name: bytes, directories: Collection[bytes]) -> bool:
    return any(name.startswith(directory + b"/") for directory in directories)


# --- keeping -------------------------------------------------------------------------------------------


def _write_snapshot(path: Path, snapshot: WorkspaceSnapshot) -> None:
    make_private_directory(path.parent)
    files.write_private(path, zlib.compress(msgspec.msgpack.encode(snapshot), 1))


def _read_snapshot(path: Path) -> WorkspaceSnapshot | None:
    try:
        unpacked = zlib.decompressobj()
        data = unpacked.decompress(files.read(path, _RECORD_BYTES), _RECORD_BYTES)
        return from_msgpack(data, WorkspaceSnapshot)
    except (OSError, zlib.error, Undecodable):
        return None
