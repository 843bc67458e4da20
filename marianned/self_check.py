"""`marianned --check`: what `mzt doctor` shows. It looks, and changes nothing."""

import os
import platform
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from marianned import __version__, files, obstacles, probe
from marianned.conductor.capacity import incarnation_directory
from marianned.conductor.capacity.disk import shortage
from marianned.config import ConfigError, load_configuration, value_of
from marianned.errors import NotPermitted
from marianned.executors import wall
from marianned.executors.clusters import slurm
from marianned.formatting import versions_apart
from marianned.holder import Holder, holder
from marianned.instruments.loader import builtin_profiles
from marianned.paths import (
    SocketPathTooLongError,
    configuration_directory,
    database_path,
    lock_path,
    socket_path,
    state_directory,
)
from marianned.places import LOCAL, SLURM, Cluster
from marianned.progress.views.messages import TYPED
from marianned.store.opening import DatabaseRefused, check, known_starts

_SLURM_LIES = (Path("/opt/slurm/bin"), Path("/usr/local/slurm/bin"), Path("/usr/local/bin"), Path("/usr/bin"))
"""Where sites put Slurm's commands."""


_SAID_MOST = 300
"""Characters of an exception's text in a finding."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, its value, and where that comes from: `default`, or a file and its line."""

    name: str
    value: object
    source: str


