"""The shim: two processes that supervise one command, and outlive the daemon that started it.

Run as `python -I -S shim.py DIR`; DIR holds spec.json (base.Spec) and is this one attempt's. The fork server
(forkserver.py) forks pairs that need no front, and that may take another attempt behind this one. With the
further word `stay` the front becomes the keeper, which on a cluster must live as long as its job
(clusters/executor.py). Where the spec says that the job `stays`, it goes on behind the record with what is
named to it (order.py); a directory behind `stay` is where it has come from for that, and goes back to.

    daemon ── front        reads the spec, takes the claim, forks, waits for identity.json, exits
              keeper       a session of its own; after the front it belongs to init
              └─ runner    PDEATHSIG from the keeper
                 └─ command and all it starts, in a session of its own

All but the command block every signal and take TERM, INT, CHLD and PDEATHSIG one at a time. Keeper and
runner are child subreapers: whatever loses its parent below them becomes their child, so "no child is left"
proves that nothing is left. Without subreapers (Linux before 3.4) the shim refuses before its claim.

The runner starts the command and keeps its limits (silence.py that of silence; final_event.py ends a command
that hangs behind its final event; limit.py reads what a time limit was raised to meanwhile; order.py looks
on a cluster whether it is to end). Once the command has ended by itself, those that still hold its output
have `drain_seconds` to finish; then all it left behind gets TERM, and KILL two seconds later (children.py).
The runner writes exit.json and exits. The keeper waits for the runner and passes TERM on to it, with the pid
it came from. TERM, or a limit, means: TERM to the command's process group, up to `grace_seconds` until that
group is empty, then TERM and KILL for the rest, without a drain. During a drain it ends the drain alone.
Where the spec has a `stop`, TERM to the keeper lets the command first be asked as that says; INT, before or
behind it, that it is not, or no longer.

When somebody is killed:
    front            nobody misses it: identity.json or exit.json appears all the same
    command          the runner sees it end like any other way
    keeper           PDEATHSIG: the runner sweeps at once and writes the record
    runner           its children become the keeper's, which sweeps and writes the record, exit unknown
    command too      the same by the survivor
    keeper, runner   nobody is left to sweep: the daemon does, by mark and brand (traces.py); no record
When somebody is stopped: the runner is sent CONT by the keeper at once, the keeper by whoever waits for it
(local.py); to end an attempt wakes both. The command may be stopped for as long as one likes.

Output: stdout and stderr may have `output_cap` bytes each. Beyond it the runner punches out the middle (the
size stays). It looks once a second while much comes, every 8 s (0.15 ms each) otherwise: so old can a burst
after a silence be. Where holes can't be punched, the attempt is ended (`output_exceeded`).

In DIR: claim (O_EXCL: a second start exits 125), with room for the record, which is written into it and then
linked as exit.json (base.ExitRecord): that needs no block on a full disk, and the first link wins;
identity.json (base.SupervisorIdentity); stdout, stderr (appended).
"""

# Private cores of json, signal, ctypes: those double the time of a start (benchmarks/attempt_start.py).
import _json
import errno
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from marianned.executors.children import HURRY, MESSAGE, PARENT_DIED, Children, Used, launch, wall_status
    from marianned.executors.final_event import FinalEventWatch
    from marianned.executors.order import EndOrderWatch
    from marianned.executors.silence import SilenceWatch

    Facts = dict[str, Any]
    EndWatch = EndOrderWatch | FinalEventWatch | SilenceWatch
else:
    import _signal as signal

    if not __package__:  # it runs as a program, or in the fork server; the daemon imports it for its names
        sys.path.append(os.path.dirname(os.path.abspath(__file__)))
        from children import HURRY, MESSAGE, PARENT_DIED, Children, launch, wall_status

SPEC, CLAIM, IDENTITY, RECORD = "spec.json", "claim", "identity.json", "exit.json"
STDOUT, STDERR = "stdout", "stderr"
MARK = "MARIANNE_ATTEMPT_ID"
STAY = "stay"
AT = {"node": "MARIANNE_NODE", "cluster_job": "MARIANNE_CLUSTER_JOB"}
"""The variables by which a job of a cluster tells us where it runs; the command does not get them."""
VERSION = 1
NO_CLAIM_STATUS, CLAIMED_STATUS, BAD_SPEC_STATUS = 1, 125, 126

