"""An executor whose processes are entries in memory: tests say when they end and how; nothing is started."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio

from marianned.executors.base import (
    AlreadyClaimed,
    AttemptPlace,
    ExitRecord,
    Presence,
    Spec,
    StartFailed,
    SupervisorIdentity,
)

NOBODY = 2**30
"""A pid that no process has."""


class Entry:
    """One attempt: what it was to run, and how it has ended, once `over` is set; no record: it is lost."""

    def __init__(self, directory: Path, spec: Spec) -> None:
        self.directory = directory
        self.spec = spec
        self.sheet = spec.env.get("MARIANNE_SHEET", "")
        self.over = anyio.Event()
        self.record: ExitRecord | None = None

    @property
    def runs(self) -> bool:
        return not self.over.is_set()


def record_of(**fields: object) -> ExitRecord:
    """A record with what a test does not care about filled in."""
    moment = time.time_ns() // 1_000_000
    found = {
        "exit_code": None, "signal": None, "error": None, "asked": False, "asked_by": None, "timed_out": False,
        "started_at": moment, "ended_at": moment, "user_seconds": 0.0, "system_seconds": 0.0, "max_rss_kib": 1,
        "swept": 0, "writer": "runner",
    }  # fmt: skip
    return ExitRecord(**{**found, **fields})  # type: ignore[arg-type]


class MemoryExecutor:
    """Keeps the promises of `Executor` over the lives of several conductors.

    `outcome` tells with which code a command ends as soon as it has started; None: when the test says so.
    While `stubborn`, what is asked to end goes on. `starts` counts by sheet, `at_once` has the most that ran of it.
    `hinders` is told to who waits for an end; `limits` are time limits that were raised, by id.
    """

    def __init__(self, outcome: Callable[[Spec], int | None] = lambda _spec: None) -> None:
        self.outcome = outcome
        self.stubborn = False
        self.hinders: str | None = None
        self.refuses = 0
        self.entries: dict[str, Entry] = {}
        self.limits: dict[str, float] = {}
        self.silences: dict[str, float] = {}
        self.starts: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self._claimed: set[str] = set()
        self._news = anyio.Event()

    # --- what tests do -------------------------------------------------------------------------------

    def running_now(self, sheet: str | None = None) -> list[Entry]:
        return [one for one in self.entries.values() if one.runs and sheet in (None, one.sheet)]

    async def started(self, sheet: int | str) -> Entry:
        """Wait until a command of a sheet runs, or with "" for a sheet that of a hook."""
        while not (found := self.running_now(str(sheet))):
            await self.news()
        return found[0]

    async def news(self) -> None:
        """Wait until the next command starts."""
        await self._news.wait()

    def finish(self, entry: Entry, code: int | None = 0, **fields: object) -> None:
        """Let a command end by itself; without a code by a signal that is given among the fields."""
        entry.record = record_of(exit_code=code, id=entry.spec.id, **fields)
        entry.over.set()

    def lose(self, entry: Entry) -> None:
        """Let it vanish without a record."""
        entry.over.set()

    def play(self) -> None:
        """Let all that runs end well, and all that starts from now on."""
        self.stubborn = False
        self.outcome = lambda _spec: 0
        for entry in self.running_now():
            self.finish(entry)

    # --- Executor ------------------------------------------------------------------------------------

    async def start(
        self,
        directory: Path,
        spec: Spec,
        write: Callable[[], None] | None = None,
        root: Path | None = None,
    ) -> None:
        if write is not None:
            write()
        if self.refuses:
            self.refuses -= 1
            raise StartFailed("a start that was to fail")
        if spec.id in self._claimed:
            raise AlreadyClaimed
        self._claimed.add(spec.id)
        directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  a test waits for nothing else
        for name in ("stdout", "stderr"):
            (directory / name).touch()
        entry = self.entries[spec.id] = Entry(directory, spec)
        if self._of_a_repository(spec):
            self.finish(entry, 128)
            return
        self.starts[entry.sheet] += 1
        self.at_once[entry.sheet] = max(self.at_once[entry.sheet], len(self.running_now(entry.sheet)))
        if (code := self.outcome(spec)) is not None:
            self.finish(entry, code)
        self._news.set()
        self._news = anyio.Event()

    def _of_a_repository(self, spec: Spec) -> bool:
        """Whether git is asked, as it is where tests run below a repository: workspaces in memory are in none."""
        return spec.argv[0] == "git"

    async def presence(self, place: AttemptPlace) -> Presence:
        entry = self.entries.get(place.id)
        if entry is None:
            return Presence.LOST if place.id in self._claimed else Presence.NEVER_STARTED
        if entry.runs:
            return Presence.RUNNING
        return Presence.LOST if entry.record is None else Presence.ENDED

    async def read_identity(self, place: AttemptPlace) -> SupervisorIdentity | None:
        if place.id not in self.entries:
            return None
        return SupervisorIdentity(
            pid=NOBODY, start_time=1, runner_pid=NOBODY, runner_start_time=1, boot_id=""
        )

    async def wait(self, place: AttemptPlace, tell: Callable[[str], None] | None = None) -> ExitRecord | None:
        entry = self.entries.get(place.id)
        if entry is None:
            return None
        if tell is not None and self.hinders is not None:
            tell(self.hinders)
        await entry.over.wait()
        return entry.record

    async def fate(self, place: AttemptPlace) -> None:
        """It has no job."""

    async def whereabouts(self, place: AttemptPlace, known: object = None) -> None:
        """It runs here."""

    def queue_wait(self, attempt: str) -> None:
        """What was started has begun."""

    async def trouble(self) -> str | None:
        return None

    async def withdraw(self, place: AttemptPlace) -> None:
        """What was started has begun."""

    async def end(self, place: AttemptPlace, *, drop: bool = False) -> None:
        entry = self.entries.get(place.id)
        if entry is not None and entry.runs and not self.stubborn:
            self.finish(entry, None, signal=15, asked=True)

    async def claim(self, place: AttemptPlace) -> bool:
        if place.id in self._claimed:
            return False
        self._claimed.add(place.id)
        return True

    async def raise_limit(self, place: AttemptPlace, seconds: float, *, silence: bool = False) -> None:
        (self.silences if silence else self.limits)[place.id] = seconds

    async def leftovers(self, prefix: str) -> set[str]:
        return {name for name, entry in self.entries.items() if entry.runs and name.startswith(prefix)}

    async def alive_below(self, directory: Path) -> dict[str, int]:
        return {
            name: NOBODY
            for name, entry in self.entries.items()
            if entry.runs and entry.directory.is_relative_to(directory)
        }

    async def outlast(self, directory: Path, attempt: str) -> None:
        if attempt in await self.alive_below(directory):
            await self.entries[attempt].over.wait()
