"""The shim: two processes that supervise one command, and outlive the daemon that started it.

Run as `python -I -S shim.py DIR`; DIR holds spec.json (base.Spec) and belongs to this one attempt.

    daemon ── front        reads the spec, takes the claim, forks, waits for identity.json, exits
              keeper       a session of its own; after the front it belongs to init
              └─ runner    PDEATHSIG from the keeper
                 └─ command and all it starts, in a session of its own

All but the command block every signal and take TERM, CHLD and PDEATHSIG one at a time, when they are ready
for it. Keeper and runner are child subreapers: whatever loses its parent below them becomes their child, so
"no child is left" proves that nothing is left. (What they may not signal, a setuid program, is waited for.)

Who does what:
    the runner starts the command, keeps its time limit, and when it has ended kills all it left behind
    (sweeps), writes exit.json, exits. The keeper waits for the runner and passes TERM on to it, with the pid
    it came from. TERM, or the time limit, means: TERM to the command's process group, up to `grace_seconds`
    until that group is empty, then the sweep.

When somebody is killed:
    front            nobody misses it: identity.json, or exit.json, appears all the same
    command          the runner sees it end like any other way
    keeper           PDEATHSIG: the runner sweeps at once and writes the record
    runner           its children become the keeper's, which sweeps and writes the record, exit unknown
    runner, command  the same
    keeper, command  the runner sweeps and writes the record
    keeper, runner   nobody is left to sweep: the daemon does it, by the mark in every environment
                     (local.py), and there is no record

The files in DIR: claim (O_EXCL: a second start exits 125), with room reserved for the record, which is
written into it and then linked as exit.json: that needs no new block on a full disk, and the first link
wins; identity.json (base.Running); stdout and stderr (appended); exit.json (base.ExitRecord).
"""

# _json, _signal and _ctypes are the private cores of json, signal and ctypes. The public modules would double
# the time of a start (tests/benchmarks/attempt_start.py), for regular expressions and enums nobody uses here.
import _json
import errno
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any, NoReturn
else:
    import _signal as signal

SPEC, CLAIM, IDENTITY, RECORD = "spec.json", "claim", "identity.json", "exit.json"
STDOUT, STDERR = "stdout", "stderr"
MARK = "MARIANNE_ATTEMPT_ID"
VERSION = 1
NO_CLAIM_STATUS, CLAIMED_STATUS, BAD_SPEC_STATUS = 1, 125, 126

_RESERVED = 4096
_ERROR_LIMIT = 500
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PARENT_DIED = signal.SIGUSR2
_GO = b"!"


def main() -> "NoReturn":
    """Be the front: read the spec, claim, fork the keeper, exit when the attempt can be found by others."""
    try:
        os.chdir(sys.argv[1])
        spec = _read_spec()
    except Exception as error:  # noqa: BLE001  whatever is wrong with a spec, the answer is one line
        _refuse(BAD_SPEC_STATUS, f"no usable {SPEC}: {type(error).__name__}: {error}")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, there would be no exit statuses
    claim = _take_claim()
    ready, introduced = os.pipe()
    try:
        _fork(_keep, spec, claim, ready, introduced)
    except OSError as error:
        _write_record(claim, "keeper", _now(), error=f"cannot fork: {error.strerror}")
        os._exit(0)
    os.close(introduced)
    if os.read(ready, 1) == _GO:
        os._exit(0)
    _refuse(NO_CLAIM_STATUS, "the keeper died before it could say who it is")


def _read_spec() -> "dict[str, Any]":
    class JSON:
        strict = True
        object_hook = object_pairs_hook = None
        parse_float, parse_int, parse_constant = float, int, float

    with open(SPEC, encoding="utf-8") as file:
        spec: dict[str, Any] = _json.make_scanner(JSON)(file.read(), 0)[0]  # type: ignore[arg-type]
    if spec["version"] != VERSION:
        raise ValueError(f"version {spec['version']}, this shim reads {VERSION}")
    if not spec["argv"]:
        raise ValueError("argv is empty")
    wanted = ("id", "cwd", "env", "umask", "stdin", "timeout_seconds", "grace_seconds")
    if missing := [name for name in wanted if name not in spec]:
        raise ValueError(f"{missing} missing")
    return spec