_ASKED_BY_FILE: "Facts" = {"asked_by": None}
"""Why a command was ended for which order.py has found the file that asks for it; no file tells who asked."""
_REASONS = ("timed_out", "output_exceeded", "stale", "final")
_WANTED = ("id", "cwd", "env", "umask", "stdin", "timeout_seconds", "grace_seconds", "output_cap", "silence")
_RESERVED, _ERROR_LIMIT, _APPEND = 4096, 500, os.O_WRONLY | os.O_CREAT | os.O_APPEND
_BLOCK = 65536  # no file system has larger ones: a hole of whole blocks is seen as one
_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 1.0, 8.0
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
_NEVER_SYNCED = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, _PUNCH_HOLE_KEEP_SIZE = 1, 36, 3
_CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
GO = b"!"


class _StrictJSON:
    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


class ShimRefusal(Exception):
    """Nothing was started: (the front's exit status, why)."""


def main() -> "NoReturn":
    """Be the front: read the spec, claim, fork the keeper, exit when the attempt can be found by others."""
    try:
        spec = read_spec(sys.argv[1])
        claim = take_claim()
    except ShimRefusal as refused:
        os.write(2, f"{refused.args[1]}\n".encode(errors="replace"))
        _go_back(sys.argv[3:])
        os._exit(refused.args[0])
    if sys.argv[2:3] == [STAY]:
        _stay(spec, claim)
    ready, introduced = os.pipe()
    try:
        fork(keep, spec, claim, introduced)
    except OSError as error:
        write_record(claim, "keeper", now(), id=spec["id"], swept=0, error=f"cannot fork: {error.strerror}")
        os._exit(0)
    os.close(introduced)
    os._exit(0 if os.read(ready, 1) == GO else NO_CLAIM_STATUS)


def _stay(spec: "Facts", claim: int) -> "NoReturn":
    """Be the keeper without a front; the command gets what the job was granted, by its own variables."""
    begins = tuple(spec.get("inherits", ()))
    granted = {name: value for name, value in os.environ.items() if begins and name.startswith(begins)}
    spec["env"] = {**granted, **spec["env"]}
    wanted = {"final_event": spec.get("final"), "silence": spec["silence"], "limit": True, "order": True}
    for name in [name for name in wanted if wanted[name]]:
        __import__(name)  # now: later the directory where they lie may be away for a while
    try:
        if not keep(spec, claim, os.open(os.devnull, os.O_WRONLY)):
            _go_back(sys.argv[3:] or ([os.getcwd()] if spec.get("stays") else []))
    finally:
        os._exit(0)


def _go_back(places: list[str]) -> None:
    """Wait where an attempt's job stays for what is next, if it does."""
    for place in places:
        module: Any = __import__("order")
        module.stay(place, os.path.abspath(__file__), (STAY,), {signal.SIGTERM, HURRY})


def read_spec(directory: str | bytes) -> "Facts":
    """Go into an attempt's directory and read what is to be run."""
    try:
        os.chdir(directory)
        spec: Facts = _json.make_scanner(_StrictJSON)(read(SPEC).decode(), 0)[0]  # type: ignore[arg-type]
        if spec["version"] != VERSION:
            raise ValueError(f"version {spec['version']}, this shim reads {VERSION}")  # noqa: TRY301
        if not spec["argv"]:
            raise ValueError("argv is empty")  # noqa: TRY301  here, because they are all one kind of answer
        if missing := [name for name in _WANTED if name not in spec]:
            raise ValueError(f"{missing} missing")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001  whatever is wrong with a spec, the answer is one line
        raise ShimRefusal(BAD_SPEC_STATUS, f"no usable {SPEC}: {type(error).__name__}: {error}") from None
    return spec


def take_claim() -> int:
    """Become fit to supervise, and take the claim: its descriptor, for the record."""
    try:
        become_fit()
    except OSError as error:
        raise ShimRefusal(NO_CLAIM_STATUS, f"cannot claim the attempt: {error.strerror}") from None
    return open_claim()


