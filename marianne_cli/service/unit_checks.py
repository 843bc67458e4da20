"""What `mzt doctor` finds about the service: unit, socket, and what it sees of PATH and credentials."""

import fnmatch
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from marianne_cli import people
from marianne_cli.service.units import USER, SystemdUnit, host_unit, program_of
from marianned import paths
from marianned.errors import NotPermitted
from marianned.instruments.loader import builtin_profiles

_SECRETS = ("*_API_KEY", "*_TOKEN")
_LINGER = Path("/var/lib/systemd/linger")
Check = dict[str, Any]


def service_checks() -> Iterator[Check]:
    """Yield the checks of the service; without one a single check says that there is none."""
    unit = USER
    if not unit.is_installed:
        host = host_unit(people.login(os.getuid()))
        if host.pid is not None:
            yield _check("service", f"{host.name}, the host's, serves you (pid {host.pid})")
        else:
            yield _check("service", "not installed; `mzt start` runs the daemon without systemd")
        return
    told = unit.show(
        "LoadState", "ActiveState", "Result", "NeedDaemonReload", "ExecStart", "Environment", "MainPID"
    )
    if not told:
        yield _check("service", f"{unit.name} is installed, and no user manager answers here")
        return
    yield _unit_check(unit, told)
    yield _program_check(unit, told)
    yield _socket_check(unit)
    yield _lingering_check()
    seen = _environment(unit, told)
    yield from _path_checks(seen)
    yield from _credential_checks(seen)


def _check(name: str, message: str, hints: list[str] | None = None, *, passed: bool = True) -> Check:
    return {"name": name, "passed": passed, "message": message, "hints": hints or []}


def _unit_check(unit: SystemdUnit, told: Mapping[str, str]) -> Check:
    if told.get("NeedDaemonReload") == "yes":
        hints = ["systemctl --user daemon-reload"]
        return _check(
            "service", f"{unit.name} has changed on disk since systemd read it", hints, passed=False
        )
    if told.get("ActiveState") == "failed":
        said = f"{unit.name} has failed: {told.get('Result')}"
        return _check("service", said, [unit.log_command, "mzt config check"], passed=False)
    held = _holder_pid()
    if held is not None and told.get("MainPID") != str(held):
        said = f"a daemon that was started by hand (pid {held}) holds the state directory, not {unit.name}"
        return _check("service", said, ["mzt service install --now"], passed=False)
    return _check("service", f"{unit.name} is {told.get('ActiveState')}")


def _holder_pid() -> int | None:
    """Return the pid of the daemon that holds the state directory; null: none, or a finding says why not."""
    from marianne_cli.service.launch import holder_pid

    try:
        return holder_pid()
    except NotPermitted:
        return None


def _program_check(unit: SystemdUnit, told: Mapping[str, str]) -> Check:
    program = program_of(told)
    if not os.access(program, os.X_OK):
        said = f"{unit.name} starts '{program}', which is not there"
        return _check("service program", said, ["mzt service install"], passed=False)
    return _check("service program", f"'{program}'")


def _socket_check(unit: SystemdUnit) -> Check:
    told = unit.query("show", "marianned.socket", "--property=LoadState,ActiveState,Listen").stdout
    ours = str(paths.socket_path())
    if "LoadState=loaded" not in told:
        return _check("service socket", f"without marianned.socket; the daemon listens at '{ours}' by itself")
    listen = re.search(r"^Listen=(.*?) \(", told, re.MULTILINE)
    there = listen[1] if listen else ""
    if there != ours:
        said = f"systemd listens at '{there}', `mzt` looks at '{ours}'"
        return _check("service socket", said, ["unset MARIANNE_SOCKET"], passed=False)
    return _check("service socket", f"'{there}'")


def _lingering_check() -> Check:
    if (_LINGER / people.login(os.getuid())).exists():
        return _check("lingering", "the service outlives your login")
    said = "off: the service, and what runs under it, ends with your last login"
    return _check("lingering", said, ["loginctl enable-linger"], passed=False)


def _environment(unit: SystemdUnit, told: Mapping[str, str]) -> dict[str, str]:
    """Return what the service sees: that of its process; of one that does not run, what it would get."""
    try:
        pairs = Path(f"/proc/{told['MainPID']}/environ").read_text(errors="replace").split("\0")
    except OSError:
        shared = unit.query("show-environment").stdout.splitlines()
        pairs = [*shared, *told.get("Environment", "").split(" "), *_environment_file()]
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _environment_file() -> list[str]:
    try:
        return (paths.configuration_directory() / "environment").read_text().splitlines()
    except OSError:
        return []


def _path_checks(seen: Mapping[str, str]) -> Iterator[Check]:
    here = {
        profile.cli.command.executable
        for profile in builtin_profiles().values()
        if profile.cli is not None and shutil.which(profile.cli.command.executable)
    }
    missed = sorted(tool for tool in here if not shutil.which(tool, path=seen.get("PATH", "")))
    if missed:
        said = f"not on the service's PATH, but on yours: {', '.join(missed)}"
        yield _check("service PATH", said, ["mzt service install --now"], passed=False)
    else:
        yield _check(
            "service PATH", f"has what yours has of instruments: {', '.join(sorted(here)) or 'none'}"
        )


def _credential_checks(seen: Mapping[str, str]) -> Iterator[Check]:
    wanted: dict[str, set[str]] = {}
    for name, profile in builtin_profiles().items():
        if profile.script == "shell":
            continue  # it takes all there is
        patterns: list[str] = []
        if profile.cli is not None and shutil.which(profile.cli.command.executable):
            patterns = (
                [*_SECRETS] if profile.cli.command.required_env is None else profile.cli.command.required_env
            )
        elif profile.http is not None and profile.http.auth_env_var:
            patterns = [profile.http.auth_env_var]
        for variable in os.environ:
            if any(fnmatch.fnmatchcase(variable, pattern) for pattern in patterns):
                wanted.setdefault(variable, set()).add(name)
    missed = sorted(variable for variable in wanted if variable not in seen)
    if not missed:
        yield _check("service credentials", "it has the variables that instruments take from this shell")
        return
    told = "; ".join(f"{variable} ({', '.join(sorted(wanted[variable]))})" for variable in missed)
    file = paths.configuration_directory() / "environment"
    take = f"(umask 77; env | grep -E '^({'|'.join(missed)})=' >> {file})"
    said = f"it lacks what this shell has, and instruments take: {told}"
    yield _check("service credentials", said, [take, "mzt restart"], passed=False)
