"""`mzt service`: run the daemon under systemd."""

import os
import sys
from pathlib import Path

import marianned
from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianne_cli.service.units import USER, SystemdUnit, host_unit
from marianned.errors import BadRequest, NotPermitted

_LINGER = Path("/var/lib/systemd/linger")


@options.command(
    "service", "mzt service install --now", "mzt service", "sudo mzt service install --system --user ann"
)
@options.argument("action", kind=kinds.OneOf("status", "install", "uninstall"), default="status")
@options.flag("--system", help="Install it for the host, one user each: marianned@USER.")
@options.flag("--now", help="With install: also start it; a daemon you started by hand is replaced.")
@options.option(
    "--user",
    metavar="NAME",
    kind=kinds.Name(),
    help="With --system: for whom; without: who called sudo, or you.",
)
def command(call: Invocation, *, action: str, system: bool, now: bool, user: str | None) -> CommandOutcome:
    """Run the daemon under systemd: show its state, install it, uninstall it."""
    if user is not None and not system:
        raise Misuse("--user goes with --system")
    unit = host_unit(_user(user, action)) if system else USER
    if now and action != "install":
        raise Misuse("--now goes with 'install'")
    try:
        if action == "install":
            return _install(call, unit, now=now)
        if action == "uninstall":
            return _uninstall(call, unit)
    except NotPermitted as error:
        return _outcome(unit, error.message, error.hints, finding="E516")
    return _status(unit)


def _user(named: str | None, action: str) -> str:
    """Return whom a service of the host is for: who is named, else who called sudo, else who calls.

    Raises:
        Misuse: there is no such user, or it would be root, and nobody said so.
    """
    import pwd

    from marianne_cli import people

    user = named or os.environ.get("SUDO_USER") or people.login(os.getuid())
    try:
        number = pwd.getpwnam(user).pw_uid
    except KeyError:
        if named is None or action != "install":
            return user
        raise Misuse(f"there is no user '{user}'") from None
    if number == 0 and named is None and action == "install":
        raise Misuse("for whom? say --user NAME; root's agents may do everything: --user root says so")
    return user


def _check_owned_by_root(program: str) -> None:
    """Make sure that only root can change the program that a service of the host starts for all its users.

    Raises:
        NotPermitted: somebody can.
    """
    import sysconfig

    from marianned import files

    for path in (program, str(Path(marianned.__file__).parent), sysconfig.get_path("stdlib")):
        try:
            why = files.changed_by_others(path)
        except OSError as error:
            why = f"'{path}' can't be looked at: {error.strerror}"
        if why is not None:
            raise NotPermitted(
                f"'{program}' would run as every user of marianned@, and {why}",
                hints=["install marianne as root in a directory of root's, such as /opt/marianne"],
            )


def _install(call: Invocation, unit: SystemdUnit, *, now: bool) -> CommandOutcome:
    from marianne_cli.service import unit_files

    version = _version(unit)
    if unit.system and os.geteuid() == 0:  # anybody else can't write the template
        _check_owned_by_root(sys.executable)
    _check_not_edited(unit)
    if now:
        _check_next_start(unit)
    texts = {unit.directory / name: unit_files.render_unit(unit, name, version) for name in unit.files}
    try:
        different = [unit_files.write(path, text) for path, text in texts.items()]
    except OSError as error:
        hints = ['sudo "$(command -v mzt)" service install --system'] if unit.system else []
        raise NotPermitted(f"{error.strerror}: '{error.filename}'", hints=hints) from None
    unit.run("daemon-reload")
    unit.run("enable", *unit.units)
    ran = unit.pid is not None
    if now:
        _stop_daemon_by_hand(call, unit)
        unit.run("restart" if ran and any(different) else "start", unit.name, timeout=150.0)
    state = "and runs" if unit.pid is not None else "it starts with the next boot or `mzt start`"
    said = f"{unit.name}: installed in '{unit.directory}' for {_python()}, {state}"
    hints = [] if now or ran else ["mzt start" if not unit.system else f"sudo systemctl start {unit.name}"]
    if ran and any(different) and not now:
        hints = ["mzt restart"]
    if not unit.system and not _lingers():
        said += "; without lingering it and its attempts end with your last login"
        hints.append("loginctl enable-linger")
    return _outcome(unit, said, hints)


