"""The worktree of an isolated run: made before its first sheet, kept through its life, given up at its end.

What is to be made is committed before it is made, so that another daemon finds what this one had begun: there
are never two worktrees of one run. Git runs under a shim, with a time limit.
Source: docs/reference/score-format.md §18.
"""

import logging
import math
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, files
from marianned.accidents import Accident, LossCounter, runs_short, until_it_works
from marianned.decoding import from_msgpack
from marianned.errors import Unavailable
from marianned.executors.base import (
    AlreadyClaimed,
    AttemptPlace,
    CannotStart,
    Executor,
    Presence,
    Spec,
    describe_loss,
    read_spec_id,
)
from marianned.formatting import duration, typed
from marianned.moment import now
from marianned.protocol import JobStatus
from marianned.rows import Changes, RunRow, WorktreeRow, WorktreeStatus, event_of
from marianned.score.expanded import Isolation
from marianned.score.read.reader import is_below
from marianned.store.writer import Store

_UNTROUBLED = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
"""No program that a repository names is run by what the daemon does to it."""
_GIT_SECONDS = 120.0
_GRACE_SECONDS = 5.0
_TAIL_BYTES = 65_536
_LIST_BYTES = 4 * 1024**2
_AGAIN_SECONDS = 1.0
"""How long after the store has refused it is tried again."""
_NAMES_MOST = 1000
"""How many names are tried before it is given up."""
_IN_NO_BRANCH = re.compile(r"(?<=\.)\.")
"""What a job's name may have and a branch's not: a dot behind a dot. Source: git-check-ref-format(1)."""
_LISTED = "worktree "
"""What precedes a path where git lists worktrees. Source: git-worktree(1), "Porcelain Format"."""
_OUGHT_TO_BE_THERE = (WorktreeStatus.MADE, WorktreeStatus.KEPT, WorktreeStatus.GONE)
_logger = logging.getLogger(__name__)


class WorktreeUnavailable(Exception):
    """There is none, and the score wants no other directory; the message says why."""


class FileListFailed(Exception):
    """Git does not say which files there are."""


class _GitFailed(Exception):
    """Git, or what it needs, has failed; the message says why."""


class _GitKilled(Accident):
    """Git was killed before it could answer; it is tried again."""


WallBuilder = Callable[[bool, Spec, Path], Awaitable[Spec]]
"""Puts a git behind a wall, where that is wanted or the score asks for one; raises CannotStart."""


