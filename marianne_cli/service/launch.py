"""Starting and stopping the daemon's process, without polling: a byte on a pipe, the end of a pid."""

import os
import select
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marianne_cli.client.dialling import NoSocketPath
from marianne_cli.client.session import WAIT_MOST, DaemonUnreachable
from marianne_cli.context import Invocation
from marianned import files, paths
from marianned.errors import BadRequest, NoDaemon, NotPermitted, Unavailable, WaitTimeout, WrongStatus
from marianned.formatting import time_asked
from marianned.probe import daemon_name, hints_for_hang, refusal_of_closed_state

if TYPE_CHECKING:
    from marianne_cli.client.blocking import RawClient
    from marianne_cli.service.units import SystemdUnit
    from marianned.holder import Holder
    from marianned.obstacles import FileObstacle

_START_SECONDS = 60.0
"""As long as a start may take that nobody has given a limit: on a busy machine the first one is slow."""
_LOOK_SECONDS = 0.05
_MOVE_SECONDS = 1.0
"""How long a daemon has to listen elsewhere, where it can't make its socket any more."""
_PATIENCE_LEAST = 2.0
"""However short the time limit, a daemon may take so long for a reply."""
_ERROR_PREFIX = "marianned: "
"""How the daemon's last line begins, which says what keeps it from serving."""
_SAID_MOST = 300
"""Characters of the last line of a daemon that ended with a traceback."""
_PLACES = ("MARIANNE_SOCKET", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY")
"""What may be relative to the directory where `mzt` is typed, which is not the daemon's."""
_ATTEMPT_VARIABLE = "MARIANNE_ATTEMPT_ID"
_NOT_GONE: dict[str, tuple[str, list[str]]] = {
    "detach": ("it still stops", []),
    "drain": ("it stops when nothing is in flight", ["mzt stop --drain -t 1h", "mzt start", "mzt stop"]),
    "kill": ("it still stops", []),
}
"""By the mode of a stop: what a daemon still does that is not gone in time, and what can be typed then."""


def ensure_running(
    call: Invocation, timeout: float = _START_SECONDS, *, instead_of: int | None = None
) -> bool:
    """Start a daemon if none answers; tell whether one was started now.

    `instead_of` is the pid of the daemon that has just been stopped to be replaced.

    Raises:
        NoDaemon: it can't be started, or must not be from inside an attempt.
        WaitTimeout: it does not answer in time; it may still come.
    """
    try:
        # one that is just being killed takes connections yet, and answers none
        call.client.request("daemon.status", once=True)
    except NoDaemon as error:
        if call.open_client is not None and not isinstance(error, DaemonUnreachable):
            raise
        call.close()
        if _wait_for_holder(call, timeout):
            return False
        if _ATTEMPT_VARIABLE in os.environ:
            raise NoDaemon(
                f"{error.message}; none is started from inside an attempt, it would be swept with it"
            ) from None
        from marianne_cli.service import units

        unit = units.unit_to_start(call.socket)
        if unit is not None:
            _run_systemctl(call, unit, "start", timeout, "no daemon runs; ")
        else:
            before = "no daemon runs" if instead_of is None else f"marianned (pid {instead_of}) has stopped"
            call.note(f"{before}; starting one")
            _start_process(call, timeout)
        return True
    return False


def _run_systemctl(call: Invocation, unit: "SystemdUnit", verb: str, timeout: float, why: str = "") -> None:
    """Start, stop or restart the service by systemctl, and note that; a stop stops its socket, too.

    Raises:
        Unavailable: what it would start is not there, so that nothing was asked.
    """
    if verb != "stop" and (program := unit.missing_program) is not None:
        user = unit.name.partition("@")[2].removesuffix(".service")
        install = (
            f"sudo mzt service install --system --user {user} --now" if user else "mzt service install --now"
        )
        what = "nothing is stopped" if verb == "restart" else "nothing is started"
        raise Unavailable(f"{unit.name} starts '{program}', which is not there; {what}", hints=[install])
    names = unit.units if verb == "stop" else [unit.name]
    call.note(f"{why}{' '.join([*unit.systemctl, verb, *names])}")
    unit.run(verb, *names, timeout=timeout)


def restart(call: Invocation, timeout: float) -> None:
    """Stop the daemon, if one runs, and start one; what is in flight goes on."""
    from marianne_cli.service import units

    pid = _serving_pid(call, timeout)
    unit = None if pid is None else units.unit_of(pid)
    if unit is not None:
        _check_safe(call.ask("daemon.status"))
    if pid is not None:
        check_next_start(pid, unit, call.socket)
    if unit is not None:
        _run_systemctl(call, unit, "restart", timeout)
        return
    if pid is not None and _ATTEMPT_VARIABLE in os.environ:
        raise NotPermitted("a daemon is not started from inside an attempt, so this one is not stopped there")
    stop(call, timeout)
    ensure_running(call, timeout, instead_of=pid)


def check_next_start(pid: int, unit: "SystemdUnit | None", socket: str | None = None) -> None:
    """See that the next daemon will start, before the one that runs is stopped for it.

    Another user's daemon is not looked at: files that its user can use may be closed to this one.

    Raises:
        Unavailable: something keeps it from its start; nothing has been stopped.
    """
    from marianne_cli.service.installation import START_CHECKS, daemon_check_report

    with suppress(FileNotFoundError):
        if Path(f"/proc/{pid}").stat().st_uid != os.geteuid():
            return
    environment = {} if socket is None else {"MARIANNE_SOCKET": str(Path(socket).absolute())}
    report = daemon_check_report(environment if unit is None else unit.environment)
    wrong = [one for one in report["checks"] if one["name"] in START_CHECKS and not one["passed"]]
    if wrong:
        why = "; ".join(one["message"] for one in wrong)
        hints = [hint for one in wrong for hint in one["hints"]]
        raise Unavailable(
            f"marianned (pid {pid}) is not stopped, another would not start: {why}", hints=hints
        )


def _serving_pid(call: Invocation, timeout: float) -> int | None:
    """Return the pid of the daemon that serves; null: none does.

    Raises:
        NoDaemon: there is one, and it does not answer.
    """
    try:
        client = _connect(call, timeout, any_protocol=True)
    except NoDaemon as error:
        if isinstance(error, NoSocketPath) or _holder_pid_here(call) is not None:
            raise
        return None
    with client:
        return int(client.request("daemon.hello", {})["pid"])


def _holder_pid_here(call: Invocation) -> int | None:
    """Return the pid of the daemon that holds the lock and whose socket is, or was, where we look.

    Raises:
        NotPermitted: the state directory is closed to this user.
    """
    found = _read_holder()
    if found is None:
        return None
    asked = call.socket or os.environ.get("MARIANNE_SOCKET")
    named = str(Path(asked).absolute()) if asked else None
    return found.pid if named is None or found.socket in {"", named} else None


def _wait_for_holder(call: Invocation, timeout: float) -> bool:
    """Wait for a daemon that holds the lock and has no socket yet, or no more; tell whether it serves now.

    Raises:
        NoDaemon: it goes on holding the lock without a socket.
    """
    ends = time.monotonic() + timeout
    while _holder_pid_here(call) is not None:
        try:
            with _connect(call, timeout) as client:
                client.request("daemon.status", once=True)
        except DaemonUnreachable:
            if time.monotonic() > ends:
                raise
            time.sleep(_LOOK_SECONDS)  # it is about to end
        except NoDaemon:
            if _holder_pid_here(call) is not None:
                raise
        else:
            return True
    return False


def _connect(call: Invocation, timeout: float, *, any_protocol: bool = False) -> "RawClient":
    """Connect to the daemon; one that holds the lock makes a deleted socket again, which is waited for.

    Raises:
        NoDaemon: none holds the lock, or its socket does not come.
    """
    began = time.monotonic()
    ends = began + timeout
    while True:
        try:
            return call.connect(any_protocol=any_protocol, timeout=max(timeout, _PATIENCE_LEAST))
        except NoDaemon as error:
            pid = _holder_pid_here(call)
            if pid is None:
                raise
            moved = time.monotonic() > min(ends, began + _MOVE_SECONDS)
            if moved and (in_the_way := _obstacle_of_socket(call)) is not None:
                said = f"{error.message}: {in_the_way.why}; {daemon_name(pid)} listens there once it can"
                raise NoDaemon(said, hints=[in_the_way.command, "mzt start"]) from None
            if time.monotonic() > ends:
                said = f"{error.message}; {daemon_name(pid)} holds the state directory and does not listen"
                raise NoDaemon(said, hints=hints_for_hang(pid)) from None
        time.sleep(_LOOK_SECONDS)  # nothing tells of a socket but the next attempt


def _obstacle_of_socket(call: Invocation) -> "FileObstacle | None":
    """Return what keeps the daemon that holds the state directory from its socket; null: nothing does."""
    from marianned import obstacles

    named = call.socket or os.environ.get("MARIANNE_SOCKET")
    held = _read_holder()
    place = named or (held.socket if held is not None else "")
    return obstacles.of_socket(Path(place).absolute()) if place else None


def holder_pid() -> int | None:
    """Return the pid of the daemon that holds the state directory; null: none does.

    Raises:
        NotPermitted: it is closed to this user.
    """
    found = _read_holder()
    return None if found is None else found.pid


def _read_holder() -> "Holder | None":
    from marianned.holder import holder as held

    try:
        return held(paths.state_directory())
    except PermissionError as error:
        raise refusal_of_closed_state(error) from None


def _open_start_log(log: Path) -> int:
    """Open the log of a start, in the state directory, which is made."""
    try:
        paths.make_private_directory(log.parent)
        descriptor = files.open_to_append(log, 0o600)
        os.ftruncate(descriptor, 0)
        os.fchmod(
            descriptor, 0o600
        )  # a umask may have taken that from us, and the next start writes there, too
    except OSError as error:
        raise NoDaemon(
            f"no daemon can be started: '{error.filename}' can't be written: {error.strerror}",
            hints=["mzt doctor"],
        ) from None
    return descriptor


def _start_process(call: Invocation, timeout: float) -> None:
    import subprocess

    log = paths.state_directory() / "daemon-start.log"
    environment = {**os.environ, **({} if call.socket is None else {"MARIANNE_SOCKET": call.socket})}
    named = {name: environment[name] for name in _PLACES if environment.get(name)}
    environment |= {name: str(Path(place).absolute()) for name, place in named.items()}
    told, tell = os.pipe()
    try:
        opened = _open_start_log(log)
        try:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "marianned", "--ready-fd", str(tell)],
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=opened,
                pass_fds=[tell],
                start_new_session=True,
                cwd="/",
                env=environment,
            )
        finally:
            os.close(opened)
            os.close(tell)
        ready = _wait_until_ready(told, timeout)
    finally:
        os.close(told)
    if ready is None:
        daemon.returncode = 0  # it is nobody's child to wait for
        raise WaitTimeout(
            f"marianned does not answer after {time_asked(timeout)}; "
            "it may still come, and was asked nothing",
            hints=["mzt status"],
        )
    if not ready:
        daemon.wait()
        if not _wait_for_holder(call, timeout):  # one that was first may still be on its way
            _check_another_answers(call, log)
    else:
        daemon.returncode = 0


