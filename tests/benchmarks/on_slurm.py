"""What a cluster costs: sheets by the daemon beside a bare array, and the daemon's CPU while thousands wait.

    python tests/benchmarks/on_slurm.py [sheets] [queued]

Needs what tests/slurm needs. Everything, the cluster with its three nodes too, shares this machine.
"""

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "slurm"))

from kit.daemon import Daemon
from kit.loopback import Cluster, why_not
from test_jobs_on_slurm import fan

LONGEST = 900


def cpu(pid):
    """Return the seconds that a process and the children it has waited for have worked."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def bare_array(cluster, count):
    """Run an array of `true`, as sbatch does it alone."""
    words = ["--wait", "--output=/dev/null", f"--array=1-{count}", "--wrap", "true"]
    return timed(lambda: cluster.command("sbatch", *words))


def sheets(house, name, count):
    """Run so many sheets of `true`; return seconds, and the daemon's CPU meanwhile."""
    before = cpu(house.process.pid)

    def run():
        house.submit(fan(name, count, "true", prompt={"template": "true"}))
        house.wait_for(name, "ended", deadline=LONGEST)

    took = timed(run)
    assert house.status(name)["status"] == "completed"
    return took, cpu(house.process.pid) - before


def one_by_one(house, times):
    """Return how long a job of one sheet on the cluster takes, each time."""
    found = []
    for number in range(times):
        text = fan(f"one{number}", 1, "true", prompt={"template": "true"})
        began = time.monotonic()
        house.submit(text)
        house.wait_for(f"one{number}", "ended", deadline=LONGEST)
        found.append(time.monotonic() - began)
    return found


def memory(pid):
    """Return the MiB that a process has for itself."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def queued(house, count):
    """Return what the daemon takes while so many wait in the queue: of a core, helpers included; MiB more."""
    bare = memory(house.process.pid)
    given = {"executor": {"type": "slurm", "arguments": ["--hold"]}, "prompt": {"template": "true"}}
    for half in ("a", "b"):
        house.submit(fan(f"held-{count}-{half}", count // 2, "true", **given))
    while sum("held by its user" in house.status(f"held-{count}-{half}")["message"] for half in "ab") < 2:
        time.sleep(1)
    time.sleep(15)  # what submitting has cost is over
    before, began = cpu(house.process.pid), time.monotonic()
    time.sleep(30)
    share = (cpu(house.process.pid) - before) / (time.monotonic() - began)
    more = memory(house.process.pid) - bare
    for half in ("a", "b"):
        house.rpc("job.cancel", job_id=f"held-{count}-{half}", wait=True, timeout=LONGEST)
    return share, more


def main():
    count, waiting = (int(word) for word in (sys.argv[1:] + ["1000", "2000"][len(sys.argv) - 1 :])[:2])
    if why := why_not():
        sys.exit(why)
    cluster = Cluster(SLURM_LOCAL_CPUS="512", SLURM_LOCAL_MEM="100000")
    os.environ["SLURM_CONF"] = str(cluster.configuration)
    try:
        cluster.set(MaxArraySize=2001, MaxJobCount=20000)
        print(f"bare array of {count}: {bare_array(cluster, count):.1f} s")
        house = Daemon()
        house.configure('executor = "slurm"\n')
        house.start()
        try:
            each = one_by_one(house, 7)
            print(f"one sheet, from its submission to its end: {statistics.median(each):.2f} s")
            took, worked = sheets(house, "many", count)
            print(
                f"{count} sheets: {took:.1f} s, {count / took:.0f} a second, "
                f"daemon {1000 * worked / count:.1f} ms of CPU a sheet"
            )
            for some in (waiting // 4, waiting):
                share, more = queued(house, some)
                print(f"{some} queued: daemon {100 * share:.1f} % of a core, {more:.0f} MiB more")
        finally:
            house.close()
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
