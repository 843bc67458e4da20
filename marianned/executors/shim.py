"""The shim: two processes that supervise one command, and outlive the daemon that started it.

Run as `python -I -S shim.py DIR`; DIR holds spec.json (base.Spec) and belongs to this one attempt. The fork
server (forkserver.py) has this file loaded already and forks a keeper that needs no front.

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

When somebody is stopped: the runner is sent CONT by the keeper at once, the keeper by whoever waits for the
attempt, soon (local.py); to end an attempt wakes both. The command may be stopped for as long as one likes.

Output: stdout and stderr may have `output_cap` bytes each. Beyond it the runner punches out the middle (the
size stays), once a second while much comes, every 8 s while little does; a burst after silence can be 8 s
old. A look costs the runner 40 µs. Where holes can't be punched, the attempt is ended (`output_exceeded`).

The files in DIR: claim (O_EXCL: a second start exits 125), with room reserved for the record, which is
written into it and then linked as exit.json: that needs no new block on a full disk, and the first link
wins (without hard links: a second file, renamed, which needs room of its own); identity.json
(base.Running); stdout and stderr (appended); exit.json (base.ExitRecord). Without subreapers (Linux before
3.4) a shim refuses before its claim: nothing would prove that an attempt is over.
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
_BLOCK = 65536  # no file system has larger ones: a hole of whole blocks is seen as one
_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 1.0, 8.0
_PUNCH_HOLE_KEEP_SIZE = 3
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PARENT_DIED = signal.SIGUSR2
GO = b"!"


class Refused(Exception):
    """Nothing was started: the front's exit status, and why."""


def main() -> "NoReturn":
    """Be the front: read the spec, claim, fork the keeper, exit when the attempt can be found by others."""
    try:
        spec = read_spec(sys.argv[1])
        claim = take_claim()
    except Refused as refused:
        _refuse(*refused.args)
    ready, introduced = os.pipe()
    try:
        fork(keep, spec, claim, introduced)
    except OSError as error:
        _write_record(claim, "keeper", _now(), error=f"cannot fork: {error.strerror}")
        os._exit(0)
    os.close(introduced)
    if os.read(ready, 1) == GO:
        os._exit(0)
    _refuse(NO_CLAIM_STATUS, "the keeper died before it could say who it is")


def read_spec(directory: str | bytes) -> "dict[str, Any]":
    """Go into an attempt's directory and read what is to be run."""
    try:
        os.chdir(directory)
        return _read_spec()
    except Exception as error:  # noqa: BLE001  whatever is wrong with a spec, the answer is one line
        raise Refused(BAD_SPEC_STATUS, f"no usable {SPEC}: {type(error).__name__}: {error}") from None


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
    wanted = ("id", "cwd", "env", "umask", "stdin", "timeout_seconds", "grace_seconds", "output_cap")
    if missing := [name for name in wanted if name not in spec]:
        raise ValueError(f"{missing} missing")
    return spec


