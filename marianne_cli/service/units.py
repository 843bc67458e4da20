"""The units of systemd that run the daemon: which they are, what systemctl says of them, and asking it."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from marianned import paths
from marianned.errors import NotPermitted, WaitTimeout
from marianned.formatting import time_asked

_QUICK_SECONDS = 10.0
_SYSTEM_DIRECTORY = Path("/etc/systemd/system")
_SHARED_DIRECTORIES = (
    Path("/etc/systemd/user"),
    Path("/usr/local/lib/systemd/user"),
    Path("/usr/lib/systemd/user"),
)


_PLACE_VARIABLES = (
    "MARIANNE_SOCKET",
    "STATE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
)


class SystemdUnit(NamedTuple):
    """A service of systemd, of the user's manager or of the system's, and the socket unit beside it."""

    name: str
    system: bool

    @property
    def systemctl(self) -> list[str]:
        """The beginning of systemctl's command line for it."""
        return ["systemctl"] if self.system else ["systemctl", "--user"]

    @property
    def units(self) -> list[str]:
        """Its names: the service, and the socket where it has one."""
        return [self.name] if self.system else [self.name, "marianned.socket"]

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        return ["marianned@.service"] if self.system else ["marianned.service", "marianned.socket"]

    @property
    def directory(self) -> Path:
        """Where its files are written."""
        if self.system:
            return _SYSTEM_DIRECTORY
        given = os.environ.get("XDG_CONFIG_HOME", "")
        return (
            (Path(given) if given.startswith("/") else paths.home_directory() / ".config")
            / "systemd"
            / "user"
        )

    @property
    def is_installed(self) -> bool:
        """Whether its file is there, whoever put it there."""
        places = (self.directory, *(() if self.system else _SHARED_DIRECTORIES))
        return any((place / self.files[0]).exists() for place in places)

    def query(self, *arguments: str, timeout: float = _QUICK_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run systemctl; where there is none, or it hangs, that is a failure like another."""
        command = [*self.systemctl, "--no-ask-password", *arguments]
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))

    def run(self, *arguments: str, timeout: float = _QUICK_SECONDS) -> None:
        """Run systemctl.

        Raises:
            NotPermitted: systemd refused.
            WaitTimeout: it is not done in time; it goes on.
        """
        typed = " ".join([*self.systemctl, *arguments])
        try:
            done = subprocess.run(
                [*self.systemctl, "--no-ask-password", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise WaitTimeout(
                f"'{typed}' is not done after {time_asked(timeout)}; it goes on", hints=[self.status_command]
            ) from None
        except OSError as error:
            raise NotPermitted(f"'{typed}' can't be run: {error}") from None
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            hints = [f"sudo {typed}"] if self.system and os.getuid() else [self.log_command]
            raise NotPermitted(f"systemd refused '{typed}': {said[0]}", hints=hints)

    @property
    def status_command(self) -> str:
        """The command that shows its status."""
        return f"{' '.join(self.systemctl)} status {self.name}"

    @property
    def log_command(self) -> str:
        """The command that shows its log."""
        return f"journalctl {'' if self.system else '--user '}-u {self.name.removesuffix('.service')} -n 30"

    def show(self, *properties: str) -> dict[str, str]:
        """Return properties of the service; empty where systemd does not answer."""
        said = self.query("show", self.name, f"--property={','.join(properties)}").stdout
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    @property
    def environment(self) -> dict[str, str | None]:
        """What its daemon finds other than this shell has it, of the variables that say where things lie."""
        told = self.show("Environment").get("Environment", "")
        own = dict(one.split("=", 1) for one in told.split(" ") if "=" in one)
        return {name: own.get(name) for name in _PLACE_VARIABLES}

    @property
    def missing_program(self) -> str | None:
        """The program that it starts, where that is not there any more; null: it is there, or not known."""
        program = program_of(self.show("ExecStart"))
        return program if program and not os.access(program, os.X_OK) else None

    @property
    def pid(self) -> int | None:
        """The daemon's process; null when it does not run."""
        return int(self.show("MainPID").get("MainPID", "0")) or None


def program_of(told: Mapping[str, str]) -> str:
    """Return the program of the property ExecStart; empty: it is not told."""
    found = re.search(r"path=(\S.*?) ; argv", told.get("ExecStart", ""))
    return found[1] if found else ""


USER = SystemdUnit("marianned.service", system=False)


def host_unit(user: str) -> SystemdUnit:
    """Return the service that a host runs for a user."""
    return SystemdUnit(f"marianned@{user}.service", system=True)


def unit_of(pid: int) -> SystemdUnit | None:
    """Return the unit that a daemon is the main process of, by its control group; null: none.

    What is started from inside a service shares its group: so systemd is asked, too.
    """
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text().split()
    except OSError:
        return None
    for name in {group.rpartition("/")[2] for group in groups}:
        if name == USER.name or name.startswith("marianned@"):
            unit = USER if name == USER.name else SystemdUnit(name, system=True)
            return unit if unit.pid == pid else None
    return None


def unit_to_start(socket: str | None) -> SystemdUnit | None:
    """Return the unit to start where no daemon answers: installed, and for the socket that is meant."""
    elsewhere = ("MARIANNE_SOCKET", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY")
    if socket is not None or any(name in os.environ for name in elsewhere) or not USER.is_installed:
        return None
    return USER if USER.show("LoadState").get("LoadState") == "loaded" else None


def listening_unit(socket: str | None) -> SystemdUnit | None:
    """Return the unit whose socket systemd listens at while no daemon runs; null: there is none."""
    unit = unit_to_start(socket)
    if unit is None or unit.pid is not None:
        return None
    return unit if unit.query("is-active", "marianned.socket").returncode == 0 else None