def _check_next_start(unit: SystemdUnit) -> None:
    """See that the service will start before a daemon that runs makes way for it."""
    from marianne_cli.service import launch

    held = None if unit.system else launch.holder_pid()
    if held is not None:
        launch.check_next_start(held, None)


def _python() -> str:
    return f"'{sys.executable}'"


def _stop_daemon_by_hand(call: Invocation, unit: SystemdUnit) -> None:
    """Stop a daemon that runs by hand: it holds the state directory. Its attempts go on."""
    from marianne_cli.service import launch
    from marianne_cli.service.units import unit_of

    held = None if unit.system else launch.holder_pid()
    if held is not None and unit_of(held) is None:
        launch.terminate(held, 60.0)
        call.note(f"marianned (pid {held}), started by hand, has made way")


def _uninstall(call: Invocation, unit: SystemdUnit) -> CommandOutcome:
    _version(unit)
    _check_not_edited(unit)
    there = [unit.directory / name for name in unit.files if (unit.directory / name).exists()]
    if not there:
        return _outcome(unit, f"{unit.name}: not installed by `mzt service install`", [])
    unit.query("disable", "--now", *reversed(unit.units), timeout=90.0)
    others = sorted(path.name for path in unit.directory.glob("*.wants/marianned@*.service"))
    if unit.system and others:
        return _outcome(unit, f"{unit.name}: disabled; the template stays, for {', '.join(others)}", [])
    for path in there:
        try:
            path.unlink()
        except OSError as error:
            raise NotPermitted(f"{error.strerror}: '{path}'", hints=[f"sudo rm {path}"]) from None
    unit.run("daemon-reload")
    unit.query("reset-failed", *unit.units)
    for directory in (
        *(unit.directory / f"{name}.wants" for name in ("default.target", "sockets.target")),
        unit.directory,
        unit.directory.parent,
    ):
        if not unit.system:
            _remove_empty(directory)
    call.note("attempts in flight go on; `mzt start` takes them up")
    return _outcome(unit, f"{unit.name}: uninstalled", [])


def _remove_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # not ours alone


def _status(unit: SystemdUnit) -> CommandOutcome:
    told = unit.show("LoadState", "ActiveState", "SubState", "StatusText", "MainPID", "UnitFileState")
    if not told:
        return _outcome(unit, f"{unit.name}: systemd does not answer here", ["mzt doctor"], finding="E516")
    if told.get("LoadState") != "loaded":
        return _outcome(unit, f"{unit.name}: not installed", ["mzt service install"])
    state = f"{told['ActiveState']} ({told['SubState']})"
    pid = f", pid {told['MainPID']}" if told["MainPID"] != "0" else ""
    text = f"; {told['StatusText']}" if told.get("StatusText") and pid else ""
    said = f"{unit.name}: {told.get('UnitFileState') or 'installed'}, {state}{pid}{text}"
    return _outcome(unit, said, [] if pid else [unit.log_command])


def _outcome(unit: SystemdUnit, message: str, hints: list[str], finding: str | None = None) -> CommandOutcome:
    active = unit.show("ActiveState").get("ActiveState") == "active"
    text = "\n".join([message, *(f"  {hint}" for hint in hints)])
    result = {
        "message": message,
        "hints": hints,
        "unit": unit.name if unit.is_installed else None,
        "installed": unit.is_installed,
        "active": active,
    }
    return CommandOutcome(result, text=text, finding=finding)


def _version(unit: SystemdUnit) -> int | None:
    """Return systemd's version; it has to answer.

    Raises:
        NotPermitted: it does not.
    """
    told = unit.query("show", "--property=Version")
    if told.returncode:
        why = (told.stderr.strip().splitlines() or ["no systemd"])[0]
        raise NotPermitted(f"systemd does not answer '{' '.join(unit.systemctl)}': {why}")
    import re

    found = re.search(r"\d+", told.stdout)
    return int(found[0]) if found else None


def _check_not_edited(unit: SystemdUnit) -> None:
    from marianne_cli.service import unit_files

    for name in unit.files:
        path = unit.directory / name
        if unit_files.is_edited(path):
            raise BadRequest(
                f"'{path}' was not written by `mzt service install`, or was edited since; nothing is changed",
                hints=[f"{' '.join(unit.systemctl)} cat {unit.name}", f"rm {path}"],
            )


def _lingers() -> bool:
    from marianne_cli import people

    return (_LINGER / people.login(os.getuid())).exists()