def take_claim() -> int:
    """Become fit to supervise, and take the claim: its descriptor, for the record."""
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, there would be no exit statuses
    claim = None
    try:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        claim = os.open(CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.posix_fallocate(claim, 0, _RESERVED)
    except FileExistsError:
        raise Refused(CLAIMED_STATUS, "the attempt is claimed already") from None
    except OSError as error:
        if claim is not None:
            os.unlink(CLAIM)
        raise Refused(NO_CLAIM_STATUS, f"cannot claim the attempt: {error.strerror}") from None
    return claim


def _refuse(status: int, message: str) -> "NoReturn":
    os.write(2, f"{message}\n".encode(errors="replace"))
    os._exit(status)


def fork(role: "Callable[..., None]", *args: object) -> int:
    """Fork a child that plays `role` and can't come back from it, whatever happens there."""
    pid = os.fork()
    if not pid:
        try:
            role(*args)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def keep(spec: "dict[str, Any]", claim: int, introduced: int) -> None:
    """Be the keeper: look after the runner, do its work when it is killed; say GO to `introduced`."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the daemon reads the front's messages up to the end
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    started, keeper, error = _now(), os.getpid(), None
    ordered, orders = os.pipe()
    children = Children()
    try:
        children.main = fork(_run, spec, claim, keeper, ordered, (orders, introduced))
        os.close(ordered)
        _write_identity(children.main)
        os.write(orders, GO)
        os.write(introduced, GO)
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
        if seen.si_signo == signal.SIGCHLD and not children.ended():
            os.kill(children.main, signal.SIGCONT)  # the only child has not ended: it was stopped
        elif not children.ended() and not asked:
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
    children, output = Children(), Output(spec["output_cap"])
    started, error = _now(), None
    seen: dict[str, Any] = {}
    if os.read(ordered, 1) == GO:
        children.main, error = _start(spec)
        if not error:
            seen = _supervise(children, output, spec, keeper, ordered)
    children.sweep()
    output.trim()
    status = None if error else children.status
    _write_record(claim, "runner", started, swept=len(children.swept), status=status, error=error, **seen)


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

    def end(self, grace: float, keeper: int, output: "Output") -> None:
        """Send TERM to the command's group and wait, `grace` seconds at most, until the group is empty."""
        deadline = time.monotonic() + grace
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._group_has(number)
        while os.getppid() == keeper and (left := deadline - time.monotonic()) > 0:
            self.reap()
            if self.ended() and not self._group_has(0):
                return
            output.look()
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


class Output:
    """Keeps stdout and stderr within `cap` bytes each (None: whatever they have); `due`: the next look."""

    def __init__(self, cap: int | None) -> None:
        self.cap = cap or 0
        self.pause = _LOOK_SECONDS
        self.due = float("inf") if cap is None else time.monotonic() + self.pause
        self.known = 0

    def look(self) -> bool:
        """Trim what has grown too large when it is time for that; False: it can't be trimmed."""
        if time.monotonic() < self.due:
            return True
        before, self.known = self.known, sum(map(self._size, (STDOUT, STDERR)))
        slow = self.known - before < max(1, self.cap // 64)
        self.pause = min(2 * self.pause, _LONGEST_LOOK_SECONDS) if slow else _LOOK_SECONDS
        trimmed = self.trim()
        self.due = time.monotonic() + self.pause
        return trimmed

    def trim(self) -> bool:
        """Punch out all but the first and the last half of the cap; False: not possible here."""
        return self.due == float("inf") or all([self._trim(name) for name in (STDOUT, STDERR)])

    def _trim(self, name: str) -> bool:
        start = -(-self.cap // (2 * _BLOCK)) * _BLOCK
        end = (self._size(name) - self.cap // 2) // _BLOCK * _BLOCK
        if end <= start:
            return True
        file = os.open(name, os.O_WRONLY)
        failed = _libc("fallocate", file, _PUNCH_HOLE_KEEP_SIZE, start, end - start)
        os.close(file)
        return failed not in _UNSUPPORTED

    def _size(self, name: str) -> int:
        try:
            return os.stat(name).st_size
        except OSError:
            return 0


def _supervise(
    children: Children, output: Output, spec: "dict[str, Any]", keeper: int, ordered: int
) -> "dict[str, Any]":
    """Wait until the command has ended; say what of the record is so when that was because of us."""
    limit = spec["timeout_seconds"]
    deadline = float("inf") if limit is None else time.monotonic() + limit
    while True:
        left = min(deadline, output.due) - time.monotonic()
        seen = signal.sigtimedwait(
            {signal.SIGTERM, signal.SIGCHLD, _PARENT_DIED}, max(0.0, min(left, 3600.0))
        )
        children.reap()
        if children.ended() or os.getppid() != keeper:
            return {}
        if seen is not None and seen.si_signo == signal.SIGTERM:
            why = {"asked_by": int(os.read(ordered, 20)) if seen.si_pid == keeper else seen.si_pid}
        elif time.monotonic() >= deadline:
            why = {"timed_out": True}
        elif not output.look():
            why = {"output_exceeded": True}
        else:
            continue
        children.end(spec["grace_seconds"], keeper, output)
        return why


def _start(spec: "dict[str, Any]") -> "tuple[int, str | None]":
    """Start the command: its pid, and why it could not be started."""
    failed, report = os.pipe()
    try:
        command = fork(_become, spec, report)
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
    output_exceeded: bool = False,
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
        "output_exceeded": output_exceeded,
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
            _publish(record)
        except (FileExistsError, FileNotFoundError):
            return
        except OSError:
            time.sleep(1)


def _publish(record: bytes) -> None:
    try:
        os.link(CLAIM, RECORD)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        # No hard links here. The keeper writes only when it has reaped the runner: never both at once.
        with open(RECORD + ".new", "wb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        os.rename(RECORD + ".new", RECORD)


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
    if failed := _libc("prctl", option, value, 0, 0):
        raise OSError(failed, f"prctl {option}: {os.strerror(failed)}")


def _libc(name: str, *args: int) -> int:
    """Call a function of the C library whose arguments are longs, or fit into them; 0, or its errno."""
    import _ctypes  # noqa: PLC0415  the daemon imports this file for its names, and needs none of this

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001  ctypes.c_int's own base
        _type_ = "i"

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001  as above
        _type_ = "l"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    this_program: Any = None
    function = Function(_ctypes.dlsym(_ctypes.dlopen(this_program, 0), name))
    return _ctypes.get_errno() if function(*map(Long, args)) else 0


def _now() -> int:
    """Return UTC in milliseconds."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
