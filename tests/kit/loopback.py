"""A Slurm cluster on loopback: three nodes, started once a test process, with faults to inject."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from kit.left_behind import ends_with_us

SCRIPT = Path(__file__).parents[2].parent / "shared" / "slurm" / "start-local-slurm.sh"
LONG = os.environ.get("MARIANNE_SLURM_LONG") == "1"
"""Whether what takes minutes is tried too."""
_SECONDS = 120
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def why_not():
    """Say why no cluster can be started here; None: one can."""
    if not SCRIPT.is_file():
        return "needs ../shared/slurm/start-local-slurm.sh"
    missing = [
        name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name, path=_SEARCHED)
    ]
    return f"not installed: {', '.join(missing)}" if missing else None


class Cluster:
    """The cluster; `faults` names what can be done to it: ctld-kill, ctld-start, node-kill NAME and so on.

    `spoilt`: its controller or a node was killed. Such a controller gives numbers of jobs again that nodes still
    know ("Duplicate jobid"), drains them and fails the new job; and it lists jobs as running that have long ended.
    `_unsettled`: its controller was started anew, and knows of no node's state before that node has registered.
    """

    def __init__(self, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="slurm"))
        port = _free_ports()
        self.environment = os.environ | {
            "SLURM_LOCAL_DIR": str(self.directory),
            "SLURM_LOCAL_PORT": str(port),
            "SLURM_LOCAL_CPUS": "128",
            "SLURM_LOCAL_KILLWAIT": "2",
            **settings,
        }
        self.configuration = self.directory / "slurm.conf"
        self.spoilt = self._unsettled = False
        ends_with_us(f"SLURM_LOCAL_DIR={self.directory}")
        self.fault("start")

    def fault(self, *words):
        """Have the script do it, and wait until that is done."""
        self.spoilt = self.spoilt or words[0].endswith("-kill")
        self._unsettled = words[0] != "start"
        with tempfile.TemporaryFile() as said:  # no pipe: daemons that it starts would keep that open
            done = subprocess.run(
                [str(SCRIPT), *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=_SECONDS,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode()

    def settle(self):
        """Wait until it is as one just started: each node has registered with the controller."""
        if self._unsettled:
            self.fault("start")

    def command(self, *argv):
        """Run one of Slurm's commands; return what it says."""
        environment = self.environment | {"SLURM_CONF": str(self.configuration)}
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def queue(self):
        """Return the jobs that wait or run, by their names."""
        return self.command("squeue", "--noheader", "--array", "--format=%j %T").split("\n")[:-1]

    def log(self):
        """Return the end of what the controller has logged; pytest shows it where a test fails."""
        log = self.directory / "log" / "slurmctld.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-40:])

    def set(self, **settings):
        """Change settings of the running controller, which takes them over at once."""
        lines = self.configuration.read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in settings]
        kept += [f"{name}={value}" for name, value in settings.items() if value is not None]
        self.configuration.write_text("\n".join(kept) + "\n")
        self.command("scontrol", "reconfigure")

    def close(self):
        self.fault("stop")
        shutil.rmtree(self.directory, ignore_errors=True)


def _free_ports():
    """Return the first of ten ports in a row that nobody has."""
    for port in range(20_000 + os.getpid() % 800 * 10, 60_000, 10):
        taken = [one for one in range(port, port + 5) if _taken(one)]
        if not taken:
            return port
    raise AssertionError("no ports are free")


def _taken(port):
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
