"""What Marianne costs: python tests/benchmarks/run.py [--short]. Medians, against the least that could be.

Everything is asked of a real daemon in a home of its own. The figures of docs/performance.md are this
script's output.
"""

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import Connection, Daemon, gated, score

MZT = Path(sys.executable).parent / "mzt"
CLIENTS = 16


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


def start_jobs(daemon):
    """Start jobs whose sheet waits at a gate, one for each client."""
    daemon.gate(1)
    for number in range(CLIENTS):
        daemon.submit(score(f"bench-{number}", [gated(1)]))
    daemon.ledger.wait_for("start 1", times=CLIENTS)


def client(daemon, rounds):
    """Time `mzt pause` against an interpreter, and one that has loaded Click."""

    def run(*command):
        return lambda: subprocess.run(
            command, env=daemon.environment, cwd=daemon.home, stdout=subprocess.DEVNULL, check=True
        )

    python = sys.executable
    took = interleaved(
        {
            "python -c pass": run(python, "-c", "pass"),
            "python -c 'import click'": run(python, "-c", "import click"),
            "mzt --help": run(MZT, "--help"),
            "mzt pause": run(MZT, "pause", "bench-0"),
        },
        rounds,
    )
    bare = took["python -c pass"]
    for name, taken in took.items():
        print(f"{name}: {taken:.0f} ms, {taken / bare:.1f} x python -c pass")


def requests(daemon, seconds):
    """Time requests: on one connection, one after the other, and on many at once; beside a bare echo."""
    daemon.rpc("job.resume", job_id="bench-0")
    path = daemon.home / "echo"
    echo = [sys.executable, str(Path(__file__).with_name("echo.py")), str(path)]
    with subprocess.Popen(echo, stdout=subprocess.PIPE) as server:
        server.stdout.readline()
        for clients in (1, CLIENTS):
            timed("echo", path, ["job.status"], clients, seconds)
            timed("job.status", daemon.socket, ["job.status"], clients, seconds)
            timed("job.pause and job.resume", daemon.socket, ["job.pause", "job.resume"], clients, seconds)
        server.kill()


def timed(name, path, methods, clients, seconds):
    """Ask on so many connections at once until the time is up; print how often, and how long a reply took."""
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
    print(
        f"{name}, {clients} at once: {len(took) / seconds:.0f} a second, "
        f"p50 {took[len(took) // 2]:.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms"
    )


def ask(path, number, methods, ends, times):
    """Ask in turn on one connection until the time is up; an echo has no result and is taken as it is."""
    with Connection(path) as line:
        while time.perf_counter() < ends:
            for method in methods:
                times.append(milliseconds(lambda method=method: exchange(line, method, number)))


def exchange(line, method, number):
    line.send(method, job_id=f"bench-{number}")
    assert "error" not in line.message()


def sheets(daemon, count):
    """Time sheets of `true`, one after the other, less what the command takes by itself."""
    bare = interleaved({"true": lambda: subprocess.run(["bash", "-c", "true"], check=True)}, 20)["true"]
    daemon.submit(score("chain", ["true"] * count))
    daemon.wait_for("chain", "completed")
    at = {event["type"]: event["recorded_at"] for event in daemon.journal("chain")}
    first = next(event for event in daemon.journal("chain") if event["type"] == "attempt.started")
    whole = (instant(at["job.completed"]) - instant(first["recorded_at"])) * 1000 / count
    print(
        f"a sheet of `true`: {whole:.1f} ms, of them the command itself {bare:.1f} ms, added {whole - bare:.1f} ms"
    )


def validation(daemon, rounds):
    """Time `mzt validate` of 1,000 sheets, half as many loops, against a sheet alone: start included."""
    for name, count in (("one", 1), ("many", 1_000)):
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
    times = took["many"] / took["one"]
    print(
        f"validate, 1,000 sheets and 500 loops: {took['many']:.0f} ms, {times:.1f} times that of one sheet ({took['one']:.0f} ms)"
    )


_UNTIL = 'file("{workspace}/done").exists or loop.round >= 3'


def instant(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def memory(daemon):
    """Tell the daemon's own memory at rest, and that of all its processes."""
    own = pss(daemon.process.pid)
    others = sum(pss(pid) for pid in daemon.processes() if pid != daemon.process.pid)
    print(
        f"memory at rest: the daemon {own:.0f} MiB, its worker processes {others:.0f} MiB (shared pages counted once)"
    )


def pss(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main():
    short = "--short" in sys.argv
    daemon = Daemon(executed=True)
    try:
        began = time.perf_counter()
        daemon.start()
        print(f"start of the daemon: {(time.perf_counter() - began) * 1000:.0f} ms")
        daemon.submit(score("warm", ["true"]))
        daemon.wait_for("warm", "completed")
        memory(daemon)
        sheets(daemon, 5 if short else 50)
        start_jobs(daemon)
        client(daemon, 2 if short else 25)
        validation(daemon, 1 if short else 15)
        requests(daemon, 0.2 if short else 3)
    finally:
        daemon.close()


if __name__ == "__main__":
    main()
