"""Attempts on a cluster: submitted as jobs of its engine, found again by name, judged by their own files.

The files of an attempt lie on a file system that all nodes share, and outrank whatever the engine says: the
claim decides whether it has begun, exit.json how it ended. The engine's list only tells what waits, what
runs, and what is gone. One look at it serves all attempts, and nothing of a cluster's is a process, a thread
or a timer for each of them: thousands that wait cost the look.

    not listed, no claim     for some seconds: it never began, and is submitted again, once; the claim lets
                             only one of them begin
    not listed, a claim      it may run all the same (the controller forgets; a node's daemon dies): after
                             `lost_after` its runner is told to end by a file (order.py); lost when nothing
                             has come of that either, in the time that it has from then on
    the engine is away       nothing is known, so nothing is concluded, and what was missing counts anew

Source: docs/design/executors.md "Slurm".
"""

import logging
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
from anyio.to_thread import run_sync

from marianned import accidents, faults, files
from marianned.executors import attempt_files, limit, order, shim
from marianned.executors.base import (
    AttemptPlace,
    AttemptWithdrawn,
    ExitRecord,
    Fate,
    FateKind,
    Presence,
    Spec,
    StartRefused,
    SupervisorIdentity,
    WaitReason,
    Whereabouts,
    may_be_foreign,
)
from marianned.executors.children import HURRY
from marianned.executors.clusters import cluster_files
from marianned.executors.clusters.cluster_files import AttemptFilesState, SubmissionRecord
from marianned.executors.clusters.engine import ClusterJob, Engine, EngineUnavailable, JobKey
from marianned.executors.clusters.entries import AttemptEntry
from marianned.executors.clusters.fates import FateLookup, fate_of_taken_out
from marianned.executors.clusters.strays import find_unstartable, jobs_of_attempt
from marianned.executors.clusters.submitting import PAUSES, SHIPPED, Submitter, with_granted_variables
from marianned.executors.clusters.unwanted import UnwantedJobs
from marianned.executors.clusters.waiting import engine_trouble, wait_reason

_TICK_SECONDS = 0.5
"""How often the records of what runs are looked for."""
_RECORDS_A_SECOND = 1000
"""How many of them at most: each is a question to a network file system."""
_LOOK_SECONDS, _USUAL_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 1.0, 5.0, 15.0
"""Between two looks at the list: while something waits or is missing, else, and where a look takes long."""
_LOOK_SHARE = 10
"""A look comes at the earliest after so many times what the last one took, as far as that is not too long."""
_FORGOTTEN_MOST = 1
"""How often what the engine has forgotten is submitted again as the same attempt."""
_INSIST_SECONDS = 30.0
"""How long after its grace an attempt that was told to end is left before the engine ends its whole job."""
_UNCLAIMED_SECONDS = 5.0
"""How long what has not begun may be missing in the list before it is submitted again, and how long a job may
seem to run behind the end of its attempt."""
_NOT_YET = frozenset({FateKind.RUNS, FateKind.ENDING})
"""What says nothing yet of how a job has ended."""

_logger = logging.getLogger(__name__)


class ClusterSettings(NamedTuple):
    """What a site sets: the nodes' interpreter; arguments of each submission; patience in seconds.

    It has no defaults of its own: those are the settings'.
    """

    python: str
    arguments: tuple[str, ...]
    lost_after: float


