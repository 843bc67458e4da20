"""What every job of this daemon shares: its store, its executors, its slots, its places and settings."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeGuard

import anyio
import msgspec

from marianned import files, logs, workers
from marianned.conductor.capacity.disk import DiskMonitor
from marianned.conductor.capacity.incarnation_directory import IncarnationDirectory
from marianned.conductor.capacity.rate_limits import RateLimiter
from marianned.conductor.capacity.slots import Scheduler
from marianned.conductor.workspace.worktrees import Worktrees
from marianned.config import Settings
from marianned.executors.base import AttemptPlace, Executor, read_spec_id
from marianned.masks import Mask, secrets_given, secrets_of
from marianned.places import LOCAL
from marianned.protocol import Stranger
from marianned.rows import AttemptRow, Flight, LoopRow, Placed, RevisionRow, RunRow
from marianned.store.writer import Store

_JUDGED_MOST = 16


class Executors(NamedTuple):
    """Where things run: on this `host`, or, of attempts, on the one of the `clusters` that they name.

    Git, skip commands and hooks need the daemon's own host: its files, its network, an answer soon. So do
    checks, unless their score has them run with the attempt.
    Source: docs/design/executors.md "The interface".
    """

    host: Executor
    clusters: Mapping[str, Executor]

    def of(self, flight: Flight) -> Executor:
        """Return where a flight runs, or has run."""
        return self.clusters[flight.executor] if is_away(flight) else self.host

    @property
    def all(self) -> list[Executor]:
        """All of them, the host first."""
        return [self.host, *self.clusters.values()]


def is_away(flight: Flight) -> TypeGuard[AttemptRow]:
    """Tell whether a flight runs on a cluster, and not on this host."""
    return isinstance(flight, AttemptRow) and flight.executor != LOCAL


def _judging_limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_JUDGED_MOST)


class Services(msgspec.Struct, kw_only=True):
    """The parts of one daemon. `environ` is its environment, `attempts` the directory of all attempts.

    What may be replaced: by a reload `settings`, or `settings_problem`, why those on disk can't be used; and
    `socket`, when the door has to move. `strangers` run here and are not known to the database; `restored`
    says that it is a copy that was put back, and what ran since, `ran_since` are sheets (uids) of that, by
    run. `judging`: so many attempts that ran on a cluster are judged here at a time; those of this host are
    bound by slots.
    """

    store: Store
    executors: Executors
    scheduler: Scheduler
    limits: RateLimiter
    disk: DiskMonitor
    incarnation_directory: IncarnationDirectory
    worktrees: Worktrees
    settings: Settings
    attempts: Path
    socket: Path
    environ: Mapping[str, str]
    settings_problem: str | None = None
    strangers: list[Stranger] = []
    restored: str | None = None
    ran_since: dict[int, set[int]] = {}
    judging: anyio.CapacityLimiter = msgspec.field(default_factory=_judging_limiter)

    def degraded_by(self) -> list[str]:
        """Return what keeps the daemon from its work, in a line each."""
        return [
            why
            for why in (self.store.degraded, self.disk.trouble, workers.trouble(), self.settings_problem)
            if why
        ]

    def directory(self, flight: Placed) -> Path:
        """Return the directory of an attempt or hook: spec, identity, outputs and exit record."""
        return self.place(flight).directory

    def attempt_id(self, flight: Flight) -> str:
        """Return what names an attempt or hook among all that any daemon ever made."""
        if isinstance(flight, LoopRow):
            return f"{self.store.incarnation.name}-{flight.run_id}-{flight.name}"
        return self.place(flight).id

    def revision_key(self, revision: RevisionRow) -> str:
        """Return what names a revision to workers, which keep it decoded; they may outlive the store."""
        return f"{self.store.daemon_id}.{revision.run_id}.{revision.revision}"

    def place(self, flight: Placed) -> AttemptPlace:
        """Return where the files of an attempt or hook lie: below the incarnation that started it."""
        incarnation = self.store.incarnations.get(flight.incarnation)
        if incarnation is None:
            return self._place_of_0_1_0(flight)
        top = _top(incarnation.name, incarnation.attempts, self.attempts)
        return _place(top, incarnation.name, flight.run_id, flight.name)

    def _place_of_0_1_0(self, flight: Placed) -> AttemptPlace:
        """Return where 0.1.0 put it, which named places by run alone, and knew of one directory for them."""
        name = f"{flight.run_id}-{flight.name}"
        tops = (self.attempts, self.store.path.with_name("attempts"))
        directories = [top / str(flight.run_id) / flight.name for top in tops]
        attempt = f"{self.store.daemon_id}-{name}"
        found = next((one for one in directories if read_spec_id(one) == attempt), directories[0])
        return AttemptPlace(found, attempt)

    def directories_of(self, run_id: int) -> list[Path]:
        """Return all places where files of a run can be: of its attempts, hooks and git; 0.1.0's are not."""
        tops = [_top(one.name, one.attempts, self.attempts) for one in self.store.incarnations.values()]
        return [top / str(run_id) for top in tops]

    def workspace_record(self, run_id: int) -> Path:
        """Return the file that has what was in a run's workspace when it came to rest."""
        return self.store.path.with_name("workspaces") / f"{self.store.daemon_id}-{run_id}"

    def tidy(self, needed: Collection[int]) -> None:
        """Remove the empty directories of earlier incarnations, but those `needed` by what is in flight.

        They are looked for on disk: of one all of whose runs were removed the database knows nothing more.
        """
        known = self.store.incarnations
        kept = {self.store.incarnation.name, *(known[one].name for one in needed if one in known)}
        places = {self.attempts, self.store.path.with_name("attempts")}
        places |= {Path(one.attempts) for one in self.store.incarnations.values()}
        for place in places:
            for name in files.names(place):
                if name.startswith(f"{self.store.daemon_id}-") and name not in kept:
                    with suppress(OSError):
                        (place / name).rmdir()

    def delete_files(self, run_id: int, directories: Sequence[Path]) -> None:
        """Delete what the attempts of a run have left in its `directories`, and nothing beside it."""
        self.workspace_record(run_id).unlink(missing_ok=True)
        for directory in directories:  # not the one above it, which others may need: the next start tidies up
            files.remove_tree_if_there(directory)
        for of_0_1_0 in {self.attempts / str(run_id), self.store.path.with_name("attempts") / str(run_id)}:
            ours = f"{self.store.daemon_id}-{run_id}-"
            found = [read_spec_id(spec.parent) for spec in of_0_1_0.glob("**/spec.json")]
            if found and all(one is not None and one.startswith(ours) for one in found):
                files.remove_tree_if_there(of_0_1_0)


@lru_cache(maxsize=4096)
def _place(top: Path, incarnation: str, run_id: int, name: str) -> AttemptPlace:
    """Return a place below an incarnation's directory: it is asked for a dozen times in an attempt.

    What is in flight of a wide job is looked at with each status, so that thousands are kept.
    """
    return AttemptPlace(top / str(run_id) / name, f"{incarnation}-{run_id}-{name}", top)


def _top(name: str, then: str, now: Path) -> Path:
    """Return the directory of an incarnation; where the setting has changed it may have been moved along."""
    if then == str(now):
        return _directory_below(now, name)
    before = Path(then)
    moved = before != now and not (before / name).exists() and (now / name).exists()
    return (now if moved else before) / name


@lru_cache(maxsize=16)
def _directory_below(directory: Path, name: str) -> Path:
    return directory / name


def mask_of(services: Services, run: RunRow) -> Mask:
    """Return what masks a run's secrets: those given to it, and the keys the daemon has.

    The log masks them from now on, too.
    """
    given = secrets_given(run.env)
    logs.hide(given)
    return Mask([*given, *secrets_of(services.environ)])
