"""What Marianne costs: python tests/benchmarks/run.py [--short] [--rounds N] [--json FILE] [--against FILE].

Medians, each beside the least that could be: an interpreter, a spawn, an fsync, an echo, measured in the same
run and, where it can be, in turn. Everything is asked of a real daemon in a home of its own. docs/performance.md
shows what this prints. `--json` keeps the figures; `--against` warns of each that is a fifth worse than it was
in such a file, by its ratio to its floor where it has one, and never fails for it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import DEADLINE, Connection, Daemon, gated, score

MZT = Path(sys.executable).parent / "mzt"
CLIENTS = 16
WORSE = 1.2
"""By so much a figure is worse that it is told."""
REST_SECONDS = 63
"""After so long workers that have nothing to do are gone, and the process that forks them."""
PASS, SPAWN, FSYNC, ECHO = "python -c pass", "a spawn", "an fsync", "echo"
"""The floors."""


class Figure(NamedTuple):
    """One line of the table."""

    value: float
    unit: str
    floor: str | None = None
    note: str = ""

    @property
    def more_is_better(self):
        return self.unit == "a second"


class Table:
    """The figures by their names, in the order in which they were measured, each printed when it is there."""

    def __init__(self):
        self.figures = {}

    def add(self, name, value, unit, floor=None, note=""):
        self.figures[name] = Figure(value, unit, floor, note)
        times = self.times(name)
        ratio = "" if times is None else f", {times:.{1 if times >= 0.95 else 2}f} x {floor}"
        print(
            f"{name}: {value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}{ratio}{note}",
            flush=True,
        )

    def times(self, name):
        """Return how many times its floor a figure is; None: it has none."""
        figure = self.figures[name]
        floor = self.figures.get(figure.floor)
        return None if floor is None else figure.value / floor.value

    def as_json(self):
        rows = {
            name: {"value": round(figure.value, 3), "unit": figure.unit, "floor": figure.floor}
            | ({} if (times := self.times(name)) is None else {"times": round(times, 3)})
            for name, figure in self.figures.items()
        }
        return {"cores": os.cpu_count(), "python": sys.version.split()[0], "rows": rows}

    def worse_than(self, kept):
        """Yield what is worse than it was kept."""
        now = self.as_json()["rows"]
        for name in now.keys() & kept["rows"].keys():
            both = [rows[name].get("times", rows[name]["value"]) for rows in (kept["rows"], now)]
            before, after = both[::-1] if self.figures[name].more_is_better else both
            if after > WORSE * before:
                yield f"{name}: {both[0]:.2f} before, {both[1]:.2f} now"


def milliseconds(call):
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1000


def interleaved(calls, rounds):
    """Time calls in turn, so that what disturbs one disturbs all; return their medians in milliseconds."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(milliseconds(call))
    return {name: statistics.median(taken) for name, taken in times.items()}


def floors(table, directory, rounds):
    """Time what nothing here can be faster than; fsync in the directory's file system."""

    def sync():
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

    took = interleaved(
        {
            PASS: lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
            SPAWN: lambda: subprocess.run(["bash", "-c", "true"], check=True),
            FSYNC: sync,
        },
        rounds,
    )
    for name, taken in took.items():
        table.add(name, taken, "ms")


