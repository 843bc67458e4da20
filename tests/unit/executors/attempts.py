"""Attempts in tmp_path, each with a leash (kit/leash.py)."""

import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec
import pytest
from kit.daemon import DEADLINE
from kit.leash import Leash
from kit.left_behind import ends_with_us
from refusing import NUMBERS

from marianned.executors import shim
from marianned.executors.base import AttemptPlace, Executor, ExitRecord, Spec, SupervisorIdentity
from marianned.executors.clusters.executor import ClusterExecutor
from marianned.executors.host.forking import ForkServer
from marianned.executors.host.local import LocalExecutor
from marianned.executors.host.traces import marked, trace_of

T = TypeVar("T")
BOTH_GONE = pytest.mark.this_host(
    "what both supervisors leave is Slurm's to end, by cgroups, which are not here"
)
WOKEN_BY_US = pytest.mark.this_host(
    "who waits on this host wakes a stopped keeper; on a cluster only an end does"
)
LOOKED_FOR_HERE = pytest.mark.this_host(
    "who is not found running here is lost; there the list of jobs and time say so"
)
NO_FRONT = pytest.mark.this_host("it is about the front of the shim, which a job has not")
"""What several modules ask of this host alone."""
ANY_START = pytest.mark.both(forked=False)
"""Of a module that has supervisors forked, too: what they do then, or who reads of it, can't tell how they began."""


class Attempt:
    """One attempt: its directory, its spec, and the executor's calls with a deadline."""

    def __init__(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "attempts" / "1"
        self.workspace = tmp_path / "workspace"
        self.workspace.mkdir()
        self.executor: Executor = LocalExecutor()
        self.leash = Leash(tmp_path / "leash")
        self.id = uuid.uuid4().hex
        ends_with_us(f"{shim.MARK}={self.id}")
        self.place = AttemptPlace(self.directory, self.id)

    def open_fork_server(self, lent: ForkServer | None = None) -> ForkServer:
        """What entering the executor does, from a fixture; with one that is `lent`, no other is started."""
        self._lent = lent
        self.executor._forks = forks = lent or ForkServer()
        forks.open()
        return forks

    def close(self) -> None:
        self.leash.close()
        if isinstance(self.executor, LocalExecutor) and self.executor._forks:
            for pair in self.executor._started.values():
                pair.close()
            if self._lent is None:
                self.executor._forks.close()
            else:
                dismiss_who_rests(self._lent)

    def spec(self, *argv: str, **given: Any) -> Spec:
        values: dict[str, Any] = {
            "id": self.id,
            "argv": list(argv),
            "cwd": str(self.workspace),
            "env": {"PATH": os.environ["PATH"], "LEASH": str(self.leash.path)},
            "timeout_seconds": None,
            "grace_seconds": 0.2,
        }
        return Spec(**values | given)

    def script(self, text: str, **given: Any) -> Spec:
        """A shell script that holds the leash as descriptor 9, and all it starts with it."""
        return self.spec("sh", "-c", f'exec 9>"$LEASH"\n{text}', **given)

    async def start(self, spec: Spec) -> None:
        self.place = AttemptPlace(self.directory, spec.id)
        await soon(self.executor.start(self.directory, spec))

    async def wait(self) -> ExitRecord | None:
        return await soon(self.executor.wait(self.place))

    async def run(self, spec: Spec) -> ExitRecord:
        await self.start(spec)
        record = await self.wait()
        assert record is not None
        return record

    def run_shim(self, content: bytes, *, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the shim's front by itself over this spec.json, as another executor would."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / shim.SPEC).write_bytes(content)
        argv = [*wrapper, sys.executable, "-I", "-S", shim.__file__, str(self.directory)]
        env = {shim.MARK: self.id}
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)

    async def running(self) -> SupervisorIdentity:
        running = await self.executor.read_identity(self.place)
        assert running is not None
        return running

    def asked_by_us(self, record: ExitRecord) -> bool:
        """Whether it was this process that told it to end; on a cluster the daemon of its node does, or a file."""
        return not isinstance(self.executor, LocalExecutor) or record.asked_by == os.getpid()

    def output(self, name: str = "stdout") -> str:
        return (self.directory / name).read_text()

    def living(self) -> list[int]:
        return list(marked(trace_of(self.id).mark))


def dismiss_who_rests(forks: ForkServer) -> None:
    """Let the next attempt get a pair that is forked for it, as the first one does."""
    while pair := forks._take_resting():
        pair.end_resting()
        pair.wait_for_end(time.monotonic() + DEADLINE)


def refuse_calls(attempt: Attempt, monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
    """Have shims run where the kernel refuses these system calls, as another kernel or file system does."""
    if platform.machine() not in NUMBERS:
        pytest.skip(f"no numbers of system calls for {platform.machine()}")
    program = attempt.workspace / "python"
    refusing = Path(__file__).with_name("refusing.py")
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -I -S {refusing} {" ".join(calls)} {sys.executable} "$@"\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    if isinstance(attempt.executor, ClusterExecutor):
        monkeypatch.setattr(attempt.executor._submitter, "_python", str(program))


async def ended(pid: int) -> None:
    """Wait until a process, which need not be ours, has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await soon(anyio.wait_readable(watch))
    finally:
        os.close(watch)


async def write(pipe: Path, text: str) -> None:
    """Write into a named pipe once somebody reads it."""
    with anyio.fail_after(DEADLINE):
        await anyio.to_thread.run_sync(pipe.write_text, text, abandon_on_cancel=True)


def encoded(spec: Spec) -> bytes:
    return msgspec.json.encode(spec)


async def soon(call: Awaitable[T]) -> T:
    with anyio.fail_after(DEADLINE):
        return await call