class ClusterExecutor:
    """Runs attempts as jobs of an engine; `serve` has to run meanwhile."""

    def __init__(
        self,
        engine: Engine,
        shared: Path,
        tuning: ClusterSettings,
        missing: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Build it; `shared` is the directory of all attempts, and `missing` says whether that is away."""
        self._engine = engine
        self._missing = missing
        self._tuning = tuning
        self._entries: dict[str, AttemptEntry] = {}
        self._unwanted = UnwantedJobs()
        self._away: EngineUnavailable | None = None
        self._due = self._earliest = self._stale_at = float("-inf")
        self._shared = shared
        self._queue_checked = True
        self._known_strays = set[JobKey]()
        self._never_submitted = set[str]()
        self._fates = FateLookup(engine)
        self._ended_oddly = dict[str, SubmissionRecord]()
        self._asking, self._answered_at = anyio.Lock(), float("-inf")
        self._answered: Mapping[JobKey, ClusterJob] | EngineUnavailable = {}
        self._nudge, self._some, self._entered = anyio.Event(), anyio.Event(), anyio.Event()
        callbacks = self._look_soon, self._cancel_submission, self._note_submitted
        self._submitter = Submitter(engine, shared, tuning.python, tuning.arguments, *callbacks)

    # --- what the conductor asks -------------------------------------------------------------------------

    async def start(
        self, directory: Path, spec: Spec, write: Callable[[], None] | None = None, root: Path | None = None
    ) -> None:
        """Write the spec and submit it (see Executor); it may not have begun then, but needs us no more.

        As long as the engine takes no more, or does not answer, it waits. What is to run `beside` an attempt
        is named to the job of that; should the job be gone, it gets one of its own.
        """
        spec = with_granted_variables(spec, self._engine.grants)
        if write is not None:
            await run_sync(write)
        await run_sync(cluster_files.write_spec, directory, spec, root)
        entry = self._entry(AttemptPlace(directory, spec.id, root))
        entry.helper_wait = accidents.current_wait.get()
        entry.know(spec)
        joined = None
        if spec.beside is not None:
            joined = await run_sync(cluster_files.join_job, entry.place, Path(spec.beside))
        if joined is not None:
            entry.submission = joined
            self._note_submitted(entry)
        else:
            self._submit(entry)
        try:
            await entry.accepted.wait()
        except BaseException:
            self._remove_from_queue(entry)
            self._entries.pop(spec.id, None)
            if not entry.submission.keys:
                self._never_submitted.add(spec.id)
            raise
        if entry.refused is not None:
            self._entries.pop(spec.id, None)
            raise StartRefused(entry.refused)

    async def presence(self, place: AttemptPlace) -> Presence:
        """Tell what its files say (see Executor); what may wait or run is `running`, and `wait` finds out.

        Where they say nothing of it, they may have been deleted, and the engine's list is asked by its name.
        """
        try:
            submission = await run_sync(cluster_files.read_submission, place)
        except OSError:
            return Presence.RUNNING
        found = await run_sync(cluster_files.inspect, place)
        if found.record is not None:
            return Presence.ENDED
        if found.away or found.claimed or submission:
            return Presence.RUNNING
        try:
            keys, _ = await run_sync(jobs_of_attempt, place, await self._recent_list())
        except (OSError, EngineUnavailable):
            return Presence.RUNNING
        return Presence.RUNNING if keys else Presence.NEVER_STARTED

    async def _recent_list(self) -> Mapping[JobKey, ClusterJob]:
        """Return a list that is some seconds old at most: all that are taken up at a start share one.

        What it leaves out was submitted since, by us, and its files say so.

        Raises:
            EngineUnavailable: the engine did not answer.
        """
        async with self._asking:
            if anyio.current_time() > self._answered_at + _USUAL_LOOK_SECONDS:
                try:
                    self._answered = await self._engine.list_jobs()
                except EngineUnavailable as why:
                    self._answered = why
                self._answered_at = anyio.current_time()
        if isinstance(self._answered, EngineUnavailable):
            raise self._answered
        return self._answered

    async def read_identity(self, place: AttemptPlace) -> SupervisorIdentity | None:
        """Read identity.json: pids, start times and boot id are those of its node."""
        return await run_sync(attempt_files.read, place.directory / shim.IDENTITY, SupervisorIdentity)

    async def wait(self, place: AttemptPlace, tell: Callable[[str], None] | None = None) -> ExitRecord | None:
        """Wait until its files or the engine say that it is over (see Executor)."""
        del tell  # what keeps it from being known is the same for all of them: see `waits`
        entry = self._entry(place)
        if not (entry.submission.keys or entry.submitting):
            await self._take_up(entry)
        self._some.set()
        await entry.over.wait()
        self._entries.pop(place.id, None)
        if entry.withdrawn:
            why = f"it was taken out of {self._engine.name}'s queue before it began"
            raise AttemptWithdrawn(why if entry.fate is None else entry.fate.text, entry.fate)
        if may_be_foreign(entry.record) and not entry.ended_by_us:
            self._ended_oddly[place.id] = entry.submission
        return entry.record

    async def fate(self, place: AttemptPlace) -> Fate | None:
        """Ask the engine what has become of its job, and again while that is just ending (see Executor).

        Nothing is known where the engine does not answer, or of what this daemon itself has ended.
        """
        submission = self._ended_oddly.pop(place.id, None)
        if submission is None or not submission.keys:
            return None
        began = anyio.current_time()
        with suppress(EngineUnavailable):
            while True:
                told = await self._fates.look_up(submission.keys)
                fate = next((told[key] for key in reversed(submission.keys) if key in told), None)
                if fate is None or fate.kind not in _NOT_YET:
                    return fate
                ending = self._tuning.lost_after if fate.kind is FateKind.ENDING else 0.0
                if anyio.current_time() > began + ending + _UNCLAIMED_SECONDS:
                    return None
                await anyio.sleep(_LOOK_SECONDS)
        return None

    async def whereabouts(self, place: AttemptPlace, known: Whereabouts | None = None) -> Whereabouts | None:
        """Wait until it runs elsewhere than `known`, as far as the engine's list says (see Executor).

        Its own record outranks the list: it can have been submitted twice. Where it has none yet, its job may
        still be put back into the queue, and begin on another node.
        """
        entry = self._entry(place)
        while True:
            news, job = entry.news, entry.job
            if entry.over.is_set() or entry.placed or (job is not None and not job.waits):
                running = await self.read_identity(place)
                where = None if running is None else running.where
                entry.placed = where is not None
                if where is None and job is not None and not job.waits:
                    where = Whereabouts(job.node, job.id)
                if where is not None and where != known:
                    return where
            if entry.over.is_set():
                return None
            await news.wait()

    def queue_wait(self, attempt: str) -> WaitReason | None:
        """Say what an attempt waits for in the engine's queue, or that the engine does not answer."""
        entry = self._entries.get(attempt)
        return None if entry is None else wait_reason(entry, self._engine, self._away, self._tuning.arguments)

    async def trouble(self) -> str | None:
        """Look for the directory of attempts, then ask the engine for its list (see Executor)."""
        return await run_sync(self._missing) or await engine_trouble(self._engine)

    async def withdraw(self, place: AttemptPlace) -> None:
        """Take its claim if its node has not, and its job out of the queue (see Executor).

        Where the claim can't be had, because its files are away, that is done as soon as they are back. Where
        they were deleted it would fence nothing that runs: what the next list says of its job counts.
        """
        found = await run_sync(cluster_files.inspect, place)
        if found.claimed or found.record is not None:
            if (known := self._entries.get(place.id)) is not None:
                known.recalled = None
            return
        entry = self._entry(place)
        entry.recalled = entry.recalled or anyio.current_time()
        if found.gone:
            self._withdraw_by_list(entry, entry.recalled)
        elif not found.away:
            with suppress(OSError):
                taken = await run_sync(attempt_files.claim, place)
                entry.recalled = None
                if taken:
                    self._settle_withdrawn(entry)

    def _withdraw_by_list(self, entry: AttemptEntry, recalled: float) -> None:
        """Take back what waits without its files: it can't begin any more. What runs is left alone."""
        if entry.job is None or entry.listed_at < recalled:
            self._due = min(self._due, max(recalled, self._earliest))
            self._some.set()
            return
        entry.recalled = None
        if entry.job.waits and not entry.unsure:
            self._settle_withdrawn(entry)

    async def end(self, place: AttemptPlace, *, drop: bool = False) -> None:
        """Withdraw what has not begun; tell the rest by a file and by the engine, whichever is first.

        The file says nothing of `drop`: where only it arrives, what is asked to stop has its time.
        """
        found = await run_sync(cluster_files.inspect, place)
        if found.record is not None:
            await run_sync(cluster_files.order_end, place)  # its job may stay
            return
        if not (found.claimed or found.away):
            await self.withdraw(place)
        entry = self._entry(place)
        if entry.over.is_set():
            return
        entry.ending = entry.ending or anyio.current_time()
        entry.hurried = entry.hurried or drop
        self._nudge.set()
        await self._order(entry)

    async def _order(self, entry: AttemptEntry) -> None:
        if await run_sync(cluster_files.order_end, entry.place):
            entry.ordered = anyio.current_time()

    async def claim(self, place: AttemptPlace) -> bool:
        """Take the claim ourselves (see Executor); a job that waits for it is taken out of the queue.

        While the directory of all attempts is not there, that is so of what this daemon has never submitted.
        """
        never = place.id in self._never_submitted
        self._never_submitted.discard(place.id)
        try:
            if not await run_sync(attempt_files.claim, place):
                return False
        except OSError:
            return never
        if (submission := await run_sync(cluster_files.read_submission, place)) is not None:
            self._cancel_submission(submission)
        return True

    async def raise_limit(self, place: AttemptPlace, seconds: float, *, silence: bool = False) -> None:
        """Write the file that its runner reads when its limit is over; the engine's backstop stays."""
        name = limit.SILENCE if silence else limit.NAME
        await run_sync(attempt_files.raise_limit, place, seconds, name)

    async def leftovers(self, prefix: str) -> set[str]:
        """Return none: what runs on nodes is known by its database only."""
        del prefix
        return set()

    async def alive_below(self, directory: Path) -> dict[str, int]:
        """Return none (see `leftovers`)."""
        del directory
        return {}

    async def outlast(self, directory: Path, attempt: str) -> None:
        """Return at once: `alive_below` names none."""

    # --- entries -----------------------------------------------------------------------------------------

    def _entry(self, place: AttemptPlace) -> AttemptEntry:
        entry = self._entries.setdefault(place.id, AttemptEntry(place))
        self._entered.set()
        if place.root is not None:  # who starts it does not say what may be away
            entry.place = place
        return entry

    async def _take_up(self, entry: AttemptEntry) -> None:
        """Read what an earlier daemon has done with it; the next look says what has become of it."""
        await self._read_files(entry)
        found = await run_sync(cluster_files.inspect, entry.place)
        entry.away = found.away
        await self._notice_beginning(entry, found)
        if not entry.submitting:
            self._note_submitted(entry)

    async def _read_files(self, entry: AttemptEntry) -> None:
        """Read under which names it was submitted, and what it is, where its files say so."""
        submission = await run_sync(cluster_files.read_submission, entry.place)
        spec = await run_sync(attempt_files.read, entry.place.directory / shim.SPEC, Spec)
        if entry.submitting or entry.submission.keys:
            return
        if spec is not None and spec.id == entry.place.id:
            entry.know(spec)
        entry.submission = submission or entry.submission

    async def _find_again(self, one: AttemptEntry, listed: Mapping[JobKey, ClusterJob]) -> None:
        """Find out under which names it was submitted, where its files are back, or say nothing of it."""
        try:
            await self._read_files(one)
            if one.submission.keys:
                return
            keys, sure = await run_sync(jobs_of_attempt, one.place, listed)
        except OSError as why:
            _logger.warning("%s can't be looked after: %s", one.place.id, why)
            return
        if keys:
            one.submission = msgspec.structs.replace(one.submission, keys=keys)
            one.unsure = not sure

    async def _notice_beginning(self, one: AttemptEntry, found: AttemptFilesState) -> None:
        """Note that it has begun as soon as its files say so: the engine may not answer for a while."""
        if found.claimed and not found.given_up and not one.placed:
            running = await self.read_identity(one.place)
            if running is not None and running.where is not None:
                one.placed = True
                one.tell()

    def _note_submitted(self, entry: AttemptEntry) -> None:
        """Note that it was submitted before."""
        entry.accepted_at = anyio.current_time()
        entry.accepted.set()
        self._due = min(self._due, max(entry.accepted_at, self._earliest))
        self._some.set()

    def _settle_withdrawn(self, entry: AttemptEntry) -> None:
        self._remove_from_queue(entry)
        entry.settle(None, withdrawn=True)

    def _remove_from_queue(self, entry: AttemptEntry) -> None:
        """Submit it no more; take out of the engine's queue what was."""
        self._submitter.remove(entry)
        self._cancel_submission(entry.submission)

    def _submit(self, entry: AttemptEntry) -> None:
        self._submitter.put(entry)
        self._some.set()

    def _look_soon(self) -> None:
        self._due = min(self._due, max(anyio.current_time() + _LOOK_SECONDS, self._earliest))

    def _cancel_submission(self, submission: SubmissionRecord) -> None:
        self._unwanted.add(submission.keys)
        self._due = float("-inf")
        self._some.set()
        self._nudge.set()

    # --- all the while -------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Submit what is to start, and watch what has; at its end empty the queue of the unwanted."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._repeat_forever, self._submitter.serve)
                tasks.start_soon(self._repeat_forever, self._watch_all)
                tasks.start_soon(self._repeat_forever, self._collect_all)
        finally:
            await self._unwanted.finish(self._engine)

    async def _repeat_forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it without an end: a fault of ours must not take the daemon, and all other jobs, along."""
        while True:
            try:
                await work()
            except Exception:
                _logger.exception(
                    "attempts on %s can't be looked after; it is tried again", self._engine.name
                )
            await anyio.sleep(PAUSES[0])

    # --- watching ----------------------------------------------------------------------------------------

    async def _collect_all(self) -> None:
        """Look for records often: an engine that does not answer delays no end that lies in its file."""
        while True:
            while not self._entries:
                self._entered = anyio.Event()
                await self._entered.wait()
            begun = [one for one in self._watched() if self._may_have_begun(one)]
            try:
                await self._collect(begun)
            except OSError as why:
                _logger.warning("attempts on %s can't be looked at: %s", self._engine.name, why)
            await anyio.sleep(max(_TICK_SECONDS, len(begun) / _RECORDS_A_SECOND))

    def _may_have_begun(self, one: AttemptEntry) -> bool:
        """Tell whether it runs as far as is known, or may by now: what the list said of it is old."""
        return one.job is None or not one.job.waits or anyio.current_time() > self._stale_at

    async def _watch_all(self) -> None:
        """Look at the engine's list now and then, and do what that asks for; sleep while nothing does."""
        known = False
        while True:
            known = known or await run_sync(self._check_for_leftovers)
            if known and self._queue_checked and not self._entries and not self._unwanted:
                await self._some.wait()
            self._some, self._nudge = anyio.Event(), anyio.Event()
            try:
                if anyio.current_time() >= self._due:
                    await self._look_at_the_list()
                await self._send_orders()
            except (OSError, EngineUnavailable) as why:
                if isinstance(why, EngineUnavailable):
                    self._note_unavailable(why)
                else:
                    _logger.warning("attempts on %s can't be looked at: %s", self._engine.name, why)
                self._due = min(self._due, anyio.current_time() + _USUAL_LOOK_SECONDS)
            with anyio.move_on_after(_TICK_SECONDS):
                await self._nudge.wait()

    def _check_for_leftovers(self) -> bool:
        """Find out whether an earlier daemon may have left something in the queue; blocks.

        False: that can't be known, for where it would have left its programs is away.
        """
        if self._missing() is not None:
            return False
        self._queue_checked = not any(name.startswith(SHIPPED) for name in files.names(self._shared))
        return True

    def _watched(self) -> list[AttemptEntry]:
        return [one for one in self._entries.values() if one.accepted.is_set() and not one.over.is_set()]

    async def _look_at_the_list(self) -> None:
        """Have the engine list all, and draw the conclusions; say when that is due again."""
        began = anyio.current_time()
        self._due = float("inf")
        watched = self._watched()
        try:
            asked = bool(watched or self._unwanted) or not self._queue_checked
            listed = await self._engine.list_jobs() if asked else {}
        except EngineUnavailable as why:
            self._note_unavailable(why)
            for one in watched:
                one.missing = None
            self._due = min(self._due, anyio.current_time() + _USUAL_LOOK_SECONDS)
            return
        self._away = None
        took = anyio.current_time() - began
        found = await self._collect(watched)
        self._fates.expect(key for one in watched if one.missing is not None for key in one.submission.own)
        for one in watched:
            away = found[one.place.id].away and one.ending is None
            if not (one.submission.keys or one.submitting or away):
                await self._find_again(one, listed)
            job = one.submission.job(listed)
            if job is not None:
                moved = one.job is None or (job.node, job.id) != (one.job.node, one.job.id) or one.job.waits
                one.job, one.missing, one.listed_at = job, None, began
                if not job.waits and (moved or not one.placed):
                    one.tell()
            elif not one.over.is_set() and one.accepted_at < began:
                try:
                    await self._judge_missing(one, found[one.place.id], began, listed)
                except OSError as why:  # of this one: the others are looked after all the same
                    one.missing = None
                    _logger.warning("%s can't be looked after: %s", one.place.id, why)
        await self._find_strays(listed)
        await self._unwanted.clear(self._engine, listed, began)
        unsettled = any(one.job is None or one.job.waits or one.missing is not None for one in watched)
        usual = _LOOK_SECONDS if unsettled else _USUAL_LOOK_SECONDS
        pause = min(_LONGEST_LOOK_SECONDS, max(usual, _LOOK_SHARE * took))
        self._earliest = began + took + min(_LONGEST_LOOK_SECONDS, _LOOK_SHARE * took)
        self._due = min(self._due, began + took + pause)
        self._stale_at = began + took + pause + _USUAL_LOOK_SECONDS

    async def _find_strays(self, listed: Mapping[JobKey, ClusterJob]) -> None:
        """Find what waits in the queue though its attempt is over: an earlier daemon was killed meanwhile."""
        known = {key for one in self._entries.values() for key in one.submission.keys}
        waits = {key for key, job in listed.items() if job.waits}
        asked = waits - known - self._known_strays
        found = await run_sync(find_unstartable, self._shared, asked) if asked else {}
        self._unwanted.add(key for key, is_over in found.items() if is_over)
        self._known_strays = (self._known_strays & waits) | found.keys()
        self._queue_checked = self._queue_checked or asked <= found.keys()

    def _note_unavailable(self, why: EngineUnavailable) -> None:
        """Note, and log once, that nothing is known of any attempt for now."""
        if self._away is None:
            _logger.warning("%s does not answer: %s", self._engine.name, why)
        self._away = why

    async def _collect(self, entries: Sequence[AttemptEntry]) -> dict[str, AttemptFilesState]:
        """Look at the files of these, and settle those that have ended."""
        found = await run_sync(cluster_files.inspect_all, [one.place for one in entries])
        for one in [one for one in entries if not one.over.is_set()]:
            one.away = (seen := found[one.place.id]).away
            if seen.record is not None:
                one.settle(seen.record)
            elif seen.given_up:
                self._settle_withdrawn(one)
            else:
                await self._notice_beginning(one, seen)
        return found

    async def _judge_missing(
        self, one: AttemptEntry, found: AttemptFilesState, began: float, listed: Collection[JobKey]
    ) -> None:
        """Conclude what can be, of an attempt that is not over and not in the list.

        Raises:
            OSError: its files can't be read or written.
            EngineUnavailable: the engine has answered before, and now does not.
        """
        if found.away and one.ending is None:
            one.missing = None
            return
        one.missing = began if one.missing is None else one.missing
        missing = began - one.missing
        if found.away:  # it is to end, and the list has nothing of it: how it ended matters no more
            if missing >= self._tuning.lost_after + one.time_to_go:
                one.vanish()
        elif found.claimed:
            await self._judge_missing_running(one, missing)
        elif missing >= min(_UNCLAIMED_SECONDS, self._tuning.lost_after):
            await self._judge_missing_unbegun(one, found, began, listed)

    async def _judge_missing_unbegun(
        self, one: AttemptEntry, found: AttemptFilesState, began: float, listed: Collection[JobKey]
    ) -> None:
        """Say why it has not begun, or submit it again: the engine has forgotten it."""
        if found.log:
            if await run_sync(attempt_files.claim, one.place):
                engine, python = self._engine.name, self._tuning.python
                one.settle(cluster_files.failed_start_record(one.place, one.job, found.log, engine, python))
        elif (fate := await self._cancelled(one, began, listed)) is not None:
            if await run_sync(attempt_files.claim, one.place):
                one.fate = fate
                one.settle(None, withdrawn=True)
        elif one.may_be_submitted_again(_FORGOTTEN_MOST) and not found.gone:
            _logger.warning("%s has forgotten %s; it is submitted again", self._engine.name, one.place.id)
            forgotten = one.submission.forgotten + 1
            one.submission = msgspec.structs.replace(one.submission, forgotten=forgotten)
            one.missing, one.job, one.accepted = None, None, anyio.Event()
            self._submit(one)
        elif await run_sync(attempt_files.claim, one.place):
            one.settle(None)

    async def _cancelled(self, one: AttemptEntry, began: float, listed: Collection[JobKey]) -> Fate | None:
        """Say who has cancelled what had not begun; None: nobody, or it is to end anyway."""
        keys = one.submission.own
        if one.ending is not None or not keys:
            return None
        fate = (await self._fates.look_up(keys, began)).get(keys[-1])
        if fate is None:
            return fate_of_taken_out(keys, one.job, listed, self._engine.name)
        return fate if fate.kind is FateKind.CANCELLED else None

    async def _judge_missing_running(self, one: AttemptEntry, missing: float) -> None:
        """Have what was claimed and is gone end, if it runs all the same; then it is lost."""
        if missing < self._tuning.lost_after:
            return
        if one.ordered is None:
            await self._order(one)
        elif anyio.current_time() - one.ordered >= one.time_to_go + 4 * order.POLL_SECONDS:
            one.vanish()

    async def _send_orders(self) -> None:
        """Send the signals that are due; end the whole job of what hears none (suspended) or heeds none."""
        for one in [one for one in self._entries.values() if one.recalled and not one.over.is_set()]:
            await self.withdraw(one.place)
        told = [one for one in self._watched() if one.ending is not None and not one.unsure]
        ends = [(one, one.job) for one in told if one.job is not None]
        # CONT: somebody may have stopped the keeper; HURRY may be due later, too: what was to stop is dropped
        for number in (signal.SIGCONT, HURRY, signal.SIGTERM):
            begun = [(one, job) for one, job in ends if number not in one.told and one.hears(job)]
            due = [(one, job) for one, job in begun if one.hurried or number != HURRY]
            if due:
                await self._signal(due, number)
        since = anyio.current_time() - _INSIST_SECONDS
        late = [(one, job) for one, job in ends if one.is_late(job, since)]
        for one, _ in late:
            one.submission = await run_sync(cluster_files.note_cut_short, one.place, one.submission)
        if late:
            await self._engine.cancel([job.id for _, job in late])
            faults.point("cluster.cancelled")
        for one, _ in late:
            one.insisted = True

    async def _signal(self, ends: Sequence[tuple[AttemptEntry, ClusterJob]], number: int) -> None:
        """Send a signal; what it does not reach stands still, which the next list tells."""
        deaf = await self._engine.signal([job.id for _, job in ends], number)
        for one, job in ends:
            if job.id in deaf:
                one.deaf = anyio.current_time()
                self._look_soon()
            else:
                one.told.add(number)
