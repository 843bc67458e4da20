"""What others cost on the same work: python tests/benchmarks/peers.py [--rounds N] [NAME...].

Each peer is installed into a virtual environment that is thrown away, or found on this machine, and set to the
same task: `true`, started, waited for and on record, one after the other; and its client, a whole process that
asks for the state. What can't be had here is skipped and named. Peers keep what they do in different ways: the
page says which of them sync.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.run import interleaved


class Absent(Exception):
    """A peer that can't be had here; the message says why."""


@contextmanager
def environment(*packages):
    """Make a virtual environment with these packages; yield its programs' directory."""
    with tempfile.TemporaryDirectory(prefix="peer") as place:
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        programs = Path(place) / "bin"
        done = subprocess.run(
            [programs / "pip", "install", "-q", *packages], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise Absent(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip has failed")
        yield programs


def quietly(*command, **how):
    return lambda: subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how
    )


def reported(programs, program, place, rounds):
    """Run a program in an environment, which prints the milliseconds of one task; return their median."""
    done = subprocess.run(
        [programs / "python", "-c", textwrap.dedent(program), str(rounds)],
        cwd=place, env={**os.environ, "HOME": str(place)}, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise Absent(done.stderr.strip().splitlines()[-1])
    return float(done.stdout.split()[-1])


def bare(_place, rounds):
    return interleaved({"a task of `true`": quietly("bash", "-c", "true")}, rounds)


def task_spooler(place, rounds):
    program = shutil.which("tsp") or shutil.which("ts")
    if program is None:
        raise Absent("not installed: apt install task-spooler")
    env = {**os.environ, "TS_SOCKET": str(place / "s"), "TMPDIR": str(place)}
    try:
        return interleaved(
            {
                "a task of `true`": quietly(program, "-f", "true", env=env),
                "client": quietly(program, env=env),
            },
            rounds,
        )
    finally:
        quietly(program, "-K", env=env)()


def supervisor(place, rounds):
    with environment("supervisor", "setuptools<81") as programs:
        config = place / "supervisord.conf"
        config.write_text(
            f"[unix_http_server]\nfile={place}/s\n[supervisord]\nlogfile={place}/log\npidfile={place}/pid\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{place}/s\n"
            "[program:sleeper]\ncommand=sleep 1000\n"
        )
        with subprocess.Popen(
            [programs / "supervisord", "-n", "-c", config], stdout=subprocess.DEVNULL
        ) as daemon:
            try:
                asks = quietly(programs / "supervisorctl", "-c", str(config), "status", "sleeper")
                for _ in range(100):
                    try:
                        asks()
                        break
                    except subprocess.CalledProcessError:
                        time.sleep(0.1)  # it says nobody when it serves
                else:
                    raise Absent("supervisord does not answer")
                return interleaved({"client": asks}, rounds)
            finally:
                daemon.terminate()


HUEY = """
    import statistics, subprocess, sys, time
    from huey import SqliteHuey
    huey = SqliteHuey(filename="huey.db", fsync=True)
    @huey.task()
    def true():
        return subprocess.run(["bash", "-c", "true"]).returncode
    took = []
    consumer = huey.create_consumer(workers=1, initial_delay=0.001, max_delay=0.001)
    consumer.start()
    for _ in range(int(sys.argv[1])):
        began = time.perf_counter()
        true()(blocking=True, backoff=1, max_delay=0.0005)
        took.append((time.perf_counter() - began) * 1000)
    consumer.stop(graceful=True)
    print(statistics.median(took))
"""
DBOS = """
    import statistics, subprocess, sys, time
    from dbos import DBOS
    DBOS(config={"name": "bench", "system_database_url": "sqlite:///dbos.db", "run_admin_server": False})
    @DBOS.step()
    def true():
        return subprocess.run(["bash", "-c", "true"]).returncode
    @DBOS.workflow()
    def work(count):
        took = []
        for _ in range(count):
            began = time.perf_counter()
            true()
            took.append((time.perf_counter() - began) * 1000)
        return took
    DBOS.launch()
    found = work(int(sys.argv[1]))
    DBOS.destroy()
    print(statistics.median(found))
"""
PREFECT = """
    import statistics, subprocess, sys, time
    from prefect import flow, task
    @task
    def true():
        return subprocess.run(["bash", "-c", "true"]).returncode
    @flow
    def work(count):
        took = []
        for _ in range(count):
            began = time.perf_counter()
            true()
            took.append((time.perf_counter() - began) * 1000)
        return took
    print(statistics.median(work(int(sys.argv[1]))))
"""


def in_process(package, program):
    """Return how a library is measured that runs tasks in the process that asks."""

    def measured(place, rounds):
        with environment(package) as programs:
            return {"a task of `true`": reported(programs, program, place, rounds)}

    return measured


PEERS = {
    "bare": bare,
    "task-spooler": task_spooler,
    "supervisor": supervisor,
    "huey": in_process("huey", HUEY),
    "dbos": in_process("dbos", DBOS),
    "prefect": in_process("prefect", PREFECT),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    for name in given.names or PEERS:
        with tempfile.TemporaryDirectory(prefix="peer") as place:
            try:
                took = PEERS[name](Path(place), given.rounds)
            except (Absent, OSError, subprocess.SubprocessError, statistics.StatisticsError) as absent:
                print(f"{name}: skipped: {absent}")
                continue
        for what, taken in took.items():
            print(f"{name}, {what}: {taken:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