def _take_claim() -> int:
    try:
        claim = os.open(CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.posix_fallocate(claim, 0, _RESERVED)
    except FileExistsError:
        _refuse(CLAIMED_STATUS, "the attempt is claimed already")
    except OSError as error:
        _refuse(NO_CLAIM_STATUS, f"cannot claim the attempt: {error.strerror}")
    return claim


def _refuse(status: int, message: str) -> "NoReturn":
    os.write(2, f"{message}\n".encode(errors="replace"))
    os._exit(status)


def _fork(role: "Callable[..., None]", *args: object) -> int:
    """Fork a child that plays `role` and can't come back from it, whatever happens there."""
    pid = os.fork()
    if not pid:
        try:
            role(*args)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def _keep(spec: "dict[str, Any]", claim: int, ready: int, introduced: int) -> None:
    """Be the keeper: look after the runner, and do its work when it is killed."""
    os.setsid()
    os.close(ready)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the daemon reads the front's messages up to the end
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    started, keeper, error = _now(), os.getpid(), None
    ordered, orders = os.pipe()
    children = Children()
    try:
        children.main = _fork(_run, spec, claim, keeper, ordered, (orders, introduced))
        os.close(ordered)
        _write_identity(children.main)
        os.write(orders, _GO)
        os.write(introduced, _GO)
    except BrokenPipeError:
        pass  # the front or the runner was killed: the loop below sees which
    except OSError as failed:
        error = f"cannot supervise: {failed.strerror}"
        if children.main:
            os.kill(children.main, signal.SIGKILL)
    os.close(introduced)
    asked = False
    while children.main and not children.ended():
        seen = signal.sigwaitinfo({signal.SIGTERM, signal.SIGCHLD})
        children.reap()
        if seen.si_signo == signal.SIGTERM and not children.ended() and not asked:
            asked = True
            _pass_on(children.main, orders, seen.si_pid)
    children.sweep()
    if children.status != 0:
        _write_record(claim, "keeper", started, swept=len(children.swept), error=error)


def _pass_on(runner: int, orders: int, asked_by: int) -> None:
    try:
        os.write(orders, b"%d" % asked_by)
        os.kill(runner, signal.SIGTERM)
    except OSError:
        pass  # it has just ended: that is seen next


def _run(spec: "dict[str, Any]", claim: int, keeper: int, ordered: int, others: tuple[int, ...]) -> None:
    """Be the runner: start the command once the keeper has said who we are, see it to its end, record it."""
    for end in others:
        os.close(end)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, _PARENT_DIED)
    children = Children()
    started, error = _now(), None
    asked_by, timed_out = None, False
    if os.read(ordered, 1) == _GO:
        children.main, error = _start(spec)
        if not error:
            asked_by, timed_out = _supervise(children, spec, keeper, ordered)
    children.sweep()
    _write_record(
        claim,
        "runner",
        started,
        swept=len(children.swept),
        status=None if error else children.status,
        asked_by=asked_by,
        timed_out=timed_out,
        error=error,
    )


class Children:
    """What is below this process. `main` is the child that matters, `status` its wait status once reaped.

    `swept` holds the pids of what else a sweep has killed.
    """

    def __init__(self) -> None:
        self.main = 0
        self.status: int | None = None
        self.swept: set[int] = set()

    def ended(self) -> bool:
        """Tell whether `main` has been reaped."""
        return self.status is not None

    def reap(self) -> bool:
        """Reap whatever has ended; tell whether a child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self.main:
                self.status = status

    def sweep(self) -> None:
        """Kill and reap until no child is left."""
        pause = 0.001
        while self.reap():
            todo = _children(os.getpid())
            while todo:
                pid = todo.pop()
                # Only to be quick: once its parent is dead, a grandchild is our child. So are, in the next
                # round, the children of threads, which this list does not show.
                todo += _children(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue  # gone, or a setuid program's: then it is waited for
                if pid != self.main:
                    self.swept.add(pid)
            signal.sigtimedwait({signal.SIGCHLD}, pause)
            pause = min(2 * pause, 0.1)

    def end(self, grace: float, keeper: int) -> None:
        """Send TERM to the command's group and wait, `grace` seconds at most, until the group is empty."""
        deadline = time.monotonic() + grace
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._group_has(number)
        while os.getppid() == keeper and (left := deadline - time.monotonic()) > 0:
            self.reap()
            if self.ended() and not self._group_has(0):
                return
            # A member whose parent is outside the group ends without a word to us.
            signal.sigtimedwait({signal.SIGCHLD, _PARENT_DIED}, min(left, 0.05))

    def _group_has(self, number: int) -> bool:
        try:
            os.killpg(self.main, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _supervise(
    children: Children, spec: "dict[str, Any]", keeper: int, ordered: int
) -> "tuple[int | None, bool]":
    """Wait until the command has ended, by itself or because of us: (who asked, ran out of time)."""
    limit = spec["timeout_seconds"]
    deadline = float("inf") if limit is None else time.monotonic() + limit
    while True:
        left = deadline - time.monotonic()
        seen = signal.sigtimedwait(
            {signal.SIGTERM, signal.SIGCHLD, _PARENT_DIED}, max(0.0, min(left, 3600.0))
        )
        children.reap()
        if children.ended() or os.getppid() != keeper:
            return None, False
        if seen is not None and seen.si_signo == signal.SIGTERM:
            asked_by = int(os.read(ordered, 20)) if seen.si_pid == keeper else seen.si_pid
            children.end(spec["grace_seconds"], keeper)
            return asked_by, False
        if time.monotonic() >= deadline:
            children.end(spec["grace_seconds"], keeper)
            return None, True


def _start(spec: "dict[str, Any]") -> "tuple[int, str | None]":
    """Start the command: its pid, and why it could not be started."""
    failed, report = os.pipe()
    try:
        command = _fork(_become, spec, report)
    except OSError as error:
        return 0, f"cannot fork: {error.strerror}"
    os.close(report)
    text = b""
    while chunk := os.read(failed, _ERROR_LIMIT):  # its end comes with a successful exec: CLOEXEC
        text += chunk
    os.close(failed)
    return command, text.decode(errors="replace") or None


def _become(spec: "dict[str, Any]", report: int) -> None:
    """Become the command, or report what prevented it."""
    subject = "output files"
    try:
        os.setsid()
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(STDOUT, append, 0o600), 1)
        os.dup2(os.open(STDERR, append, 0o600), 2)
        subject = f"standard input '{spec['stdin']}'"
        os.dup2(os.open(spec["stdin"] or os.devnull, os.O_RDONLY), 0)
        subject = f"working directory '{spec['cwd']}'"
        os.chdir(spec["cwd"])
        os.umask(spec["umask"])
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        subject = f"'{spec['argv'][0]}'"
        _execute(spec["argv"], {**spec["env"], MARK: spec["id"]})
    except Exception as error:  # noqa: BLE001  an environment that can't be encoded is one, too
        reason = getattr(error, "strerror", None) or error
        os.write(report, f"{subject}: {reason}".encode(errors="replace")[:_ERROR_LIMIT])


