"""Where the time of a sheet, a submission, a look and a pause goes: python tests/benchmarks/spans.py [OTHER] [--rounds N].

Processor time, by who spends it: the daemon's loop, its other threads (the writer, those that wait for files),
worker processes, and all else in its cgroup: the fork server, supervisors, the commands. With OTHER, another
checkout with a .venv of its own (see against.py), rounds are in turn, and each line has both, medians in
milliseconds. Needs root, for the cgroup.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
from against import HERE, Side
from kit.daemon import Connection

SHEETS, WIDE, SUBMISSIONS, LOOKS, PAUSES = 100, 160, 30, 1000, 200
CONFIG = "max_attempts = 40\nmin_free_disk = 0\nmax_queued = 100000\n"
OPERATIONS = {
    "a sheet of `true`, one after the other": SHEETS,
    "a sheet of `true`, 16 at once": WIDE,
    "job.submit": SUBMISSIONS,
    "job.status, a sheet runs": LOOKS,
    "job.status, paused": LOOKS,
    "job.pause and job.resume": PAUSES,
}


class Spent(NamedTuple):
    """Milliseconds of processor time: in all, and who spent them."""

    whole: float
    loop: float
    threads: float
    workers: float
    rest: float

    def since(self, before: "Spent") -> "Spent":
        """Return what was spent between two moments."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


class Asked(Side):
    """One checkout's daemon, asked over its socket."""

    def __init__(self, checkout: Path, root: Path, name: str) -> None:
        super().__init__(checkout, root, name, config=CONFIG)
        (path,) = self.home.glob("run/**/marianned.sock")
        self._line = Connection(path)
        self._line.socket.settimeout(None)  # on a busy machine a job of many sheets takes minutes
        self._number = 0
        self.submit("runs", "sleep 3600")
        self.submit("held", "true", before="1")
        self.rpc("job.wait", job_id="held", words=["paused"])

    def rpc(self, method: str, **params: Any) -> Any:
        return self._line.rpc(method, **params)

    def submit(self, name: str, template: str, sheets: int = 1, **given: Any) -> None:
        at_once = given.pop("at_once", 1)
        score: dict[str, Any] = {
            "name": name,
            "workspace": f"./{name}",
            "instrument": "cli",
            "sheet": {"size": 1, "total_items": sheets},
            "prompt": {"template": template},
        }
        if at_once > 1:
            score["sheet"] = {"size": 1, "total_items": 1, "fan_out": {1: sheets}}
            score["parallel"] = {"enabled": True, "max_concurrent": at_once}
        where = {"directory": str(self.home), "submit_directory": str(self.home)}
        self.rpc("job.submit", text=json.dumps(score), **where, **given)

    def spent(self) -> Spent:
        """Return what was spent so far; of what has ended the cgroup alone knows."""
        loop = threads = workers = 0.0
        for pid in self.processes():
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            times = {one.name: int((one / "schedstat").read_text().split()[0]) / 1e6 for one in _threads(pid)}
            if pid == str(self.daemon.pid):
                loop = times.pop(pid)
                threads = sum(times.values())
            elif name.startswith("mzt-"):
                workers += sum(times.values())
        whole = self.milliseconds()
        return Spent(whole, loop, threads, workers, whole - loop - threads - workers)

    def do(self, what: str) -> Spent:
        """Do an operation many times; return what each has cost."""
        self._number += 1
        name, many, before = f"job-{self._number}", OPERATIONS[what], self.spent()
        if what.startswith("a sheet"):
            self.submit(name, "true", many, at_once=16 if "16" in what else 1)
            self.rpc("job.wait", job_id=name, words=["completed"])
        for number in range(0 if what.startswith("a sheet") else many):
            if what == "job.submit":
                self.submit(f"{name}-{number}", "true", before="1")
            elif what.startswith("job.status"):
                self.rpc("job.status", job_id="runs" if "runs" in what else "held")
            else:
                self.rpc("job.pause", job_id="runs")
                self.rpc("job.resume", job_id="runs")
        return Spent(*(one / many for one in self.spent().since(before)))

    def close(self) -> None:
        try:
            self.rpc("job.cancel", job_id="runs", wait=True)
        finally:
            self._line.close()
            super().close()


def _threads(pid: str) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=Path.home()))
    sides: list[Asked] = []
    try:
        if given.other:
            sides.append(Asked(given.other.resolve(), root, "before"))
        sides.append(Asked(HERE, root, "now"))
        print(
            "| | | in all | loop | threads | workers | supervisors, commands |\n|---|---|---|---|---|---|---|"
        )
        for what in OPERATIONS:
            taken: dict[str, list[Spent]] = {side.name: [] for side in sides}
            for number in range(-1, given.rounds):
                for side in sides if number % 2 else sides[::-1]:
                    spent = side.do(what)
                    if number >= 0:  # the first pays for what is loaded once
                        taken[side.name].append(spent)
            for side in sides:
                cells = [f"{statistics.median(column):.2f}" for column in zip(*taken[side.name], strict=True)]
                print(f"| {what} | {side.name} | {' | '.join(cells)} |", flush=True)
    finally:
        for side in sides:
            side.close()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