def _seconds_left(ends: float) -> float:
    return min(max(0.0, ends - time.monotonic()), WAIT_MOST)


def _wait_until_ready(told: int, timeout: float) -> bytes | None:
    """Read the byte that says that the daemon serves; empty: it ended instead; null: the time is up."""
    if not select.select([told], [], [], min(timeout, WAIT_MOST))[0]:
        return None
    return os.read(told, 1)


def _check_another_answers(call: Invocation, log: Path) -> None:
    """Return if another daemon answers, which started first; else raise what ours said at its end."""
    try:
        _ = call.client
    except NoDaemon as error:
        elsewhere = [hint for hint in error.hints if hint != "mzt start"]
        said, hints = _last_words(log)
        hints = hints or elsewhere or ["mzt doctor"]
        raise NoDaemon(f"the daemon does not start: {said}", hints=hints) from None


def _last_words(log: Path) -> tuple[str, list[str]]:
    """Return what a daemon said that did not start, and what to type; of a traceback its last line."""
    text = log.read_text(errors="replace").strip()
    _, found, said = text.rpartition(_ERROR_PREFIX)
    if found and "\nTraceback " not in said:
        return said.replace("\n", "; "), []
    last = text.rpartition("\n")[2]
    shown = last if len(last) <= _SAID_MOST else f"{last[:_SAID_MOST]}..."
    return (shown or "it says nothing"), [f"tail {shlex.quote(str(log))}", "mzt doctor"]