def start(table, daemon, rounds):
    times = []
    for _ in range(max(1, rounds // 5)):
        times.append(milliseconds(daemon.start))
        daemon.stop()
    daemon.start()
    table.add("start of the daemon", statistics.median(times), "ms", PASS)


def memory(table, daemon, seconds):
    """Tell the memory of the daemon at rest, and that of all its processes."""
    threading.Event().wait(seconds)
    own = pss(daemon.process.pid)
    everything = sum(pss(pid) for pid in daemon.processes())
    table.add(
        "memory at rest", everything, "MiB", None, f", of them the daemon {own:.0f} (shared pages once)"
    )


def pss(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def instant(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def span(daemon, job):
    """Return the milliseconds from a job's first attempt to its end."""
    journal = daemon.journal(job)
    first = next(event for event in journal if event["type"] == "attempt.started")
    (last,) = [event for event in journal if event["type"] == "job.completed"]
    return (instant(last["recorded_at"]) - instant(first["recorded_at"])) * 1000


def sheets(table, daemon, count):
    """Time sheets of `true`: one after the other, less what the command takes by itself, and many at once.

    Those of a template have it rendered, by a worker.
    """
    one, each = [{"prompt": {"template": template}} for template in ("true", "{{ sheet_num and 'true' }}")]
    many = {"sheet": {"size": 1, "total_items": count}}
    wide = {"sheet": {"size": 1, "total_items": 1, "fan_out": {1: 4 * count}}}
    together = {"parallel": {"enabled": True, "max_concurrent": CLIENTS}}

    def took(name, **top):
        text = {"name": name, "workspace": f"./{name}-work", "instrument": "cli", **top}
        daemon.submit(yaml.safe_dump(text))
        daemon.wait_for(name, "completed", deadline=10 * DEADLINE)
        return span(daemon, name)

    spawn = table.figures[SPAWN].value
    table.add("a sheet of `true`, added", took("chain", **many, **one) / count - spawn, "ms", SPAWN)
    table.add("a sheet of a template, added", took("rendered", **many, **each) / count - spawn, "ms", SPAWN)
    second = 4 * count * 1000 / took("wide", **wide, **one, **together)
    table.add(f"sheets of `true`, {CLIENTS} at once", second, "a second")


def start_jobs(table, daemon, rounds):
    """Start jobs whose sheet waits at a gate, one for each client and more for the time of a submission."""
    daemon.gate(1)
    many = range(max(CLIENTS, rounds))

    def took(name, **how):
        texts = [score(f"{name}-{number}", [gated(1)]) for number in many]
        return statistics.median(milliseconds(lambda text=text: daemon.submit(text, **how)) for text in texts)

    table.add("submit over the socket", took("waits", before="1"), "ms", FSYNC)
    begins = took("bench")
    table.add("submit, while the sheets before begin", begins, "ms", FSYNC)
    daemon.ledger.wait_for("start 1", times=len(many))


def client(table, daemon, rounds):
    """Time whole runs of `mzt` against an interpreter, and one that has loaded Click."""

    def run(*command):
        return lambda: subprocess.run(
            command, env=daemon.environment, cwd=daemon.home, stdout=subprocess.DEVNULL, check=True
        )

    python = sys.executable
    calls = {
        "python -c 'import click'": run(python, "-c", "import click"),
        "mzt --help": run(MZT, "--help"),
        "mzt pause": run(MZT, "pause", "bench-0"),
        "mzt status": run(MZT, "status", "bench-0"),
        "mzt list": run(MZT, "list"),
    }
    for name, taken in interleaved({PASS: run(python, "-c", "pass"), **calls}, rounds).items():
        if name == PASS:
            table.figures[PASS] = Figure(taken, "ms")  # that of these rounds is the floor of these
        else:
            table.add(name, taken, "ms", PASS)


def modify(table, daemon, rounds, many):
    """Time the plan of a modify that changes as many sheets: a thousand."""
    texts = [score("long", [gated(1), *[f"true {word}"] * (many - 1)]) for word in ("one", "two")]
    daemon.submit(texts[0])
    plan = {"text": texts[1], "directory": str(daemon.home), "job_id": "long", "plan": True}
    times = [milliseconds(lambda: daemon.rpc("job.modify", **plan)) for _ in range(rounds // 3 or 1)]
    table.add("plan of a modify of 1,000 sheets", statistics.median(times), "ms")


def validation(table, daemon, rounds, many):
    """Time `mzt validate` of 1,000 sheets, half as many loops, against a sheet alone: start included."""
    for name, count in (("one", 1), ("many", many)):
        spans = {f"{first}-{first + 1}": {"until": _UNTIL} for first in range(1, count, 2)}
        told = {"size": 1, "total_items": count, "loops": spans}
        body = "echo {{ sheet_num }} of {{ total_sheets }}" + (", round {{ loop.round }}" if spans else "")
        check = {"type": "file_exists", "path": "{workspace}/out-{sheet_num}"}
        top = {"name": name, "instrument": "cli", "sheet": told, "prompt": {"template": body}}
        (daemon.home / f"{name}.yaml").write_text(yaml.safe_dump({**top, "validations": [check]}))

    def run(name):
        command = (MZT, "validate", daemon.home / f"{name}.yaml")
        return lambda: subprocess.run(
            command, env=daemon.environment, cwd=daemon.home, stdout=subprocess.DEVNULL, check=True
        )

    took = interleaved({name: run(name) for name in ("one", "many")}, rounds)
    table.add("validate, one sheet", took["one"], "ms", PASS)
    table.add("validate, 1,000 sheets and 500 loops", took["many"], "ms", "validate, one sheet")


_UNTIL = 'file("{workspace}/done").exists or loop.round >= 3'


def requests(table, daemon, seconds):
    """Time requests: on one connection, one after the other, and on many at once; beside a bare echo."""
    daemon.rpc("job.resume", job_id="bench-0")
    path = daemon.home / "echo"
    echo = [sys.executable, str(Path(__file__).with_name("echo.py")), str(path)]
    with subprocess.Popen(echo, stdout=subprocess.PIPE) as server:
        server.stdout.readline()
        for clients in (1, CLIENTS):
            floor = f"{ECHO}, {clients} at once"
            timed(table, floor, path, ["job.status"], clients, seconds)
            timed(table, "job.status", daemon.socket, ["job.status"], clients, seconds, floor)
            both = ["job.pause", "job.resume"]
            timed(table, "job.pause and job.resume", daemon.socket, both, clients, seconds, floor)
        server.kill()


def timed(table, name, path, methods, clients, seconds, floor=None):
    """Ask on so many connections at once until the time is up; tell how often, and how long a reply took."""
    times = [[] for _ in range(clients)]
    ends = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=ask, args=(path, number, methods, ends, times[number]))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = sorted(one for client in times for one in client)
    note = f", p50 {took[len(took) // 2]:.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms"
    whole = name if floor is None else f"{name}, {clients} at once"
    table.add(whole, len(took) / seconds, "a second", floor, note)


def ask(path, number, methods, ends, times):
    """Ask in turn on one connection until the time is up; an echo has no result and is taken as it is."""
    with Connection(path) as line:
        while time.perf_counter() < ends:
            for method in methods:
                times.append(milliseconds(lambda method=method: exchange(line, method, number)))


def exchange(line, method, number):
    line.send(method, job_id=f"bench-{number}")
    assert "error" not in line.message()


def measured(rounds):
    table = Table()
    short = rounds <= SHORT
    many = 10 if short else 1_000
    daemon = Daemon(executed=not short)
    try:
        daemon.configure(f"max_attempts = {2 * CLIENTS + rounds}\nmin_free_disk = 0\n")
        floors(table, daemon.home, rounds)
        start(table, daemon, rounds)
        daemon.submit(score("warm", ["true"]))
        daemon.wait_for("warm", "completed")
        memory(table, daemon, 0 if short else REST_SECONDS)
        sheets(table, daemon, max(5, 2 * rounds))
        start_jobs(table, daemon, rounds)
        client(table, daemon, rounds)
        modify(table, daemon, rounds, many)
        validation(table, daemon, rounds // 2 or 1, many)
        requests(table, daemon, 0.03 if short else 0.12 * rounds)
    finally:
        daemon.close()
    return table


SHORT = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--short", action="store_true", help="measure next to nothing: for a test of this program"
    )
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="warn of what is worse than in this file"
    )
    given = parser.parse_args()
    table = measured(SHORT if given.short else given.rounds)
    if given.against and given.against.exists():
        for line in table.worse_than(json.loads(given.against.read_text())):
            print(f"warning: {line}", file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps(table.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
