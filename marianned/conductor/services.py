"""What every job of this daemon shares: its store, its executor, its slots, its places and settings."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from marianned import workers
from marianned.conductor.capacity.disk import Disk
from marianned.conductor.capacity.rate_limits import Limits
from marianned.conductor.capacity.slots import Scheduler
from marianned.conductor.workspace.worktrees import Worktrees
from marianned.config import Settings
from marianned.executors.base import Executor
from marianned.masks import Mask, secrets_of
from marianned.rows import Flight, HookRow, RunRow
from marianned.store.writer import Store


class House(msgspec.Struct, kw_only=True):
    """The parts of one daemon. `environ` is its environment, `attempts` the directory of all attempts.

    What may be replaced: by a reload `settings`, or `settings_problem`, why those on disk can't be used; and
    `socket`, when the door has to move.
    """

    store: Store
    executor: Executor
    scheduler: Scheduler
    limits: Limits
    disk: Disk
    worktrees: Worktrees
    settings: Settings
    attempts: Path
    socket: Path
    environ: Mapping[str, str]
    settings_problem: str | None = None

    def degraded_by(self) -> list[str]:
        """Return what keeps the daemon from its work, in a line each."""
        low = "the disk is nearly full" if self.disk.low else None
        return [why for why in (self.store.degraded, low, workers.trouble(), self.settings_problem) if why]

    def directory(self, flight: Flight) -> Path:
        """Return the directory of an attempt or hook: spec, identity, outputs and exit record."""
        return self.attempts / str(flight.run_id) / _name(flight)

    def attempt_id(self, flight: Flight) -> str:
        """Return what names an attempt or hook among all that any daemon ever made."""
        return f"{self.store.daemon_id}-{flight.run_id}-{_name(flight)}"


def mask_of(house: House, run: RunRow) -> Mask:
    """Return what masks a run's secrets: the variables given to it, and the keys the daemon has."""
    return Mask([*run.env.values(), *secrets_of(house.environ)])


def _name(flight: Flight) -> str:
    if isinstance(flight, HookRow):
        return f"hook-{flight.flight}"
    return f"{flight.uid}-{flight.attempt}"
