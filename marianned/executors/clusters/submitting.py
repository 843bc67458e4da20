"""What is to start: gathered, submitted together where it wants the same, put back where it is not taken.

Attempts that start together and want the same become one array. What one account may have no more of waits
for itself alone; while the engine is away, all wait. Source: docs/design/executors.md "Slurm".
"""

import hashlib
import os
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import anyio
import msgspec
from anyio.to_thread import run_sync

from marianned.executors import attempt_files, programs, shim
from marianned.executors.base import Spec
from marianned.executors.clusters import strays
from marianned.executors.clusters.cluster_files import LOG, SUBMISSION, SubmissionRecord, inspect_all
from marianned.executors.clusters.engine import (
    ArrayTooLarge,
    ClusterJob,
    Engine,
    EngineBusy,
    EngineUnavailable,
    JobKey,
    JobRefused,
)
from marianned.executors.clusters.entries import AttemptEntry
from marianned.paths import make_private_directory
from marianned.score.expanded import Resources

SHIPPED = ".programs-"
"""How the names of the directories begin that what runs on the nodes is laid into."""
_WIDEST = 500
OF_ALL = "it wants only what slurm.arguments of config.toml say"
"""What is told of a submission that can't be had, where no change of a score would help."""
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
"""How long nothing of a kind is submitted after the engine has taken no more, or nothing while it is away."""


def with_granted_variables(spec: Spec, grants: Collection[str]) -> Spec:
    """Return what is to run with what its job gives it: variables whose names begin like one of `grants`.

    Those that this process only happens to have, as a shell on a node has them, would hide the job's own.
    """
    ours = {
        name
        for name, value in spec.env.items()
        if name.startswith(tuple(grants)) and os.environ.get(name) == value
    }
    env = {name: value for name, value in spec.env.items() if name not in ours}
    return msgspec.structs.replace(spec, env=env, inherits=[*grants])