class Worktrees:
    """Makes and gives up the worktrees of runs; `tend` must run for the latter.

    `wall` puts its gits behind a wall: they run filters, which agents may have written into a repository.
    """

    def __init__(
        self, store: Store, executor: Executor, environ: Mapping[str, str], wall: WallBuilder
    ) -> None:
        self._store = store
        self._executor = executor
        self._environ = {
            **{name: environ[name] for name in ("PATH", "HOME", "LANG") if name in environ},
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        self._wall = wall
        self._locks: defaultdict[int, anyio.Lock] = defaultdict(anyio.Lock)
        self._plain: set[int] = set()  # runs known to have none: its row comes with the run, or never
        self._send, self._ended = anyio.create_memory_object_stream[tuple[int, str]](math.inf)

    async def ensure(self, run: RunRow, *, for_sheet: bool) -> str | None:
        """Return the run's worktree, made if need be; None: none is wanted, or the usual place is used.

        Raises:
            WorktreeUnavailable: it can't be made, and the score says not to go on without; or it is gone
                where it is to be used.
        """
        if run.run_id in self._plain:
            return None
        async with self._locks[run.run_id]:
            row = await self._store.records.worktree(run.run_id)
            if row is None:
                self._plain.add(run.run_id)
            if row is None or row.status == WorktreeStatus.REFUSED:
                return None
            if row.status == WorktreeStatus.MADE:
                if for_sheet and await to_thread.run_sync(
                    _is_gone, row.path
                ):  # a person decides to make it again
                    again = f"to have it made again, type: mzt resume {run.job_name}"
                    way = await to_thread.run_sync(_away, run, row) or again
                    raise WorktreeUnavailable(f"its worktree is gone: '{row.path}'; {way}")
                return row.path
            try:
                return (await self._make_until_done(run)).path
            except _GitFailed as why:
                await self._go_without(run, row, str(why))
                return None

    async def note_resume(self, run: RunRow) -> None:
        """Let a worktree that is gone be made again: the run is about to go on, which a person has decided.

        It is on record before the run goes on; the first sheet that starts makes it.
        """
        if run.run_id in self._plain:
            return
        if run.ended is not None and self._locks[run.run_id].locked():
            return  # it is being given up, which ends by itself: what is removed so is made again, too
        row = await self._store.records.worktree(run.run_id)
        if row is None or row.status not in (WorktreeStatus.MADE, WorktreeStatus.KEPT):
            return
        if not await to_thread.run_sync(_is_gone, row.path):
            return
        if await to_thread.run_sync(_away, run, row) is None:
            row = msgspec.structs.replace(row, status=WorktreeStatus.GONE)
            await self._commit(run, row, "worktree.gone", _loss(row))

    async def loss(self, run: RunRow) -> str | None:
        """Say that a run's worktree is gone, and what becomes of it; None: it is there, or there is none."""
        row = None if run.run_id in self._plain else await self._store.records.worktree(run.run_id)
        if row is None:
            self._plain.add(run.run_id)
        if row is None or row.status not in _OUGHT_TO_BE_THERE:
            return None
        if not await to_thread.run_sync(_is_gone, row.path):
            return None
        away = await to_thread.run_sync(_away, run, row)
        return _loss(row) if away is None else f"its worktree {row.path} is not there: {away}"

    async def _make_until_done(self, run: RunRow) -> WorktreeRow:
        """Make it, and again after what says nothing of the repository: a git that was killed, or not forked.

        Raises:
            _GitFailed: git, or what it needs, says no.
        """
        losses = LossCounter()

        async def once() -> WorktreeRow:
            row = await self._store.records.worktree(run.run_id)
            assert row is not None
            try:
                return await self._make(run, row)
            except _GitKilled as why:
                losses.add()
                again = f"{why.message}; it is asked again {duration(losses.pause)} after that"
                raise Accident(again, pause=losses.pause) from None
            except _GitFailed as why:
                if runs_short(str(why)):
                    raise Accident(f"its worktree can't be made yet: {why}") from None
                raise

        return await until_it_works(once)

    async def _go_without(self, run: RunRow, row: WorktreeRow, why: str) -> None:
        """Go on without it, where the score lets us and no sheet has worked in it yet."""
        again = row.status not in (WorktreeStatus.WANTED, WorktreeStatus.PLANNED)
        fallback = _isolation_of(row).fallback_on_error and not again
        text = f"no worktree: {why}{'; the job goes on in its usual directory' if fallback else ''}"
        kept = msgspec.structs.replace(row, status=WorktreeStatus.REFUSED if fallback else row.status)
        await self._commit(run, kept, "worktree.failed", text)
        if not fallback:
            raise WorktreeUnavailable(f"its worktree can't be made{' again' if again else ''}: {why}")

    async def _make(self, run: RunRow, row: WorktreeRow) -> WorktreeRow:
        """Make it, or what is missing of it; every step has happened already or is done now."""
        begun = row.status != WorktreeStatus.WANTED
        if row.status == WorktreeStatus.PLANNED:
            await _WorktreeGit(self, run, row).clear()
        if not begun:
            row = await self._plan(run, row)
            await self._store.commit(Changes(rows=[row]))
            faults.point("isolation.planned")
        git = _WorktreeGit(self, run, row)
        text = f"worktree {row.path} on branch {row.branch}"
        if row.status == WorktreeStatus.PLANNED or await to_thread.run_sync(_is_gone, row.path):
            if begun:
                await git.forget()
            branch_was_there = await git.add()
            if row.status != WorktreeStatus.PLANNED:
                new = "" if branch_was_there else f"; the branch was gone and begins again at {row.source}"
                text = f"worktree {row.path} is made again on branch {row.branch}{new}"
        faults.point("isolation.added")
        if _isolation_of(row).lock_during_execution:
            await git.lock()
        row = msgspec.structs.replace(row, status=WorktreeStatus.MADE)
        await self._commit(run, row, "worktree.made", text)
        faults.point("isolation.made")
        return row

    async def _plan(self, run: RunRow, row: WorktreeRow) -> WorktreeRow:
        """Choose repository, commit, branch and place."""
        isolation = _isolation_of(row)
        repository = ""
        for place in dict.fromkeys([*isolation.places, run.workspace]):
            try:
                found = await self.git(run, "find", place, "rev-parse", "--show-toplevel")
            except _GitFailed:
                continue
            repository = found.removesuffix("\n")
            if repository:
                break
        else:
            raise _GitFailed("no git repository at " + ", ".join(f"'{place}'" for place in isolation.places))
        wanted = f"{isolation.source_branch or 'HEAD'}^{{commit}}"
        source = await self.git(
            run, "source", repository, "rev-parse", "--verify", "--end-of-options", wanted
        )
        refs = f"refs/heads/{isolation.branch_prefix}"
        listed = await self.git(
            run, "branches", repository, "for-each-ref", "--format=%(refname:lstrip=2)", refs
        )
        base = Path(isolation.worktree_base or f"{repository}/.worktrees")
        await to_thread.run_sync(_check_inside, base, repository)
        known = await self.registered(run, repository)
        name = f"{run.job_name}-{run.run}"
        branch, path = await to_thread.run_sync(
            _free_name, base, isolation.branch_prefix, name, set(listed.splitlines()), known
        )
        return msgspec.structs.replace(
            row,
            status=WorktreeStatus.PLANNED,
            repository=repository,
            source=source.strip(),
            branch=branch,
            path=str(path),
        )

    async def _commit(self, run: RunRow, row: WorktreeRow, kind: str, text: str) -> None:
        event = event_of(run, kind, text, now().at)
        await self._store.commit(Changes(rows=[row], events=[event]))

    # --- the end of a run --------------------------------------------------------------------------------

    def note_end(self, run: RunRow) -> None:
        """Tell that a run has ended: its worktree is unlocked, and removed where the score says so."""
        self._send.send_nowait((run.run_id, run.job_name))

    async def tend(self) -> None:
        """Give up the worktrees of ended runs, those first that an earlier daemon has left."""
        for run in await self._store.records.runs_with_worktrees():
            self.note_end(run)
        async for run_id, job_name in self._ended:
            try:
                async with self._locks[run_id]:
                    await self._give_up(run_id, job_name)
            except (Unavailable, Accident):
                await anyio.sleep(_AGAIN_SECONDS)
                self._send.send_nowait((run_id, job_name))
            except (_GitFailed, OSError) as error:
                _log_that_it_stays(job_name, error)
            self._locks.pop(run_id, None)
            self._plain.discard(run_id)

    @asynccontextmanager
    async def removing(self, run_id: int, job_name: str) -> AsyncIterator[None]:
        """Give up the worktree of an ended run whose rows are about to go, where that is still to be done.

        Nothing more is done to it meanwhile, or later: what knows of it goes.
        """
        async with self._locks[run_id]:
            try:
                await self._give_up(run_id, job_name)
                await self._forget_kept(run_id, job_name)
            except (Unavailable, Accident, _GitFailed, OSError) as error:
                _log_that_it_stays(job_name, error)
            yield
        self._locks.pop(run_id, None)

    async def _give_up(self, run_id: int, job_name: str) -> None:
        row = await self._store.records.worktree(run_id)
        if row is None or row.status not in (WorktreeStatus.MADE, WorktreeStatus.GONE):
            return
        run = await self._run(run_id, job_name)
        if run is None or run.ended is None or run.failing:
            return
        git = _WorktreeGit(self, run, row)
        if await to_thread.run_sync(_is_gone, row.path):
            await self._give_up_gone(run, row, git)
            return
        await git.unlock()
        faults.point("isolation.unlocked")
        done = run.ended == JobStatus.COMPLETED
        isolation = _isolation_of(row)
        if not (isolation.cleanup_on_success if done else isolation.cleanup_on_failure):
            row = msgspec.structs.replace(row, status=WorktreeStatus.KEPT)
            await self._commit(run, row, "worktree.kept", f"worktree {row.path} is kept")
            return
        try:
            await git.remove()
        except _GitFailed as why:
            row = msgspec.structs.replace(row, status=WorktreeStatus.KEPT)
            await self._commit(run, row, "worktree.kept", f"worktree {row.path} is kept: {why}")
            return
        faults.point("isolation.removed")
        row = msgspec.structs.replace(row, status=WorktreeStatus.REMOVED)
        text = f"worktree {row.path} is removed; branch {row.branch} stays"
        await self._commit(run, row, "worktree.removed", text)

    async def _give_up_gone(self, run: RunRow, row: WorktreeRow, git: "_WorktreeGit") -> None:
        """Give up one whose directory somebody else has removed."""
        try:
            await git.forget()
        except _GitFailed as why:
            row = msgspec.structs.replace(row, status=WorktreeStatus.KEPT)
            text = f"worktree {row.path} is not there, and stays in git's list: {why}"
            await self._commit(run, row, "worktree.kept", text)
            return
        row = msgspec.structs.replace(row, status=WorktreeStatus.REMOVED)
        text = f"worktree {row.path} is gone, and is taken out of git's list; branch {row.branch} stays"
        await self._commit(run, row, "worktree.removed", text)

    async def _forget_kept(self, run_id: int, job_name: str) -> None:
        """Take a kept one out of git that somebody has removed since."""
        row = await self._store.records.worktree(run_id)
        if (
            row is None
            or row.status != WorktreeStatus.KEPT
            or not await to_thread.run_sync(_is_gone, row.path)
        ):
            return
        run = await self._run(run_id, job_name)
        if run is not None:
            await _WorktreeGit(self, run, row).forget()

    async def _run(self, run_id: int, job_name: str) -> RunRow | None:
        return next((run for run in await self._store.records.runs(job_name) if run.run_id == run_id), None)

    # --- git -----------------------------------------------------------------------------------------------

    async def registered(self, run: RunRow, repository: str) -> list[str]:
        """Return the paths of all worktrees that git knows of a repository, also of those that are away."""
        printed = await self.git(run, "list", repository, "worktree", "list", "--porcelain", most=_LIST_BYTES)
        return [line.removeprefix(_LISTED) for line in printed.splitlines() if line.startswith(_LISTED)]

    async def wait_until_settled(self, run: RunRow, name: str) -> Path:
        """Wait for what an earlier daemon has begun; return where git of this name runs."""
        tops = [Path(one.attempts) / one.name for one in self._store.incarnations.values()]
        tops.insert(0, self._store.path.with_name("attempts"))  # where 0.1.0 ran it
        directories = [top / str(run.run_id) / "git" / name for top in tops]
        for directory in directories:
            attempt = await to_thread.run_sync(read_spec_id, directory)
            if attempt is not None:
                await self._executor.wait(AttemptPlace(directory, attempt))
        return directories[-1]

    async def end_git(self, run: RunRow) -> None:
        """End what git does for a run, at once; what it was to make is made later, or never."""
        incarnation = self._store.incarnation
        top = Path(incarnation.attempts) / incarnation.name / str(run.run_id) / "git"
        for directory in await to_thread.run_sync(_directories, top):
            attempt = await to_thread.run_sync(read_spec_id, directory)
            if attempt is None:
                continue
            begun = AttemptPlace(directory, attempt)
            if await self._executor.presence(begun) is Presence.RUNNING:
                await self._executor.end(begun)
                await self._executor.wait(begun)

    async def list_files(self, run: RunRow, place: str) -> bytes:
        """Return the names of the files below a directory, each with a zero behind it: all but ignored ones.

        Raises:
            FileListFailed: git can't tell, or there are too many.
        """
        words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
        async with self._locks[run.run_id]:
            try:
                printed = await self.git(run, "files", place, *words, most=_LIST_BYTES)
            except (_GitFailed, _GitKilled) as why:
                raise FileListFailed(str(why)) from None
        listed = printed.encode(errors="surrogateescape")
        if len(listed) >= _LIST_BYTES:
            raise FileListFailed("too many")
        return listed

    async def git(self, run: RunRow, name: str, place: str, *words: str, most: int = _TAIL_BYTES) -> str:
        """Run git at a place, once nothing of an earlier daemon's runs there; return what it prints.

        Of that the last `most` bytes.

        Raises:
            _GitFailed: it can't be run, says no, or takes too long.
            _GitKilled: somebody killed it, or its supervisor.
        """
        directory = await self.wait_until_settled(run, name)
        await to_thread.run_sync(files.remove_tree_if_there, directory)
        spec = Spec(
            id=f"{self._store.incarnation.name}-{run.run_id}-git-{name}-{os.urandom(4).hex()}",
            argv=["git", *_UNTROUBLED, "-C", place, *words],
            cwd="/",
            env=self._environ,
            umask=run.umask,
            timeout_seconds=_GIT_SECONDS,
            grace_seconds=_GRACE_SECONDS,
            output_cap=None,
        )
        row = await self._store.records.worktree(run.run_id)
        try:
            spec = await self._wall(row is not None and _isolation_of(row).contain, spec, directory)
            await self._executor.start(directory, spec)
        except (CannotStart, AlreadyClaimed) as error:
            raise _GitFailed(str(error)) from None
        record = await self._executor.wait(AttemptPlace(directory, spec.id))
        printed = await to_thread.run_sync(files.tail, directory / "stdout", most)
        said = await to_thread.run_sync(files.tail, directory / "stderr", _TAIL_BYTES)
        if (why := describe_loss(record)) is not None or record is None:
            raise _GitKilled(f"git {words[0]}: {why}")
        if record.exit_code != 0:
            lines = said.decode(errors="replace").strip().splitlines()
            late = f"took longer than {_GIT_SECONDS:g}s" if record.timed_out else "has failed"
            reason = record.error or (lines[-1] if lines else late)
            raise _GitFailed(f"git {words[0]}: {reason}")
        return printed.decode(errors="surrogateescape")


def _directories(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []


def _log_that_it_stays(job_name: str, error: Exception) -> None:
    _logger.warning("the worktree of '%s' stays as it is: %s", job_name, error)


class _WorktreeGit:
    """What is done to one worktree."""

    def __init__(self, worktrees: Worktrees, run: RunRow, row: WorktreeRow) -> None:
        self._worktrees = worktrees
        self._run = run
        self._row = row

    async def _worktree(self, verb: str, *words: str) -> str:
        return await self._worktrees.git(self._run, verb, self._row.repository, "worktree", verb, *words)

    async def add(self) -> bool:
        """Make it, on its branch; tell whether that was there from before."""
        row = self._row
        ref = f"refs/heads/{row.branch}"
        there = await self._worktrees.git(self._run, "branch", row.repository, "for-each-ref", ref)
        # -f: somebody may look at the branch in a worktree of their own.
        if there:
            await self._worktree("add", "-f", "--", row.path, row.branch)
        else:
            await self._worktree("add", "-f", "-b", row.branch, "--", row.path, row.source)
        return bool(there)

    async def forget(self) -> None:
        """Take it out of git's list, as often as it is there: its directory is gone.

        `git worktree prune` would take others out as well, which may lie on a disk that is away. So may ours,
        where all of its place is gone and lies outside of the repository: then it stays in the list. Without
        force, for the directory may come back meanwhile. What is listed at its path is ours: the path was in
        no list when it was planned.

        Raises:
            _GitFailed: git says no, it may be away, or something else lies in its place.
        """
        path, repository = self._row.path, self._row.repository
        if not await to_thread.run_sync(_is_freed, path):
            again = f"move it away, then type: mzt resume {self._run.job_name}"
            raise _GitFailed(f"what lies at '{path}' is no worktree; {again}")
        away = await to_thread.run_sync(_away, self._run, self._row)
        if away is not None:
            raise _GitFailed(away)
        known = await self._worktrees.registered(self._run, repository)
        for ours in await to_thread.run_sync(_same_places, known, path):
            await self.unlock(ours)
            await self._worktree("remove", "--", ours)

    async def clear(self) -> None:
        """Remove what an earlier daemon's git may have left half made: no sheet has ever seen it."""
        path = Path(self._row.path)
        await self._worktrees.wait_until_settled(self._run, "add")
        if not await to_thread.run_sync(path.exists):
            return
        try:
            await self._worktree("remove", "-f", "-f", "--", str(path))
        except _GitFailed:
            await to_thread.run_sync(files.remove_tree_if_there, path)

    async def lock(self) -> None:
        """Lock it, with the job's name as the reason; it may be locked already."""
        try:
            await self._worktree("lock", "--reason", self._run.job_name, "--", self._row.path)
        except _GitFailed as why:
            if "already locked" not in str(why):
                raise

    async def unlock(self, listed: str | None = None) -> None:
        """Unlock it, by the path that git lists where that is given; it may be unlocked already."""
        try:
            await self._worktree("unlock", "--", listed or self._row.path)
        except _GitFailed as why:
            _logger.info("the worktree of '%s' is not unlocked: %s", self._run.job_name, why)

    async def remove(self) -> None:
        """Remove it without force, so that uncommitted changes keep it."""
        await self._worktree("remove", "--", self._row.path)


def _check_inside(base: Path, repository: str) -> None:
    """See that a place that is named below the repository lies there: sheets work beside it, and make links.

    Raises:
        _GitFailed: a link leads out.
    """
    if not is_below(str(base), repository):
        return
    there = next(place for place in (base, *base.parents) if os.path.lexists(place))
    real, root = os.path.realpath(there), os.path.realpath(repository)
    if real != root and not is_below(real, root):
        raise _GitFailed(f"a link leads out of '{repository}': '{there}'")


def _is_gone(path: str) -> bool:
    """Tell whether no worktree lies there: nothing, something else, or a directory without its `.git`.

    In such a directory git would work on what lies around it, as the branch that a person works on.
    """
    try:
        os.lstat(f"{path}/.git")
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # it can't be looked at: that says nothing
    return False


def _is_freed(path: str) -> bool:
    """Remove an empty directory that lies there; tell whether nothing does then."""
    with suppress(OSError):
        Path(path).rmdir()
    return not os.path.lexists(path)


def _same_places(paths: list[str], wanted: str) -> list[str]:
    """Return those of the paths that mean the wanted place, links resolved."""
    real = os.path.realpath(wanted)
    return [path for path in paths if os.path.realpath(path) == real]


def _away(run: RunRow, row: WorktreeRow) -> str | None:
    """Say that all of the place of a made worktree is away, as a disk may be; None: it is there.

    A place in the repository is not away without it.
    """
    base = Path(row.path).parent
    if row.status == WorktreeStatus.PLANNED or is_below(row.path, row.repository) or base.is_dir():
        return None
    make = f"mkdir -p {typed(str(base))}; mzt resume {run.job_name}"
    return f"'{base}' is not there; bring it back, or, where it is gone for good, type: {make}"


def _loss(row: WorktreeRow) -> str:
    made = f"it is made again from branch {row.branch}"
    return f"its worktree {row.path} is gone; {made}, and what was not committed there is lost"


def _isolation_of(row: WorktreeRow) -> Isolation:
    return from_msgpack(row.isolation, Isolation)


def _free_name(
    base: Path, prefix: str, name: str, branches: set[str], registered: list[str]
) -> tuple[str, Path]:
    """Return a branch and a place that are not taken, with a number appended if need be.

    A place is taken, too, where git knows a worktree there that is away: it is somebody else's.
    """
    known = {os.path.realpath(path) for path in registered}
    for number in range(_NAMES_MOST):
        tried = f"{name}-{number}" if number else name
        branch = f"{prefix}/{_IN_NO_BRANCH.sub('-', tried)}"
        path = base / tried
        if branch not in branches and not os.path.lexists(path) and os.path.realpath(path) not in known:
            return branch, path
    raise _GitFailed(f"{_NAMES_MOST} branches and directories named after it are taken")
