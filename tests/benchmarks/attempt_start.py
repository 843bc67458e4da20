"""What an attempt of `true` costs: python tests/benchmarks/attempt_start.py [COUNT]. Medians, three ways in turn.

`start` is LocalExecutor.start with its thread and its fsync (which is told apart), `end to end` is start and
wait, both in milliseconds; `bare` is the same command without any supervision. They are measured in turn, so
that what else the machine does meets all. The memory is what keeper and
runner of a waiting attempt have for themselves (Private_* in smaps_rollup), in MiB. The lines below are bare
interpreters with the modules that the shim avoids, and those it uses instead.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from marianned.executors.base import AttemptPlace, Spec, SupervisorIdentity
from marianned.executors.host.local import LocalExecutor

IMPORTS = ("pass", "import os, _json, _signal, _ctypes", "import os, json, signal, ctypes")


def median(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1000


def spec(name: str, *argv: str) -> Spec:
    return Spec(id=f"benchmark-{name}", argv=list(argv), cwd="/", env={}, timeout_seconds=60.0)


def place(root: Path, name: str) -> AttemptPlace:
    return AttemptPlace(root / name, spec(name).id)


async def timed(executor: LocalExecutor, directory: Path, attempt: Spec) -> tuple[float, float]:
    """Run an attempt to its end; return the milliseconds until it was started, and until it had ended."""
    before = time.perf_counter()
    await executor.start(directory, attempt)
    started = time.perf_counter()
    await executor.wait(AttemptPlace(directory, attempt.id))
    return (started - before) * 1000, (time.perf_counter() - before) * 1000


async def memory(executor: LocalExecutor, root: Path, count: int) -> str:
    """Measure while `count` attempts run, so that what they share is counted as shared."""
    names = [f"waiting-{number}" for number in range(count)]
    for name in names:
        await executor.start(root / name, spec(name, "sleep", "60"))
    private = []
    for name in names:
        running = await executor.read_identity(place(root, name))
        assert running is not None
        private.append(own(running))
        await executor.end(place(root, name))
    for name in names:
        await executor.wait(place(root, name))
    return f"{statistics.median(private):.1f} MiB"


def own(running: SupervisorIdentity) -> float:
    kib = 0
    for pid in (running.pid, running.runner_pid):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return kib / 1024


async def three_ways(root: Path, count: int) -> None:
    plain = LocalExecutor()
    async with LocalExecutor() as forking:
        ways = {"shim": plain, "fork server": forking}
        bare: list[float] = []
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(count):
            bare.append(median(lambda: subprocess.run(["true"], check=True), 1))
            for name, executor in ways.items():
                directory = root / name / str(number)
                took[name].append(await timed(executor, directory, spec(f"{name}-{number}", "true")))
        print(f"bare: {statistics.median(bare):.1f} ms")
        for name, executor in ways.items():
            start, whole = (statistics.median(times) for times in zip(*took[name], strict=True))
            private = await memory(executor, root / f"waiting {name}", 8)
            print(f"{name}: start {start:.1f} ms, end to end {whole:.1f} ms, private memory {private}")


def fsync(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"x" * 300)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as root:
        print(f"fsync of a new file: {median(lambda: fsync(Path(root) / 'file'), count):.1f} ms")
        anyio.run(three_ways, Path(root), count)
    for code in IMPORTS:
        argv = [sys.executable, "-I", "-S", "-c", code]
        print(f"{code}: {median(lambda argv=argv: subprocess.run(argv, env={}, check=True), count):.1f} ms")


if __name__ == "__main__":
    main()
