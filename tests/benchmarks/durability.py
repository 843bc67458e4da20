"""What durability costs: python tests/benchmarks/durability.py. Figures of docs/performance.md."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import Daemon, gated, score

from marianned.rows import Changes, EventRow
from marianned.store.writer import open_store

JOBS = 100
SECONDS = 3.0


async def commits(callers):
    """Count transactions of one event a second, from so many callers at once."""
    done = [0] * callers
    with tempfile.TemporaryDirectory() as directory:
        async with open_store(Path(directory) / "state" / "marianne.db") as store:
            ends = time.perf_counter() + SECONDS

            async def call(number):
                while time.perf_counter() < ends:
                    await store.commit(Changes(events=[EventRow(recorded_at=0, type="bench")]))
                    done[number] += 1

            await asyncio.gather(*(call(number) for number in range(callers)))
    print(f"commits, {callers} at once: {sum(done) / SECONDS:.0f} a second")


def recovery():
    """Kill a daemon over its running jobs and start it; time until it has taken all of them up."""
    daemon = Daemon(executed=True)
    try:
        daemon.configure(f"max_attempts = {JOBS}\nmin_free_disk = 0\n")
        daemon.start()
        daemon.gate(1)
        for number in range(JOBS):
            daemon.submit(score(f"job-{number}", [gated(1)]))
        daemon.ledger.wait_for("start 1", times=JOBS)
        daemon.kill()
        began = time.perf_counter()
        daemon.start()
        empty = time.perf_counter() - began
        while daemon.rpc("daemon.status")["attempts_in_flight"] < JOBS:
            pass
        took = time.perf_counter() - began
        print(
            f"{JOBS} running jobs after kill -9: answering in {empty * 1000:.0f} ms, all taken up in {took * 1000:.0f} ms"
        )
        daemon.gate(1).open(JOBS)
        for number in range(JOBS):
            assert daemon.wait_for(f"job-{number}", "ended")["status"] == "completed"
    finally:
        daemon.close()


def main():
    for callers in (1, 50):
        asyncio.run(commits(callers))
    recovery()


if __name__ == "__main__":
    main()
