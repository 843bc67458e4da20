"""An executor that starts commands as plain children of the test's own process: real shells, no supervisor."""

import math
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio
from anyio.abc import Process, TaskGroup

from kit.memory import Entry, MemoryExecutor
from marianned.executors.base import AttemptPlace, CannotStart, Spec


class BareExecutor(MemoryExecutor):
    """Runs what it is given in a session of its own, and ends that whole session with it.

    It outlives conductors as a supervisor would, but not the test. Silence, final events, caps and walls are
    affairs of a supervisor, and not done here.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        super().__init__()
        self._tasks = tasks
        self._processes: dict[str, Process] = {}
        self._asked: set[str] = set()

    async def start(
        self,
        directory: Path,
        spec: Spec,
        write: Callable[[], None] | None = None,
        root: Path | None = None,
    ) -> None:
        with anyio.CancelScope(shield=True):  # a conductor that ends leaves no half of a start behind
            await super().start(directory, spec, write)
            entry = self.entries[spec.id]
            try:
                process = self._processes[spec.id] = await _spawned(directory, spec)
            except OSError as error:
                self._claimed.discard(spec.id)
                del self.entries[spec.id]
                raise CannotStart(str(error)) from None
            self._tasks.start_soon(self._watch, entry, process)

    def _of_a_repository(self, spec: Spec) -> bool:
        return False

    async def _watch(self, entry: Entry, process: Process) -> None:
        timed_out = True
        with anyio.move_on_after(entry.spec.timeout_seconds or math.inf):
            await process.wait()
            timed_out = False
        _kill(process.pid)
        await process.wait()
        code = process.returncode
        asked = entry.spec.id in self._asked
        ended = {"signal": None} if code is None or code >= 0 else {"signal": -code}
        self.finish(entry, None if ended["signal"] else code, timed_out=timed_out, asked=asked, **ended)
        await process.aclose()

    async def end(self, place: AttemptPlace, *, drop: bool = False) -> None:
        entry, process = self.entries.get(place.id), self._processes.get(place.id)
        if entry is None or process is None or not entry.runs or place.id in self._asked:
            return
        self._asked.add(place.id)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        self._tasks.start_soon(self._insist, entry, process)

    async def _insist(self, entry: Entry, process: Process) -> None:
        with anyio.move_on_after(entry.spec.grace_seconds):
            await entry.over.wait()
        if entry.runs:
            _kill(process.pid)

    def kill_all(self) -> None:
        """Kill whatever still runs."""
        for name, process in self._processes.items():
            if self.entries[name].runs:
                _kill(process.pid)


async def _spawned(directory: Path, spec: Spec) -> Process:
    with ExitStack() as files:
        stdin = files.enter_context((directory / spec.stdin).open("rb")) if spec.stdin else None
        return await anyio.open_process(
            spec.argv,
            cwd=spec.cwd,
            env={**spec.env, "MARIANNE_ATTEMPT_ID": spec.id},
            stdin=stdin or -3,
            stdout=files.enter_context((directory / "stdout").open("wb")),
            stderr=files.enter_context((directory / "stderr").open("wb")),
            start_new_session=True,
            umask=spec.umask,
        )


def _kill(session: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)
