"""What a key costs in `mzt top` over a job of 1,000 sheets: python tests/benchmarks/keys.py. Processor time, in ms.

The terminal is Textual's own for tests, and the time all that follows a key until nothing is left to do: an upper
bound for what a person waits on a core that nobody else wants.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import DEADLINE, Daemon
from watching import score

from marianne_cli.top.app import TopApp

SHEETS = 1_000
KEYS = (("j", 40), ("k", 40), ("G", 8), ("g", 8), ("v", 8), ("3", 4), ("1", 4), ("slash", 1), ("escape", 1))


async def pressed(daemon):
    """Return for each key what it took each time."""
    app = TopApp(str(daemon.socket), "wide")
    async with app.run_test(size=(140, 50)) as pilot:
        async with asyncio.timeout(DEADLINE):
            while len(app.store.sheets.get("wide", ())) < SHEETS:
                await pilot.pause(0.05)
        await pilot.press("l")
        took = {}
        for key, times in KEYS:
            for _ in range(times):
                before = time.process_time()
                await pilot.press(key)
                took.setdefault(key, []).append((time.process_time() - before) * 1000)
    return took


def main():
    daemon = Daemon().start()
    try:
        daemon.submit(score("wide", SHEETS, "true"), before="1.all")
        daemon.wait_for("wide", "paused")
        took = asyncio.run(pressed(daemon))
    finally:
        daemon.close()
    for key, times in took.items():
        print(f"{key.ljust(8)} median {statistics.median(times):6.1f}   most {max(times):6.1f}")


if __name__ == "__main__":
    main()