def stop(
    call: Invocation, timeout: float, mode: str = "detach", *, lose_jobs: bool = False
) -> tuple[int | None, int]:
    """Stop the daemon and return when it is gone: its pid (null: none ran), the attempts then in flight.

    `mode` and `lose_jobs` are those of protocol.Stop.

    Raises:
        Unavailable: its jobs would be lost, and nobody has said that they may be.
        WaitTimeout: it is not gone yet; it still stops.
    """
    from marianne_cli.service import units

    ends = time.monotonic() + timeout
    unit = units.listening_unit(call.socket)
    if unit is not None:  # nobody serves: to connect would start it
        _run_systemctl(call, unit, "stop", timeout)
        return None, 0
    try:
        client = _connect(call, timeout, any_protocol=True)
    except NoDaemon as error:
        if isinstance(error, NoSocketPath) or _holder_pid_here(call) is not None:
            raise
        return None, 0
    with client:
        answer: dict[str, Any] = client.request("daemon.hello", {})
        pid = int(answer["pid"])
        unit = units.unit_of(pid)
        if unit is not None and mode == "detach":
            status = client.request("daemon.status", {})
            if not lose_jobs:
                _check_safe(status)
            _run_systemctl(call, unit, "stop", timeout)
            return pid, int(status["attempts_in_flight"])
        handle = _open_pidfd(pid)
        try:
            asked = {"mode": mode} | ({"lose_jobs": True} if lose_jobs else {})
            result = client.request("daemon.stop", asked, once=True, changes=True)
        except (NoDaemon, WrongStatus):
            result = {"attempts_in_flight": 0}  # gone before it could answer, or stopping already
        _wait_for_drain(client, mode, ends)
    if handle is not None:
        try:
            if not select.select([handle], [], [], _seconds_left(ends))[0]:
                still, hints = _NOT_GONE[mode]
                hints = hints or hints_for_hang(pid)
                raise WaitTimeout(
                    f"marianned (pid {pid}) is not gone after {time_asked(timeout)}; {still}", hints=hints
                )
        finally:
            os.close(handle)
    if unit is not None:
        _run_systemctl(call, unit, "stop", max(1.0, ends - time.monotonic()))
    return pid, int(result["attempts_in_flight"])