def open_claim() -> int:
    """Take the claim of the attempt whose directory this is."""
    claim = None
    try:
        claim = os.open(CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.posix_fallocate(claim, 0, _RESERVED)
    except FileExistsError:
        raise ShimRefusal(CLAIMED_STATUS, "the attempt is claimed already") from None
    except OSError as error:
        if claim is not None:
            os.unlink(CLAIM)
        raise ShimRefusal(NO_CLAIM_STATUS, f"cannot claim the attempt: {error.strerror}") from None
    return claim


def become_fit() -> None:
    """Block all signals, and have whatever loses its parent below this process become its child."""
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, there would be no exit statuses
    libc("prctl", PR_SET_CHILD_SUBREAPER, 1)


def fork(role: "Callable[..., object]", *args: object) -> int:
    """Fork a child that plays `role` and can't come back from it, whatever happens there."""
    pid = os.fork()
    if not pid:
        try:
            role(*args)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def keep(spec: "Facts", claim: int, introduced: int) -> bool:
    """Be the keeper: look after the runner, do its work when it is killed; say GO to `introduced`.

    Return whether it was told to end.

    The order matters. The runner is forked first and waits; the keeper writes who both are; GO to the
    runner lets it start the command, GO to the front lets the daemon know. So whoever finds no identity
    knows that no command was started. Then the keeper only sleeps until its child ends: TERM from anybody
    is passed on once, with who sent it; a SIGCHLD without an end means that the runner was stopped, and it
    is woken. When the runner has ended, the keeper ends what is left of the attempt; only where the runner
    did not end well does it write the record: the runner's own is better.
    """
    lead()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the daemon reads the front's messages up to the end
    libc("prctl", PR_SET_CHILD_SUBREAPER, 1)
    if spec.get("brand"):
        carry_brand(spec["brand"])
    started, keeper, error = now(), os.getpid(), None
    ordered, orders = os.pipe()
    children = Children()
    try:
        children.main = fork(_run, spec, claim, keeper, ordered, (orders, introduced))
        os.close(ordered)
        write_identity(identity(children.main), started)
        os.write(orders, GO)
        os.write(introduced, GO)
    except BrokenPipeError:
        pass  # the front or the runner was killed: the loop below sees which
    except OSError as failed:
        error = f"cannot supervise: {failed.strerror}"
        if children.main:
            os.kill(children.main, signal.SIGKILL)
    os.close(introduced)
    asked = bool(children.main) and see_through(children, orders)
    keep_record(spec, claim, started, children, error)
    return asked


def see_through(children: "Children", orders: int, is_over: "Callable[[], bool]" = lambda: False) -> bool:
    """Wait until the runner has ended, or says that the attempt has; tell whether it was told to end it."""
    asked = False
    while not children.ended() and not is_over():
        seen = signal.sigwaitinfo({signal.SIGTERM, signal.SIGCHLD, HURRY, MESSAGE})
        children.reap()
        if children.ended():
            break
        if seen.si_signo == HURRY:
            os.kill(children.main, HURRY)
        elif seen.si_signo == signal.SIGCHLD:
            os.kill(children.main, signal.SIGCONT)  # the only child has not ended: it was stopped
        elif seen.si_signo == signal.SIGTERM and not asked:
            asked = True
            _pass_on(children.main, orders, seen.si_pid)
    return asked


def keep_record(spec: "Facts", claim: int, started: int, children: "Children", error: str | None) -> None:
    """End what a runner that has ended has left; write the record where it has not: its own is better."""
    children.sweep()
    if children.status != 0:
        seen = {"id": spec["id"], "swept": len(children.swept), "error": error}
        write_record(claim, "keeper", started, used=children.used, **seen)


def carry_brand(brand: int) -> None:
    """Carry the brand of an attempt (traces.py); what is started inherits it. -1: none."""
    import resource  # noqa: PLC0415  the fork server has it loaded

    resource.setrlimit(resource.RLIMIT_RTTIME, (brand, resource.RLIM_INFINITY))


def lead() -> None:
    """Lead a session of one's own."""
    if os.getpgid(0) != os.getpid():  # a cluster job's first process leads a group already
        os.setsid()


def _pass_on(runner: int, orders: int, asked_by: int) -> None:
    try:
        os.write(orders, b"%d" % asked_by)
        os.kill(runner, signal.SIGTERM)
    except OSError:
        pass  # it has just ended: that is seen next


def _run(spec: "Facts", claim: int, keeper: int, ordered: int, others: tuple[int, ...]) -> None:
    """Be the runner: start the command once the keeper has said who we are, see it to its end, record it."""
    for end in others:
        os.close(end)
    libc("prctl", PR_SET_CHILD_SUBREAPER, 1)
    libc("prctl", PR_SET_PDEATHSIG, PARENT_DIED)
    attend(spec, claim, keeper, ordered, go=os.read(ordered, 1) == GO)


def attend(spec: "Facts", claim: int, keeper: int, ordered: int, *, go: bool) -> bool:
    """See the command from its start, with `go`, to its end, and record that.

    Return whether it has ended by itself and left nothing: no process, and no descriptor here.
    """
    children, output = Children(), OutputCap(spec["output_cap"])
    started, error, wall_report = now(), None, 0
    seen: Facts = {}
    if go:
        children.main, error, wall_report = _start(spec, output)
        children.walled = bool(wall_report)
        if not error:
            seen = _supervise(children, output, spec, keeper, ordered)
            children.end_leftovers(keeper)
    children.sweep()
    output.trim()
    status = None if error else children.status
    if wall_report and not error:
        status, error = wall_status(wall_report, status)
    ended = {
        "swept": len(children.swept),
        "left_behind": len(children.left) if seen.keys() <= {"output_cut"} else 0,
    }
    facts = {"id": spec["id"], "error": error, **ended, **seen}
    write_record(claim, "runner", started, status, used=children.used, **facts)
    output.close()
    return go and not (error or wall_report or seen or children.swept)


class OutputCap:
    """Keeps stdout and stderr within `cap` bytes each (None: all they have); `due`: the next look."""

    def __init__(self, cap: int | None) -> None:
        self.cap, self.pause, self.known = cap or 0, _LOOK_SECONDS, 0
        self.due = float("inf") if cap is None else time.monotonic() + self.pause
        self.files: list[int] = []

    def open(self) -> None:
        """Make the files."""
        self.files = [os.open(name, _APPEND, 0o600) for name in (STDOUT, STDERR)]

    def close(self) -> None:
        """Let go of the files."""
        for file in self.files:
            os.close(file)

    def poll(self) -> bool:
        """Trim what has grown too large when it is time for that; False: it can't be trimmed."""
        if time.monotonic() < self.due:
            return True
        before, self.known = self.known, sum(os.fstat(file).st_size for file in self.files)
        much = self.known - before > self.cap // 64
        self.pause = _LOOK_SECONDS if much else min(2 * self.pause, _LONGEST_LOOK_SECONDS)
        self.due = time.monotonic() + self.pause
        return self.trim()

    def trim(self) -> bool:
        """Punch out all but the first and the last half of the cap; False: not possible here."""
        possible = True
        for file in self.files if self.due < float("inf") else ():
            start = -(-self.cap // (2 * _BLOCK)) * _BLOCK
            end = (os.fstat(file).st_size - self.cap // 2) // _BLOCK * _BLOCK
            if end > start:
                try:
                    libc("fallocate", file, _PUNCH_HOLE_KEEP_SIZE, start, end - start)
                except OSError as error:
                    possible = possible and error.errno not in _UNSUPPORTED
        return possible


def _supervise(children: "Children", output: OutputCap, spec: "Facts", keeper: int, ordered: int) -> "Facts":
    """Wait until the command and its output have ended; say what of the record is so because of us.

    One wait for everything: a signal, or the next moment at which something has to be looked at. After
    each, first whether the command has ended or the keeper is gone; an end by itself leaves what still
    writes the output its time (drain), and no reason. Only then whether to end the command, by the first
    that applies: TERM, the time limit, an output that can't be kept within its cap, the final event, silence.
    The reason that is returned goes into the record as it is.
    """
    limit, began = spec["timeout_seconds"], time.monotonic()
    deadline = float("inf") if limit is None else began + limit
    watches, hurry = _watches(spec, output), False
    waking = {signal.SIGTERM, signal.SIGCHLD, PARENT_DIED, HURRY}
    why: Facts
    while True:
        left = min(deadline, output.due, *(watch.due for watch in watches.values())) - time.monotonic()
        seen = signal.sigtimedwait(waking, max(0.0, min(left, 3600.0)))
        number = 0 if seen is None else seen.si_signo
        some_are_left = children.reap()
        if children.ended() or os.getppid() != keeper:
            drain = spec.get("drain_seconds", 0.0)
            if drain and some_are_left and number in {0, signal.SIGCHLD}:
                until = min(deadline, time.monotonic() + drain)
                if children.drain(until, keeper, output.files, output.poll):
                    return {"output_cut": True}
            return {}
        hurry |= number == HURRY
        if seen is not None and number == signal.SIGTERM:
            why = {"asked_by": int(os.read(ordered, 20)) if seen.si_pid == keeper else seen.si_pid}
        elif time.monotonic() >= deadline:
            raised = _raised(spec, "limit")
            if raised > limit:
                limit, deadline = raised, began + raised
                continue
            why = {"timed_out": True, "limit_seconds": limit}
        elif not output.poll():
            why = {"output_exceeded": True}
        elif ending := next((name for name in watches if _is_over(name, watches[name], spec)), None):
            idle: Any = getattr(watches[ending], "idle", None) if ending == "stale" else None
            why = _ASKED_BY_FILE if ending == "asked_by" else {ending: True, "limit_seconds": idle}
        else:
            continue
        why = why | _final_event_came(why, watches)
        _end_command(children, output, spec, keeper, ask="asked_by" in why and not hurry)
        return why


def _final_event_came(why: "Facts", watches: "Mapping[str, object]") -> "Facts":
    """Return, of a command that is asked to end, whether its final event stands there by now."""
    watch: Any = watches.get("final")
    return {"spoken": watch.has_come()} if watch is not None and "asked_by" in why else {}


def _end_command(children: "Children", output: OutputCap, spec: "Facts", keeper: int, *, ask: bool) -> None:
    """End the command; ask it to stop before, where that is wanted and the spec says how."""
    if ask and spec.get("stop"):
        children.ask_to_stop(**spec["stop"], keeper=keeper, look=output.poll)
    children.end(spec["grace_seconds"], keeper, output.poll)


def _is_over(why: str, watch: "Any", spec: "Facts") -> bool:
    """Tell whether a watch wants an end now: a limit of silence may have been raised meanwhile."""
    return not watch.poll() and not (why == "stale" and watch.extended(_raised(spec, "silence")))


def _raised(spec: "Facts", name: str) -> float:
    """Return what a limit was raised to meanwhile, in seconds; 0: it was not."""
    module: Any = __import__("limit")
    limit: float = module.read(spec["id"], name)
    return limit


def _watches(spec: "Facts", output: OutputCap) -> "dict[str, EndWatch]":
    """Return what else may end the command, each by the name that the record has for it."""
    watches: dict[str, EndWatch] = {}
    if sys.argv[2:3] == [STAY]:
        watches["asked_by"] = __import__("order").EndOrderWatch()
    if spec.get("final"):
        module: Any = __import__("final_event")
        # not by its name: the command runs by now, and may have put a pipe there
        watches["final"] = module.FinalEventWatch(**spec["final"], path=f"/proc/self/fd/{output.files[0]}")
    if spec["silence"]:
        module = __import__("silence")
        watches["stale"] = module.SilenceWatch(**spec["silence"], output=output.files)
    return watches


def _start(spec: "Facts", output: OutputCap) -> "tuple[int, str | None, int]":
    """Start the command: its pid, why it could not be started, where its end is told (0: it has no wall).

    It is spawned, which copies no memory, where the interpreter can do that with a session of its own; one
    behind a wall is forked.
    """
    wall_report, status = 0, -1
    try:
        output.open()
        if not spec.get("wall"):
            try:
                return *_spawn(spec, output.files), 0
            except NotImplementedError:
                pass  # built for a C library without POSIX_SPAWN_SETSID
        failed, report = os.pipe()
        if spec.get("wall"):
            wall_report, status = os.pipe()
        command = fork(_become, spec, output.files, report, status)
    except OSError as error:
        return 0, f"cannot start anything: {error.strerror}", 0
    os.close(report)
    if wall_report:
        os.close(status)
        os.set_blocking(wall_report, False)
    text = os.read(failed, _ERROR_LIMIT)  # all of it, or the end that comes with a successful exec: CLOEXEC
    os.close(failed)
    return command, text.decode(errors="replace") or None, wall_report


def _spawn(spec: "Facts", output: list[int]) -> "tuple[int, str | None]":
    """Start the command without a copy of this process; return its pid, or why it could not be started.

    It inherits directory and umask: for that moment they are this process's, which holds its own by a
    descriptor.
    """
    own, umask = os.open(".", os.O_RDONLY | os.O_DIRECTORY), os.umask(spec["umask"])
    subject, given = f"standard input '{spec['stdin']}'", -1
    try:
        given = os.open(spec["stdin"] or os.devnull, os.O_RDONLY)
        files = [given, *output]
        ends = [(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate(files)]
        subject = f"working directory '{spec['cwd']}'"
        os.chdir(spec["cwd"])
        subject = f"'{spec['argv'][0]}'"

        def start(file: str, argv: list[str], env: dict[str, str]) -> int:
            return os.posix_spawn(
                file, argv, env, file_actions=ends, setsid=True, setsigmask=(), setsigdef=_CATCHABLE
            )

        return launch(start, spec["argv"], _environment(spec)), None
    except NotImplementedError:
        raise
    except Exception as error:  # noqa: BLE001  an environment that can't be encoded is one, too
        return 0, _start_error(subject, error)
    finally:
        os.fchdir(own)
        os.umask(umask)
        os.close(own)
        if given >= 0:
            os.close(given)


def _become(spec: "Facts", output: list[int], report: int, status: int) -> None:
    """Become the command, or report what prevented it."""
    subject = f"standard input '{spec['stdin']}'"
    try:
        os.setsid()
        for number, file in enumerate(output, 1):
            os.dup2(file, number)
        os.dup2(os.open(spec["stdin"] or os.devnull, os.O_RDONLY), 0)
        subject = f"working directory '{spec['cwd']}'"
        os.chdir(spec["cwd"])
        os.umask(spec["umask"])
        for number in _CATCHABLE:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        argv = spec["argv"]
        if spec.get("wall"):
            for end in (report, status):
                os.set_inheritable(end, True)  # noqa: FBT003  the one parameter it has
            argv = [*spec["wall"], str(report), str(status), *argv]
        subject = f"'{argv[0]}'"
        launch(os.execve, argv, _environment(spec))
    except Exception as error:  # noqa: BLE001  see _spawn
        os.write(report, _start_error(subject, error).encode(errors="replace"))


def _environment(spec: "Facts") -> dict[str, str]:
    return {**spec["env"], MARK: spec["id"]}


def _start_error(subject: str, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"{subject}: {reason}".encode(errors="replace")[:_ERROR_LIMIT].decode(errors="replace")


def identity(runner: int) -> "Facts":
    """Return who looks after it, this keeper and its runner, and where (base.SupervisorIdentity)."""
    where = {name: os.environ[variable] for name, variable in AT.items() if variable in os.environ}
    return {
        "pid": os.getpid(),
        "start_time": _start_time(os.getpid()),
        "runner_pid": runner,
        "runner_start_time": _start_time(runner),
        "boot_id": read("/proc/sys/kernel/random/boot_id").decode().strip(),
        **where,
    }


def write_identity(facts: "Facts", started: int) -> None:
    """Say who looks after it: from here on it can be found by others."""
    _write(IDENTITY, _json_object({**facts, "started_at": started}))


def write_record(
    claim: int, writer: str, started: int, status: int | None = None, used: "Used" = (0, 0, 0), **seen: object
) -> None:
    """Write exit.json, unless there is one; try until it is on disk, or the directory is gone."""
    user, system, most = used
    code = None if status is None else os.waitstatus_to_exitcode(status)
    facts = {
        "exit_code": None if code is None or code < 0 else code,
        "signal": -code if code is not None and code < 0 else None,
        "asked": "asked_by" in seen,
        "asked_by": None,
        **dict.fromkeys(_REASONS, False),
        "started_at": started,
        "ended_at": now(),
        "user_seconds": user,
        "system_seconds": system,
        "max_rss_kib": most,
        "writer": writer,
    }
    record, named = _json_object(facts | seen), False
    while True:
        try:
            named = _write_record_once(claim, record, named=named)
            _sync(claim)
        except FileExistsError:
            continue
        except FileNotFoundError:
            return
        except PermissionError:  # the command has closed its directory: it is ours to open
            _open_directory()
        except OSError as error:
            if named and error.errno in _NEVER_SYNCED:
                return
            time.sleep(1)
        else:
            return


def _write_record_once(claim: int, record: bytes, *, named: bool) -> bool:
    """Write the record and name it; again, where it was `named`. False: there is one, which is another's."""
    if not named and os.path.exists(RECORD):
        return False  # once linked, the claim is the record: no other may write into it
    os.pwrite(claim, record, 0)
    os.ftruncate(claim, len(record))
    if not named:
        if AT["cluster_job"] in os.environ:  # who looks for it from another machine goes by its name
            os.fsync(claim)
        _link_record(claim, record)
    return True


def _sync(claim: int) -> None:
    """Have the record, and its name, on the disk.

    It has its name by then: a file system with a journal takes both along, where it would have to write that
    twice. A power cut before that can leave the name of nothing, which is no record.
    """
    os.fsync(claim)
    directory = os.open(".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _link_record(claim: int, record: bytes) -> None:
    """Give the record its name; whatever else the command has put in the claim's place does not become it."""
    try:
        ours = os.path.samestat(os.lstat(CLAIM), os.fstat(claim))
        if ours:
            os.link(CLAIM, RECORD)
    except OSError as error:
        if error.errno not in (*_UNSUPPORTED, errno.ENOENT):
            raise
        ours = False
    if not ours:
        _write(RECORD, record, durable=True)  # no links, or no claim; the keeper comes after the runner


def _open_directory() -> None:
    try:  # noqa: SIM105  contextlib is nothing to carry for this
        os.chmod(".", 0o700)
    except OSError:
        pass
    time.sleep(0.01)


def _write(name: str, content: bytes, *, durable: bool = False) -> None:
    new = f"{name}.{os.urandom(8).hex()}"  # no command can have put a pipe or a link in its place
    try:
        with open(new, "xb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(new, name)
    except OSError:
        if os.path.lexists(new):
            os.unlink(new)
        raise


def read(path: str) -> bytes:
    """Read a whole file (as text, it could need an encoding that is not loaded)."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _json_object(facts: "Facts") -> bytes:
    quote = _json.encode_basestring_ascii
    encode = _json.make_encoder(None, repr, quote, None, ":", ",", False, False, False)  # noqa: FBT003
    return "".join(encode(facts, 0)).encode() + b"\n"


def _start_time(pid: int) -> int:  # clock ticks since boot
    return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])


def libc(name: str, *args: int) -> None:
    """Make a call whose arguments are longs, or fit into them."""
    import _ctypes  # noqa: PLC0415  the daemon imports this file for its names, and needs none of this

    if name not in _calls:
        prepare(name)
    function, long = _calls[name]
    if function(*map(long, args)):
        raise OSError(_ctypes.get_errno(), f"{name}: {os.strerror(_ctypes.get_errno())}")


_calls: "dict[str, tuple[Any, Any]]" = {}


def prepare(*names: str) -> None:
    """Make the calls of the C library ready: the fork server does it once, for a type costs 0.1 ms."""
    import _ctypes  # noqa: PLC0415  see libc

    number: Any = _ctypes._SimpleCData  # noqa: SLF001  what ctypes.c_int and c_long are made of
    kind = {
        "_flags_": _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO,
        "_restype_": type("Int", (number,), {"_type_": "i"}),
    }
    function: Any = type("Function", (_ctypes.CFuncPtr,), kind)
    long = type("Long", (number,), {"_type_": "l"})
    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # this program itself
    for name in names:
        _calls[name] = function(_ctypes.dlsym(library, name)), long


def now() -> int:
    """Return the present moment (UTC, milliseconds)."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