def _execute(argv: list[str], env: dict[str, str]) -> None:
    """Execute argv, looked for in the PATH of `env` (os.execvpe would import warnings for that)."""
    name = argv[0]
    if "/" in name:
        os.execve(name, argv, env)  # noqa: S606  no shell is wanted
    reason: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for folder in env.get("PATH", os.defpath).split(":"):
        try:
            os.execve(f"{folder or '.'}/{name}", argv, env)  # noqa: S606  no shell is wanted
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            reason = error
    raise reason


def _write_identity(runner: int) -> None:
    keeper = os.getpid()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = file.read().strip()
    facts = {
        "pid": keeper,
        "start_time": _start_time(keeper),
        "runner_pid": runner,
        "runner_start_time": _start_time(runner),
        "boot_id": boot_id,
    }
    with open(IDENTITY + ".new", "wb") as file:
        file.write(_json_object(facts))
    os.rename(IDENTITY + ".new", IDENTITY)


def _write_record(
    claim: int,
    writer: str,
    started: int,
    *,
    swept: int = 0,
    status: int | None = None,
    asked_by: int | None = None,
    timed_out: bool = False,
    error: str | None = None,
) -> None:
    """Write exit.json, unless there is one; try until it is on disk, or the directory is gone."""
    import resource  # noqa: PLC0415  at the start it would only cost time

    code = None if status is None else os.waitstatus_to_exitcode(status)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = {
        "exit_code": None if code is None or code < 0 else code,
        "signal": -code if code is not None and code < 0 else None,
        "error": error,
        "asked": asked_by is not None,
        "asked_by": asked_by,
        "timed_out": timed_out,
        "started_at": started,
        "ended_at": _now(),
        "user_seconds": used.ru_utime,
        "system_seconds": used.ru_stime,
        "max_rss_kib": used.ru_maxrss,
        "swept": swept,
        "writer": writer,
    }
    record = _json_object(facts)
    while not os.path.exists(RECORD):  # once linked, the claim is the record: no other may write into it
        try:
            os.pwrite(claim, record, 0)
            os.ftruncate(claim, len(record))
            os.fsync(claim)
            os.link(CLAIM, RECORD)
        except (FileExistsError, FileNotFoundError):
            return
        except OSError:
            time.sleep(1)


def _json_object(facts: "dict[str, Any]") -> bytes:
    words = {None: "null", True: "true", False: "false"}
    pairs = []
    for name, value in facts.items():
        if value is None or isinstance(value, bool):
            text = words[value]
        else:
            text = _json.encode_basestring_ascii(value) if isinstance(value, str) else repr(value)
        pairs.append(f'"{name}":{text}')
    return f"{{{','.join(pairs)}}}\n".encode()


def _start_time(pid: int) -> int:
    """Return field 22 of /proc/PID/stat: clock ticks since boot."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    import _ctypes  # noqa: PLC0415  the daemon imports this file for its names, and needs no prctl

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001  ctypes.c_int's own base
        _type_ = "i"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL
        _restype_ = Int

    this_program: Any = None
    prctl = Function(_ctypes.dlsym(_ctypes.dlopen(this_program, 0), "prctl"))
    if prctl(option, value, 0, 0, 0) != 0:
        raise OSError(errno.EINVAL, f"prctl {option}")


def _now() -> int:
    """Return UTC in milliseconds."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
