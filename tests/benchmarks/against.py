"""What a sheet of `true` costs in this checkout and in another: python tests/benchmarks/against.py OTHER [ROUNDS].

OTHER is a checkout with a .venv of its own, say `git worktree add ../old TAG` with `pip install -e .` in it. A daemon of
each runs in a cgroup of its own, by whose account all CPU time is told: the daemon's, its workers', that of supervisors and
commands, also of those that nobody has waited for. Rounds are in turn, so that what else the machine does meets
both. Each round is a job of SHEETS sheets, one after the other. Medians in milliseconds a sheet, and the ratio. Needs
root, for the cgroup (v1 `cpuacct`, or v2).
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parents[2]
SHEETS = 100
SCORE = """\
name: NAME
workspace: ./NAME
instrument: cli
sheet: {size: 1, total_items: SHEETS}
prompt: {template: "true"}
"""


class Account:
    """A cgroup, whose CPU time the kernel counts."""

    def __init__(self, name: str) -> None:
        self._v1 = Path("/sys/fs/cgroup/cpuacct")
        self.place = (
            self._v1 if self._v1.is_dir() else Path("/sys/fs/cgroup")
        ) / f"marianne-{name}-{os.getpid()}"
        self.place.mkdir()

    def milliseconds(self) -> float:
        if (usage := self.place / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e6
        return int((self.place / "cpu.stat").read_text().split()[1]) / 1e3

    def join(self) -> None:
        (self.place / "cgroup.procs").write_text(str(os.getpid()))

    def close(self) -> None:
        self.place.rmdir()


class Side:
    """One checkout's daemon, in a home of its own."""

    def __init__(self, checkout: Path, root: Path, name: str, config: str = "") -> None:
        self.name = name
        self.home = root / name
        self.home.mkdir(mode=0o700)
        self._bin = checkout / ".venv/bin"
        self._account = Account(name)
        self._jobs = 0
        names = {"HOME": "", "XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "config"}
        self._environment = {name: str(self.home / below) for name, below in names.items()}
        self._environment["PATH"] = os.environ["PATH"]
        for below in ("state", "run", "config"):
            (self.home / below).mkdir(mode=0o700)
        if config:
            (self.home / "config/marianne").mkdir(mode=0o700)
            (self.home / "config/marianne/config.toml").write_text(config)
        self.daemon = subprocess.Popen(
            [self._bin / "marianned"],
            env=self._environment,
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=self._account.join,  # noqa: PLW1509  this program has one thread
        )
        while self._mzt("status").returncode:
            time.sleep(0.1)

    def milliseconds(self) -> float:
        """Return the processor time of all that is, or was, in the cgroup."""
        return self._account.milliseconds()

    def processes(self) -> list[str]:
        """Return the pids of all in the cgroup."""
        return (self._account.place / "cgroup.procs").read_text().split()

    def _mzt(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [self._bin / "mzt", *words]
        return subprocess.run(command, env=self._environment, cwd=self.home, capture_output=True, check=False)

    def round(self) -> tuple[float, float]:
        """Run a job; return milliseconds a sheet, by the clock and of CPU time."""
        self._jobs += 1
        name = f"job-{self._jobs}"
        (self.home / f"{name}.yaml").write_text(SCORE.replace("NAME", name).replace("SHEETS", str(SHEETS)))
        used, began = self._account.milliseconds(), time.perf_counter()
        ended = self._mzt("run", f"{name}.yaml", "--wait", "-q")
        took = (time.perf_counter() - began) * 1000
        assert ended.returncode == 0, ended.stderr
        return took / SHEETS, (self._account.milliseconds() - used) / SHEETS

    def close(self) -> None:
        self.daemon.terminate()
        self.daemon.wait()
        while (self._account.place / "cgroup.procs").read_text().strip():
            time.sleep(0.05)
        self._account.close()


def main(other: str, rounds: str = "10") -> None:
    root = Path(tempfile.mkdtemp(dir=Path.home()))
    sides = [Side(Path(other).resolve(), root, "other"), Side(HERE, root, "this")]
    try:
        for side in sides:  # the first pays for what is loaded once
            side.round()
        taken: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
        for number in range(int(rounds)):
            for side in sides if number % 2 else sides[::-1]:
                taken[side.name].append(side.round())
        for what, index in (("clock", 0), ("CPU", 1)):
            before, now = ([one[index] for one in taken[side.name]] for side in sides)
            ratios = [b / a for a, b in zip(before, now, strict=True)]
            told = f"{statistics.median(before):.2f} ms, here {statistics.median(now):.2f} ms"
            print(f"{what} a sheet: other {told}, ratio of the pairs {statistics.median(ratios):.3f}")
    finally:
        for side in sides:
            side.close()
        shutil.rmtree(root)


if __name__ == "__main__":
    main(*sys.argv[1:])