class CheckFindings(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say of an installation; of settings that can't be used, what is wrong."""

    checks: list["Finding"]
    settings: list[Setting] = []
    settings_problems: list[str] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found, in a line, and what to type where something needs a person."""

    name: str
    passed: bool
    message: str
    hints: list[str] = []


def run_self_check() -> CheckFindings:
    """Run all checks, and read the settings."""
    checks = [finding for look in _CHECKS for finding in _run_one_check(look)]
    try:
        found = load_configuration(configuration_directory())
    except ConfigError as error:
        return CheckFindings(checks=checks, settings_problems=list(error.problems))
    settings = [
        Setting(name=name, value=value_of(found.settings, name), source=source)
        for name, source in found.sources.items()
    ]
    return CheckFindings(checks=checks, settings=settings)


def _run_one_check(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what one check finds; what it can't look at is a finding, and keeps no other from looking."""
    name = look.__name__.strip("_")
    try:
        yield from look()
    except OSError as error:
        said = f"'{error.filename}' can't be looked at: {error.strerror}"
        hints = [f"ls -ld {shlex.quote(os.fsdecode(error.filename))}"] if error.filename else []
        yield Finding(name=name, passed=False, message=said, hints=hints)
    except Exception as error:  # noqa: BLE001  a mistake of ours in one check hides no other
        said = f"it can't be looked at: {type(error).__name__}: {error}"[:_SAID_MOST]
        yield Finding(name=name, passed=False, message=said, hints=["mzt bug-report"])


def _program() -> Iterator[Finding]:
    yield Finding(
        name="program", passed=True, message=f"marianned {__version__}, Python {platform.python_version()}"
    )


def _tools() -> Iterator[Finding]:
    bash = shutil.which("bash")
    yield Finding(
        name="bash",
        passed=bash is not None,
        message=bash or "no bash on PATH; shell sheets and command validations need it",
    )


def _wall() -> Iterator[Finding]:
    """Tell whether `contain: hide` can be had where the setting asks for it."""
    with suppress(ConfigError):
        if load_configuration(configuration_directory()).settings.attempts.contain == "hide":
            why = wall.missing(os.environ)
            said = "bubblewrap works" if why is None else f"contain: hide, so nothing starts: {why}"
            yield Finding(name="wall", passed=why is None, message=said)


def _cluster() -> Iterator[Finding]:
    """Tell whether a cluster is there and answers, where the settings say that sheets run on it."""
    with suppress(ConfigError):
        settings = load_configuration(configuration_directory()).settings
        if settings.executor == LOCAL:
            return
        yield _answer_of(settings.executor)
        place = settings.attempts_dir
        lies = Path(place or state_directory())
        said = f"attempts lie in '{lies}' (mounted at '{_mounted_at(lies)}'), which all nodes have to see"
        hints = []
        if place is None:
            said += ": set attempts_dir to a place on a shared file system"
            file = shlex.quote(str(configuration_directory() / "config.toml"))
            hints = [f"sed -i '1i attempts_dir = \"/SHARED/marianne/attempts\"' {file}", "mzt restart"]
        elif (why := _describe_away_attempts(place)) is not None:
            said = f"{why}: what runs goes on, and nothing starts until it is back"
            hints = [f"findmnt -T {shlex.quote(place)}"]
        yield Finding(name="shared directory", passed=not hints, message=said, hints=hints)


def _answer_of(cluster: Cluster) -> Finding:
    """Tell whether a cluster answers here."""
    match cluster:
        case "slurm":
            return _answer_of_slurm()


def _answer_of_slurm() -> Finding:
    """Tell whether Slurm answers here, and whence its commands come where there are none."""
    if missing := slurm.missing_commands():
        there = [place for place in _SLURM_LIES if (place / missing[0]).exists()]
        said = f"not on PATH: {', '.join(missing)}"
        if not there:
            said += "; install Slurm's client on this host, or name the directory where it lies"
        hints = [f'export PATH="$PATH:{there[0] if there else "DIRECTORY"}"', "mzt restart"]
        return Finding(name=SLURM, passed=False, message=said, hints=hints)
    if (why := slurm.describe_trouble()) is None:
        said = "sbatch, squeue and scancel are there, and the controller answers"
        return Finding(name=SLURM, passed=True, message=said)
    said, _, typed = why.partition(TYPED)
    return Finding(name=SLURM, passed=False, message=said.rstrip(";"), hints=[typed or "scontrol ping"])


def _configuration() -> Iterator[Finding]:
    directory = configuration_directory()
    try:
        load_configuration(directory)
    except ConfigError as error:
        said = "; ".join(error.problems)
        yield Finding(name="configuration", passed=False, message=said, hints=["mzt config check"])
    else:
        file = directory / "config.toml"
        message = f"'{file}'" if file.exists() else "no config.toml (defaults)"
        yield Finding(name="configuration", passed=True, message=message)


def _state() -> Iterator[Finding]:
    directory = state_directory()
    kept_out = obstacles.of_directory(directory)
    if not directory.exists():
        yield _to_be_made(directory, kept_out)
        return
    if kept_out is not None:
        why = kept_out.why if directory.is_dir() else f"'{directory}' is there, and is no directory"
        yield Finding(name="state", passed=False, message=why, hints=[kept_out.command])
        return
    found = directory.stat()
    private = stat.S_IMODE(found.st_mode) & 0o077 == 0 and found.st_uid == os.getuid()
    yield Finding(
        name="state",
        passed=private,
        message=f"'{directory}'" if private else f"'{directory}' is open to others",
        hints=[] if private else [f"chmod 700 {directory}"],
    )
    wrong = list(obstacles.of_start(directory, database_path(directory), lock_path(directory)))
    for one in wrong:
        yield Finding(name="state files", passed=False, message=one.why, hints=[one.command])
    if not wrong:
        yield from _database(database_path(directory))


def _to_be_made(directory: Path, kept_out: obstacles.FileObstacle | None) -> Finding:
    """Tell whether the first start will be able to make it."""
    if kept_out is None:
        return Finding(name="state", passed=True, message=f"'{directory}' will be created by the first start")
    message = f"'{directory}' can't be created: {kept_out.why}"
    return Finding(name="state", passed=False, message=message, hints=[kept_out.command])


def _disk() -> Iterator[Finding]:
    """Say where there is too little room for a daemon to start anything; it may have none to begin with."""
    with suppress(ConfigError):
        settings = load_configuration(configuration_directory()).settings
        places = [state_directory(), *([Path(settings.attempts_dir)] if settings.attempts_dir else [])]
        there = [next(one for one in (place, *place.absolute().parents) if one.exists()) for place in places]
        for place in dict.fromkeys(there):
            if (said := shortage(place, settings.min_free_disk)) is not None:
                yield Finding(
                    name="disk", passed=False, message=said, hints=[f"df -h {shlex.quote(str(place))}"]
                )


def _may_be_held() -> bool:
    """Tell whether a daemon holds the state directory, or that can't be known."""
    try:
        return holder(state_directory()) is not None
    except PermissionError:
        return True


def _describe_away_attempts(place: str) -> str | None:
    """Say what stands in the place of the directory of attempts, where that is away; null: it is there.

    What is empty looks as if it were there. A daemon knows best; without one its database tells whether
    attempts have lain there.
    """
    if _may_be_held():
        begins = f"'{place}' ", *(f"'{one}' is not mounted" for one in Path(place).parents)
        why = next((one for one in _degraded_by() if one.startswith(begins)), None)
        return f"'{place}' is not there" if why is None and not Path(place).is_dir() else _first_clause(why)
    state = state_directory()
    return incarnation_directory.describe_absence(Path(place), known_starts(database_path(state)), state)


def _first_clause(why: str | None) -> str | None:
    """Return what is so, without what to do about it."""
    return None if why is None else why.partition("; ")[0]


def _degraded_by() -> list[str]:
    with suppress(OSError, NotPermitted, probe.DaemonHangs):
        held = holder(state_directory())
        return [] if held is None else probe.ask(held.socket, "daemon.status")["degraded_by"]
    return []


def _mounted_at(place: Path) -> Path:
    """Return where the file system is mounted that a directory lies on, or will."""
    return next(one for one in (place, *place.absolute().parents) if one.is_mount())


def _daemon() -> Iterator[Finding]:
    """Ask whoever holds the state directory, and whoever answers at the socket, how they are."""
    try:
        held = holder(state_directory())
    except PermissionError as error:
        said = probe.refusal_of_closed_state(error)
        yield Finding(name="daemon", passed=False, message=said.message, hints=said.hints[:-1])
    else:
        yield from _answering(held)


def _answering(held: Holder | None) -> Iterator[Finding]:
    places = [held.socket] if held is not None and held.socket else []
    with suppress(SocketPathTooLongError):
        places += [str(socket_path())]
    for place in dict.fromkeys(places):
        try:
            told = probe.ask(place, "daemon.status")
        except probe.DaemonHangs as hangs:
            pid = hangs.pid or (held.pid if held is not None else None)
            yield Finding(name="daemon", passed=False, message=str(hangs), hints=probe.hints_for_hang(pid))
            return
        except NotPermitted as refusal:
            yield Finding(name="daemon", passed=False, message=refusal.message)
            return
        except OSError:
            continue
        degraded = "; ".join(told["degraded_by"])
        said = f"pid {told['pid']}, at '{place}'" + (f": {degraded}" if degraded else "")
        yield Finding(name="daemon", passed=not degraded, message=said)
        apart = versions_apart(told["version"], __version__)
        if apart is not None:
            yield Finding(name="version", passed=False, message=apart[0], hints=apart[1])
        for one in told.get("strangers", []):
            said = f"attempt {one['attempt']} (pid {one['pid']}) runs, and the database does not know it"
            yield Finding(name="stranger", passed=False, message=said, hints=[f"kill {one['pid']}"])
        if told.get("restored"):
            yield Finding(name="restored", passed=True, message=told["restored"])
        for job in told.get("damaged", []):
            said = f"'{job}' can't be read; what runs is watched, and it can be cancelled and removed"
            hints = [f"mzt why {job}", f"mzt cancel {job}"]
            yield Finding(name="job", passed=False, message=said, hints=hints)
        return
    if held is None:
        yield Finding(name="daemon", passed=True, message="none runs", hints=["mzt start"])
        return
    yield _not_listening(held, places)


def _not_listening(held: Holder, places: list[str]) -> Finding:
    """Say why a daemon that holds the state directory answers at none of these sockets."""
    for place in dict.fromkeys(places):
        if (kept_out := obstacles.of_socket(Path(place))) is not None:
            said = f"pid {held.pid} can't make its socket: {kept_out.why}"
            return Finding(name="daemon", passed=False, message=said, hints=[kept_out.command])
    said = (
        f"pid {held.pid} holds the state directory and listens nowhere; a deleted socket is made again soon"
    )
    return Finding(name="daemon", passed=False, message=said, hints=["mzt doctor", f"kill -9 {held.pid}"])


def _private() -> Iterator[Finding]:
    """Look at all that has to be closed to others: what is open, and what to type."""
    with suppress(ConfigError):
        settings = load_configuration(configuration_directory()).settings
        attempts = settings.attempts_dir
        if attempts is None or (why := _describe_away_attempts(attempts)) is None:
            place = Path(attempts) if attempts else state_directory() / "attempts"
            yield from _check_closed("attempts", place, written=True)
        elif settings.executor == LOCAL:  # else `shared directory` says so
            said = f"{why}: what runs goes on, and nothing starts until it is back"
            yield Finding(
                name="attempts", passed=False, message=said, hints=[f"findmnt -T {shlex.quote(attempts)}"]
            )
    if not os.environ.get("MARIANNE_SOCKET"):
        with suppress(SocketPathTooLongError):
            yield from _check_closed("runtime", socket_path().parent, written=True)
    yield from _check_closed("configuration directory", configuration_directory(), written=False)
    secrets = configuration_directory() / "environment"
    with suppress(OSError):
        if stat.S_IMODE(secrets.stat().st_mode) & 0o077:
            said = f"'{secrets}' may hold keys, and others can read it"
            yield Finding(name="environment", passed=False, message=said, hints=[f"chmod 600 {secrets}"])


def _check_closed(name: str, directory: Path, *, written: bool) -> Iterator[Finding]:
    """Tell whether a directory is there and closed to others; one that the daemon writes, whether it can."""
    try:
        files.check_private(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        why, _, hint = str(error.strerror).partition("; type: ")
        if (closed := obstacles.closed_part(directory)) is not None:
            hint = closed.command
        yield Finding(name=name, passed=False, message=f"'{directory}': {why}", hints=[hint] if hint else [])
        return
    kept_out = obstacles.of_directory(directory) if written else None
    if kept_out is not None:
        yield Finding(name=name, passed=False, message=kept_out.why, hints=[kept_out.command])
    else:
        yield Finding(name=name, passed=True, message=f"'{directory}'")


def _database(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return
    try:
        check(path)
    except DatabaseRefused as error:
        said, _, typed = error.hint.rpartition(TYPED)
        message = f"{error.message}; {said.rstrip(';')}" if said else error.message
        yield Finding(name="database", passed=False, message=message, hints=[typed])
    except OSError as error:
        yield Finding(name="database", passed=False, message=f"'{path}' can't be read: {error}")
    else:
        yield Finding(name="database", passed=True, message=f"'{path}' is intact")


def _socket() -> Iterator[Finding]:
    hints = ["export MARIANNE_SOCKET=PATH"]
    try:
        place = socket_path()
    except SocketPathTooLongError as error:
        yield Finding(name="socket", passed=False, message=str(error), hints=hints)
        return
    kept_out = obstacles.of_socket(place)
    if kept_out is None:
        yield Finding(name="socket", passed=True, message=f"'{place}'")
        return
    message = kept_out.why if str(place) in kept_out.why else f"'{place}' can't be made: {kept_out.why}"
    yield Finding(name="socket", passed=False, message=message, hints=[kept_out.command])


def _instruments() -> Iterator[Finding]:
    found = sorted(
        name
        for name, profile in builtin_profiles().items()
        if profile.cli is not None and shutil.which(profile.cli.command.executable)
    )
    yield Finding(name="instruments", passed=True, message=f"found here: {', '.join(found) or 'none'}")


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _program,
    _tools,
    _configuration,
    _wall,
    _cluster,
    _state,
    _disk,
    _private,
    _daemon,
    _socket,
    _instruments,
)
