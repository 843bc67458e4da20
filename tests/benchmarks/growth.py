"""What looks cost as jobs are stored: python tests/benchmarks/growth.py [--json]. Medians in one run.

One job runs in a daemon; while that is stopped, its rows are copied under other names, until as many are
stored as a column says. Beside each look stands `daemon.hello`, the least that a request can cost.
"""

import json
import sqlite3
import statistics
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import Connection, Daemon, Refused, plain, score

STORED = (1, 100, 10_000)
ROUNDS = 21
TABLES = ("runs", "revisions", "sheets", "attempts", "summaries", "events")
LOOKS = {
    "daemon.hello": ("daemon.hello", {}),
    "job.list, a page of 100": ("job.list", {"limit": 100}),
    "job.list, a page of 1,000": ("job.list", {"limit": 1000}),
    "job.list, 100 of all runs": ("job.list", {"runs": True, "limit": 100}),
    "job.list, names": ("job.list", {"names": True}),
    "job.status": ("job.status", {"job_id": "bench"}),
    "a name that no job has": ("job.status", {"job_id": "benhc"}),
    "daemon.status": ("daemon.status", {"metrics": True}),
}


def copy(connection, table, numbers):
    """Put the rows of run 1 into a table once more for each number."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    mine = [dict(zip(columns, row, strict=True)) for row in connection.execute(f"SELECT * FROM {table}")]
    rows = [
        {**row, "run_id": number, "job_name": f"bench-{number}"} | ({"event": None} if "event" in row else {})
        for row in mine
        if row["run_id"] == 1
        for number in numbers
    ]
    values = ", ".join(f":{column}" for column in columns)
    connection.executemany(f"INSERT INTO {table} VALUES ({values})", rows)


def store(daemon, count):
    """Let as many jobs be stored."""
    daemon.stop()
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as connection, connection:
        (last,) = connection.execute("SELECT max(run_id) FROM runs").fetchone()
        for table in TABLES if count > last else ():
            copy(connection, table, range(last + 1, count + 1))
    daemon.start()


def took(connection, look):
    method, params = look
    before = time.perf_counter()
    with suppress(Refused):
        connection.rpc(method, **params)
    return (time.perf_counter() - before) * 1000


def main():
    figures = {name: {} for name in LOOKS}
    daemon = Daemon(executed=True).start()
    try:
        daemon.submit(score("bench", [plain(1)]))
        daemon.wait_for("bench", "completed")
        for count in STORED:
            store(daemon, count)
            with Connection(daemon.socket) as connection:
                times = {name: [] for name in LOOKS}
                for _ in range(ROUNDS):
                    for name, look in LOOKS.items():
                        times[name].append(took(connection, look))
            for name, taken in times.items():
                figures[name][count] = round(statistics.median(taken), 2)
    finally:
        daemon.close()
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(figures, indent=2))
        return
    print("ms, medians".ljust(30), *(f"{count:>10,} stored" for count in STORED))
    for name, found in figures.items():
        print(name.ljust(30), *(f"{found[count]:>17.2f}" for count in STORED))


if __name__ == "__main__":
    main()