class SubmissionThrottle:
    """What is known of those that want the same: how many go together, and that none goes before `due`.

    Times are the loop's.
    """

    def __init__(self) -> None:
        self.wide = _WIDEST
        self.failures = 0
        self.due = float("-inf")

    def taken(self) -> None:
        """Note that the engine has taken some."""
        self.wide, self.failures = min(2 * self.wide, _WIDEST), 0

    def refused(self, count: int) -> bool:
        """Note that it takes no more than `count` less; tell whether fewer may still go in."""
        self.wide = max(1, count // 2)
        if count > 1:
            return True
        self.due = anyio.current_time() + PAUSES[min(self.failures, len(PAUSES) - 1)]
        self.failures += 1
        return False


class Submitter:
    """Submits what is put into it; `serve` has to run meanwhile.

    `taken` is called when the engine has taken some, `drop` with what it has taken and nobody wants any more,
    `judge` with what can't be submitted any more, for its files were deleted: what the list says counts.
    """

    def __init__(
        self,
        engine: Engine,
        shared: Path,
        python: str,
        arguments: Sequence[str],
        taken: Callable[[], None],
        drop: Callable[[SubmissionRecord], None],
        judge: Callable[[AttemptEntry], None],
    ) -> None:
        self._engine = engine
        self._judge = judge
        self._python, self._arguments = python, arguments
        self._taken, self._drop = taken, drop
        self._programs = programs.sources()
        digest = hashlib.sha256(b"".join(self._programs.values())).hexdigest()
        self._shared, self._shipped = shared, shared / f"{SHIPPED}{digest[:16]}"
        self._shipped_now = False
        self._queue: list[AttemptEntry] = []
        self._widest = _WIDEST
        self._kinds = defaultdict[Resources, SubmissionThrottle](SubmissionThrottle)
        self._some = anyio.Event()

    def put(self, entry: AttemptEntry) -> None:
        """Submit it, with all that has gathered by then and wants the same."""
        entry.submitting, entry.unwanted = True, False
        self._queue.append(entry)
        self._some.set()

    def remove(self, entry: AttemptEntry) -> None:
        """Submit it no more."""
        entry.unwanted = True
        if entry in self._queue:
            self._queue.remove(entry)

    async def serve(self) -> None:
        """Submit what has gathered, one command after the other; what comes meanwhile goes together."""
        failures = 0
        while True:
            group = await self._next()
            kind = self._kinds[group[0].resources]
            try:
                await self._submit_group(group)
                kind.taken()
                failures = 0
                continue
            except ArrayTooLarge:
                self._widest = max(1, len(group) // 2)
                continue
            except EngineBusy as why:
                if not kind.refused(len(group)):
                    _note_wait(group, f"{self._engine.name} takes no more jobs at the moment: {why}")
                continue
            except EngineUnavailable as why:
                text = f"{self._engine.name} does not answer: {why}"
            except OSError as error:
                text = f"its files can't be written: {error.strerror}"
                self._put_back(group, len(self._queue))  # others may be written
            finally:
                self._put_back(group, 0)
            _note_wait(self._queue, text)
            await anyio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1

    def _put_back(self, group: Sequence[AttemptEntry], where: int) -> None:
        """Put those back into the queue that are still to be submitted, and are not in it."""
        there = set(map(id, self._queue))
        left = [one for one in group if not (one.unwanted or one.accepted.is_set() or id(one) in there)]
        self._queue[where:where] = left

    async def _next(self) -> list[AttemptEntry]:
        """Wait until there is one that may go, and take what can be one array with it."""
        while True:
            self._some = anyio.Event()
            dues = {one.resources: self._kinds[one.resources].due for one in self._queue}
            self._kinds = defaultdict(SubmissionThrottle, {want: self._kinds[want] for want in dues})
            now = anyio.current_time()
            for one in self._queue:
                if dues[one.resources] <= now:
                    return self._together(one)
            with anyio.CancelScope(deadline=min(dues.values(), default=float("inf"))):
                await self._some.wait()

    def _together(self, first: AttemptEntry) -> list[AttemptEntry]:
        """Take from the queue what can be one array."""
        wide = min(self._kinds[first.resources].wide, self._widest)
        group = [one for one in self._queue if one.goes_with(first)][:wide]
        if self._engine.index is None or "\n" in str(first.place.directory):
            group = [first]
        chosen = set(map(id, group))
        self._queue = [one for one in self._queue if id(one) not in chosen]
        return group

    async def _submit_group(self, group: Sequence[AttemptEntry]) -> None:
        """Have one command take them all; what was withdrawn meanwhile is left out.

        What may have been taken before, by an engine that could not say so, is looked for first.
        """
        if any(one.doubtful for one in group):
            self._find(group, await self._engine.list_jobs())
        group = [one for one in group if not (one.unwanted or one.accepted.is_set())]
        if not group:
            return
        wide = len(group) > 1
        name = strays.job_name(group[0].place.id, len(group) - 1)
        script = await self._written(group, name)
        if script is None:
            return
        resources = group[0].resources
        arguments = (*self._engine.effective_arguments(self._arguments, resources), *resources.arguments)
        resources = msgspec.structs.replace(resources, arguments=arguments)
        try:
            number = await self._engine.submit(
                name, script, len(group) if wide else None, resources, group[0].seconds
            )
        except (ArrayTooLarge, EngineBusy):
            for one in group:  # it was said that nothing was done
                one.doubtful = False
            raise
        except JobRefused as why:
            self._refuse(group, why)
            return
        for task, one in enumerate(group):
            one.accept(ClusterJob(f"{number}_{task}" if wide else number, waits=True, reason=None, node=None))
            if one.unwanted:
                self._drop(one.submission)
        self._taken()

    def _refuse(self, group: Sequence[AttemptEntry], why: JobRefused) -> None:
        held = self._engine.effective_arguments(self._arguments, group[0].resources)
        told = [word for word in held if not (why.apart and word.startswith(why.apart))]
        for one in group:
            one.refused = f"{self._engine.name} does not take it: {why}"
            if self._arguments and not one.wants_something:
                one.refused += f"; {OF_ALL}; change that, then type: mzt restart"
            elif told:
                one.refused += f"; slurm.arguments of config.toml say, too: {shlex.join(told)}"
            one.submitting = False
            one.settle(None)

    async def _written(self, group: Sequence[AttemptEntry], name: str) -> str | None:
        """Note and write under which name each is submitted now; return the job's script.

        Null: the files of some were deleted, so that they are left out, and the others may go without them.

        Raises:
            OSError: that can't be written, so none of them is submitted.
        """
        before = [(one, one.submission, one.doubtful) for one in group]
        for task, one in enumerate(group):
            key = name, task if len(group) > 1 else None
            others = [known for known in one.submission.keys if known != key]
            one.submission = msgspec.structs.replace(one.submission, keys=[*others, key])
            one.doubtful = True
        try:
            return await run_sync(self._files, group, name)
        except OSError:
            for one, submission, doubtful in before:
                one.submission, one.doubtful = submission, doubtful
            if await self._leave_out_deleted(group):
                return None
            raise

    async def _leave_out_deleted(self, group: Sequence[AttemptEntry]) -> bool:
        """Have those judged by the list whose files were deleted; tell whether there were any.

        They are not written again: one that nobody knows to have been taken may have begun in those files.
        """
        found = await run_sync(inspect_all, [one.place for one in group])
        deleted = [one for one in group if found[one.place.id].gone]
        for one in deleted:
            one.submitting = one.doubtful = False
            self._judge(one)
        return bool(deleted)

    def _find(self, group: Sequence[AttemptEntry], listed: Mapping[JobKey, ClusterJob]) -> None:
        for one in group:
            if (job := one.submission.job(listed)) is not None:
                one.accept(job)

    def _files(self, group: Sequence[AttemptEntry], name: str) -> str:
        """Write what the job needs; return its script.

        First into directories that have to be there: nothing else is made where all of them are away.
        """
        for one in group:
            attempt_files.write(one.place.directory / SUBMISSION, msgspec.json.encode(one.submission))
        # each file: scratch file systems are cleared of what is old, file by file
        if not (self._shipped_now and all((self._shipped / name).is_file() for name in self._programs)):
            self._ship()
        where = shlex.quote(str(group[0].place.directory))
        if len(group) > 1:
            listed = strays.list_of(group[0].place.directory, name)
            make_private_directory(listed.parent, listed.parent.parent)
            attempt_files.write(listed, "".join(f"{one.place.directory}\n" for one in group).encode())
            where = f'"$(sed -n "$(({self._engine.index} + 1))p" {shlex.quote(str(listed))})"'
        python, program = shlex.quote(self._python), shlex.quote(str(self._shipped / "shim.py"))
        return (
            f'#!/bin/sh\numask 077\nd={where}\n[ -n "$d" ] && cd "$d" || exit 72\nexec 2>>{LOG}\n{self._at()}'
            f'exec {python} -I -S {program} "$d" {shim.STAY}\n'
        )

    def _at(self) -> str:
        """Return the line of the script by which the shim learns where it runs."""
        told = {"node": self._engine.node, "cluster_job": self._engine.job}
        return "".join(f'export {shim.AT[name]}="{text}"\n' for name, text in told.items())

    def _ship(self) -> None:
        """Lay the shim where the nodes find it, whatever lies there."""
        make_private_directory(self._shipped, self._shared)
        for name, source in sorted(self._programs.items()):
            attempt_files.write(self._shipped / name, source)
        self._shipped_now = True


def _note_wait(entries: Iterable[AttemptEntry], text: str) -> None:
    """Tell those who wait for them what keeps them from being started."""
    for one in entries:
        if one.helper_wait is not None:
            one.helper_wait.note(text)
