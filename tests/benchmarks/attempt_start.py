"""What an attempt of `true` costs: python tests/benchmarks/attempt_start.py [COUNT]. Medians in milliseconds.

`spawn` is LocalExecutor.start with its fsync and thread; `end to end` is start and wait. The lines below
are bare interpreters with the modules that the shim avoids, and those it uses instead.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from marianned.executors.base import Spec
from marianned.executors.local import LocalExecutor

IMPORTS = ("pass", "import os, _json, _signal, _ctypes", "import os, json, signal, ctypes")


def median(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1000


async def attempts(root: Path, count: int) -> tuple[float, float]:
    executor = LocalExecutor()
    started, ended = [], []
    for number in range(count):
        directory = root / str(number)
        spec = Spec(id=f"benchmark-{number}", argv=["true"], cwd="/", env={}, timeout_seconds=60.0)
        before = time.perf_counter()
        await executor.start(directory, spec)
        started.append(time.perf_counter() - before)
        await executor.wait(directory)
        ended.append(time.perf_counter() - before)
    return statistics.median(started) * 1000, statistics.median(ended) * 1000


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as root:
        spawn, whole = anyio.run(attempts, Path(root), count)
    print(f"spawn {spawn:.1f}\nend to end {whole:.1f}")
    for code in IMPORTS:
        argv = [sys.executable, "-I", "-S", "-c", code]
        print(f"{code}: {median(lambda argv=argv: subprocess.run(argv, env={}, check=True), count):.1f}")


if __name__ == "__main__":
    main()