def _wait_for_drain(client: "RawClient", mode: str, ends: float) -> None:
    """Wait until a daemon that drains has gone, or is to stay; one of 0.1.0 tells of its end alone.

    Raises:
        WaitOverridden: somebody has called the drain off.
    """
    if mode != "drain":
        return
    left = max(0.0, ends - time.monotonic())
    with suppress(NoDaemon, WrongStatus, WaitTimeout, BadRequest):
        client.request("daemon.stop", {"mode": "drain", "wait": True, "timeout": left}, once=True)


def _check_safe(status: Mapping[str, Any]) -> None:
    """Refuse a stop by systemd, which asks no daemon, as the daemon would refuse it.

    Raises:
        Unavailable: its jobs would be lost.
    """
    if not status["safe_to"]["stop_daemon"]:
        why = "; ".join(status["degraded_by"])
        raise Unavailable(f"the daemon is not stopped, its jobs would be lost: {why}", hints=status["hints"])


def terminate(pid: int, timeout: float) -> None:
    """End a daemon by its pid, where its socket may lead to another; what is in flight goes on.

    Raises:
        WaitTimeout: it is not gone yet.
    """
    handle = _open_pidfd(pid)
    if handle is None:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], min(timeout, WAIT_MOST))[0]:
            raise WaitTimeout(
                f"marianned (pid {pid}) is not gone after {time_asked(timeout)}; it still stops"
            )
    finally:
        os.close(handle)


def _open_pidfd(pid: int) -> int | None:
    """Return a pidfd of a process, which tells of its end; null: it is gone already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def call_off_drain(call: Invocation) -> None:
    """Call off the drain of a daemon that drains: it stays."""
    if call.ask("daemon.status")["status"] == "draining":
        call.client.request("daemon.stop", {"mode": "stay"}, changes=True)


def start_answer(call: Invocation) -> dict[str, Any]:
    """Return what start and restart answer: the daemon's own words, pid, attempts in flight."""
    status = call.ask("daemon.status")
    kept = ("status", "message", "hints", "pid", "attempts_in_flight", "strangers", "restored")
    return {key: status[key] for key in kept if key in status}
