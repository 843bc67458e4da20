"""What looks cost at large jobs: python tests/benchmarks/wide.py [--json]. In one run, in ms.

Jobs of 10,000 sheets, and one of ten stages of 300 that has failed, are put into the database as they would be
in the middle of their work. Each look is asked again and again on one connection, while `daemon.hello` is asked
on another: what those took meanwhile is told as well. `cpu` is the processor time that a look costs the daemon
where nothing is asked beside it, which other work on the machine moves least.
"""

import json
import sqlite3
import statistics
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import Connection, Daemon

ROUNDS = 9
SCORES = {
    "wide": {"fan_out": dict.fromkeys(range(1, 11), 300)},
    "running": {"fan_out": {2: 4_998, 4: 4_998}},
    "waiting": {"fan_out": {2: 4_998, 4: 4_998}},
    "failed": {"fan_out": {2: 4_998, 4: 4_998}},
}
LOOKS = {
    "a page of 1,000": {"limit": 1000},
    "a page of 100": {"limit": 100},
    "1,000, without needs and drift": {"limit": 1000, "without": ["sheets.needs", "drift"]},
    "no sheets": {"without": ["sheets", "drift"]},
}
SHEETS = {
    "wide": "UPDATE sheets SET status = iif(sheet % 2, 'failed', 'completed') WHERE sheet <= 300 AND run_id = ?",
    "running": "UPDATE sheets SET status = 'completed' WHERE sheet <= 2500 AND run_id = ?",
    "waiting": "UPDATE sheets SET status = iif(sheet = 1, 'completed', 'waiting'), waiting_for = 'retry',"
    ' until = \'{"at": 4102444800000, "boot": "x", "boottime": 0}\' WHERE sheet <= 5000 AND run_id = ?',
    "failed": "UPDATE sheets SET status = iif(sheet % 2, 'failed', 'completed')"
    " WHERE sheet BETWEEN 2 AND 5000 AND run_id = ?",
}
ENDED = {"wide", "failed"}


def submit(daemon, name, sheet):
    stages = max(10 if name == "wide" else 5, *sheet["fan_out"])
    whole = {"size": 1, "total_items": stages, **sheet}
    score = {"name": name, "workspace": "./w", "instrument": "cli", "sheet": whole}
    score |= {"prompt": {"template": "true"}, "parallel": {"enabled": True, "fail_fast": False}}
    daemon.submit(yaml.safe_dump(score), before="1.all")
    daemon.wait_for(name, "paused")


def bring_on(daemon):
    """Let the jobs stand where their names say."""
    daemon.stop()
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as connection, connection:
        for name, change in SHEETS.items():
            ((run,),) = connection.execute("SELECT run_id FROM runs WHERE job_name = ?", [name]).fetchall()
            connection.execute(change, [run])
            if name in ENDED:
                connection.execute("DELETE FROM holds WHERE run_id = ?", [run])
                connection.execute("DELETE FROM breakpoints WHERE run_id = ?", [run])
                connection.execute(
                    "UPDATE runs SET ended = 'failed', status = 'failed', ended_at = updated_at WHERE run_id = ?",
                    [run],
                )
    daemon.start()


def took(look):
    before = time.perf_counter()
    look()
    return (time.perf_counter() - before) * 1000


class Beside:
    """Asks `daemon.hello` on a connection of its own until the block ends; keeps the longest it took."""

    def __init__(self, socket):
        self._socket = socket
        self._over = threading.Event()
        self.times = []

    def __enter__(self):
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _ask(self):
        with Connection(self._socket) as connection:
            while not self._over.is_set():
                self.times.append(took(lambda: connection.rpc("daemon.hello")))
                self._over.wait(0.001)


def spent(pid):
    """Return the processor time of all threads of a process by now, in ms."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def measured(daemon, look):
    """Return median and longest of a look, what it costs, and what a hello takes beside it, in ms."""
    look()
    before = spent(daemon.process.pid)
    for _ in range(ROUNDS):
        look()
    cpu = (spent(daemon.process.pid) - before) / ROUNDS
    with Beside(daemon.socket) as beside:
        times = [took(look) for _ in range(ROUNDS)]
    return {
        "cpu": round(cpu, 1),
        "median": round(statistics.median(times), 1),
        "most": round(max(times), 1),
        "beside": round(statistics.median(beside.times), 1),
        "beside_most": round(max(beside.times), 1),
    }


def snapshot(daemon, **params):
    with daemon.connect() as reading:
        reading.rpc("events.subscribe", states=True, **params)
        while reading.message()["params"]["item"]["type"] != "ready":
            pass


def main():
    daemon = Daemon().start()
    figures = {}
    try:
        for name, sheet in SCORES.items():
            submit(daemon, name, sheet)
        bring_on(daemon)
        with Connection(daemon.socket) as connection:
            for name in SCORES:
                for said, params in LOOKS.items():
                    asked = {"job_id": name, **params}

                    def look(asked=asked):
                        return connection.rpc("job.status", **asked)

                    figures[f"{name}, {said}"] = measured(daemon, look)

                def look(name=name):
                    return connection.rpc("job.graph", job_id=name)

                figures[f"{name}, graph"] = measured(daemon, look)
            figures["job.list"] = measured(daemon, lambda: connection.rpc("job.list"))
            figures["snapshot"] = measured(daemon, lambda: snapshot(daemon))
            for name in SCORES:

                def look(name=name):
                    return snapshot(daemon, jobs=[name], sheets=True)

                figures[f"snapshot, {name} with sheets"] = measured(daemon, look)
    finally:
        daemon.close()
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(figures, indent=2))
        return
    print("ms".ljust(42), "     cpu", "  median", "    most", " hello beside", "    most")
    for name, found in figures.items():
        print(
            name.ljust(42),
            *(
                f"{found[key]:>{width}}"
                for key, width in (("cpu", 8), ("median", 8), ("most", 8), ("beside", 13), ("beside_most", 8))
            ),
        )


if __name__ == "__main__":
    main()
