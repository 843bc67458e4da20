"""`Popen` for programs of ours, which forks them off a process that has loaded them: no start pays for imports.

Such a process, a zygote, is kept for each program by each test process, and ends with it. What it forks is a
child of the test process as if it had been executed: arguments, environment (in /proc, too), descriptors,
directory, session. What can't be had in this way is executed: another interpreter, options of it, a wrapper.
A forked `mzt` forks itself what it would execute: the daemon that it starts, or has examine the installation.

A zygote's standard input is a socket to the test process. A request is one datagram of JSON with the
descriptors; the answer is the child's pid.
"""

import atexit
import ctypes
import fcntl
import gc
import importlib
import inspect
import itertools
import json
import os
import platform
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import marianne_cli
from kit import putting_back
from marianne_cli.client.dialling import current_umask
from marianne_cli.process.arguments import shown_as

_COMMANDS = Path(marianne_cli.__file__).parent / "commands"
_DAEMON = (
    "marianned.service",
    "marianned.workers",
    "anyio._backends._asyncio",  # what a daemon loads as soon as it serves
    "anyio._core._signals",
    "encodings.ascii",
    "platformdirs.unix",
)
_LOADED = {
    "marianned": _DAEMON,
    "marianne_cli": (
        *_DAEMON,
        "marianned.self_check",
        "marianne_cli.main",
        "marianne_cli.client",
        "marianne_cli.options",
        "marianne_cli.service.launch",
        "marianne_cli.service.units",
        "marianned.holder",
        "marianned.score.check.compiler",
        "marianned.score.check.explain",
        "difflib",  # what commands load that say what was meant, show a time, or are asked for help
        "zoneinfo",
        "marianne_cli.tree.click_commands",
        "marianne_cli.tree.group",
        "marianne_cli.envfile",
        "marianne_cli.pagers",
        "marianne_cli.faces.groups",
        "marianne_cli.screens.transcript",
        "marianne_cli.client.streams",
        *(f"marianne_cli.commands.{file.stem}" for file in _COMMANDS.glob("[a-z]*.py")),
    ),
    "marianne_cli dashboard": (
        "marianne_cli.main",
        "marianne_cli.commands.dashboard",
        "marianne_cli.web.server",
    ),
}
"""The programs, one of them with a command that loads a lot, and what their zygotes have loaded."""
_LIKE = {"kit.nursery_alone": "marianned", "kit.another_zygote": "marianned"}
"""What is forked off the zygote of another program."""
_CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
_CLONE_PARENT = 0x8000
_MOST_DESCRIPTORS = 8
_REQUEST_BYTES = 100_000
_ARGUMENTS_ROOM, _ENVIRONMENT_ROOM = 2_000, 20_000
"""Bytes of a child's arguments and environment that /proc can show."""
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_", "GLIBC_", "MALLOC_")
"""How the names of variables begin that an interpreter and its libraries read when they start."""

_START = "import sys; sys.path[0] = sys.argv[1]; from kit import zygote; zygote.serve(sys.argv[2])"

_zygotes = {}
_executing = subprocess.Popen
_within = []
"""In a child that was forked as `mzt`: what it is no more, and must not be taken down."""


class Popen(subprocess.Popen):
    """`subprocess.Popen`; `python -m PROGRAM` is forked where it comes to the same."""

    def _execute_child(self, *given):
        how = inspect.signature(super()._execute_child).bind(*given).arguments
        program = _program(how)
        self.pid = (_fork_within if _within else _zygote(program).fork)(how) if program else None
        if self.pid is None:
            super()._execute_child(*given)
            return
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(how[end] for end in ends))


def run(args, *, input=None, timeout=None, check=False, capture_output=False, **how):  # noqa: A002  its name there
    """Do what `subprocess.run` does."""
    if input is not None:
        how["stdin"] = subprocess.PIPE
    if capture_output:
        how |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(args, **how) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _program(how):
    """Return which program of ours is to be started; None: it has to be executed."""
    words, env = how["args"], how["env"]
    if _within and isinstance(words, list):
        words = [word for number, word in enumerate(words) if (number, word) != (1, "-P")]
    wanted = (
        isinstance(words, list | tuple)
        and [*words[:2]] == [sys.executable, "-m"]
        and words[2] in {*_LOADED, *_LIKE}
    )
    plain = {"restore_signals": True, "close_fds": True, "process_group": -1}
    special = ("executable", "preexec_fn", "startupinfo", "shell", "gid", "gids", "uid")
    if not wanted or any(how[name] for name in special) or any(how[n] != value for n, value in plain.items()):
        return None
    hidden = any(shown_as(before, word) != word for before, word in itertools.pairwise(words))
    if hidden or _CLONE is None or _of_the_interpreter(env) != _of_the_interpreter(None):
        return None
    command = " ".join(words[2:4])
    return command if command in _LOADED else _LIKE.get(words[2], words[2])


def _of_the_interpreter(env):
    given = os.environ if env is None else env
    return {name: value for name, value in given.items() if name.startswith(_OF_THE_INTERPRETER)}


def _zygote(program):
    """Return this process's zygote of a program, started at the first call; a fork of us has its own."""
    key = program, os.getpid()
    if key not in _zygotes:
        _zygotes[key] = Zygote(program)
    return _zygotes[key]


def _request(how):
    """Return what is asked of a child, and the descriptors that it gets: the first three, and what is passed."""
    passed = [*how["pass_fds"]]
    asked = {
        "argv": how["args"],
        "env": dict(os.environ if how["env"] is None else how["env"]),
        "cwd": os.fspath(how["cwd"] or Path.cwd()),
        "new_session": how["start_new_session"],
        "umask": current_umask() if how["umask"] == -1 else how["umask"],
        "passed": passed,
    }
    ends = (how["p2cread"], how["c2pwrite"], how["errwrite"])
    return asked, [number if end == -1 else end for number, end in enumerate(ends)] + passed


class Zygote:
    """The near end of one."""

    def __init__(self, program):
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with far:
            if program != "marianned":  # what a daemon has loaded, is most of what they need
                words = [sys.executable, "-m", "kit.another_zygote", program]
                # Without a failure: all that it forks would have that, whatever is put back then.
                env = {name: value for name, value in os.environ.items() if name != putting_back.VARIABLE}
                self._process = Popen(words, cwd="/", env=env, stdin=far.fileno())
            else:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        _START,
                        str(Path(__file__).parents[1]),
                        program,
                        " " * _ARGUMENTS_ROOM,
                    ],
                    env={"ROOM": " " * _ENVIRONMENT_ROOM, **os.environ},
                    cwd="/",
                    stdin=far.fileno(),
                )
        atexit.register(self._close)

    def fork(self, how):
        """Have a child of this process forked; return its pid, None if it can't be."""
        asked, given = _request(how)
        data = json.dumps(asked).encode()
        if len(data) > _REQUEST_BYTES or len(given) > _MOST_DESCRIPTORS:
            return None
        with self._lock:
            socket.send_fds(self._near, [data], given)
            answer = self._near.recv(100)
        assert answer, f"the zygote has ended: {self._process.wait()}"
        return int(answer) or None

    def _close(self):
        self._near.close()
        self._process.wait()


# --- the far end ---------------------------------------------------------------------------------------------


def serve(program):
    """Fork for as long as somebody asks; then, or in a child as soon as it has done its work, end."""
    asked, given = _asked(program)
    _become(asked, given)
    if program != "marianned":
        _within.append((sys.stdin, sys.stdout, sys.stderr))
        subprocess.Popen = Popen
    _run(asked["argv"][2])


def _run(module):
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _end_at_once(end.code or 0)
        raise


def _end_at_once(code):
    """End as an interpreter does, but leave to the kernel all that was loaded: it would be copied to be taken down.

    Returns where its output can't be written to the end: what is said of that then, is the interpreter's.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code & 0xFF)


def _fork_within(how):
    """Fork a child of this process, which has loaded what it is to be; return its pid.

    It never leaves this call, so that nothing of what it was before is taken down.
    """
    asked, given = _request(how)
    pid = os.fork()
    if pid:
        return pid
    try:
        _begin_within(asked, given)
        argv = asked["argv"]
        if argv[1] == "-P":
            del sys.path[0]
        _run(argv[argv.index("-m") + 1])
    except SystemExit as end:
        print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  said as an interpreter says it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(1)


def _begin_within(asked, given):
    """Be no more what has forked us."""
    gc.collect()  # what closes a descriptor does so now, not when another has its number
    _within.append((sys.stdin, sys.stdout, sys.stderr))
    subprocess.Popen = _executing
    atexit._clear()
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as an interpreter does that starts
    above = max([2, *given, *asked["passed"]]) + 1
    given = [fcntl.fcntl(one, fcntl.F_DUPFD, above) for one in given]
    for first, last in itertools.pairwise([-1, *sorted(given), os.sysconf("SC_OPEN_MAX")]):
        os.closerange(first + 1, last)
    _become(asked, given)


def _asked(program):
    """Fork whenever somebody asks; return in a child, with what it was asked to be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the tests
    sys.path[0] = ""
    for name in _LOADED[program]:
        importlib.import_module(name)
    if program == "marianned":
        # What its nursery loads: which of it a daemon loads itself, tests/unit/test_loaded_by_the_daemon.py knows.
        workers = sys.modules["marianned.workers"]
        loaded = workers.load()
        workers.load = lambda _builtin: loaded  # each nursery that is forked off a daemon would do it again
        sys.modules["marianned.progress.views.job"].view_shape()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as asking:
        while True:
            data, given, _, _ = socket.recv_fds(asking, _REQUEST_BYTES, _MOST_DESCRIPTORS)
            if not data:
                sys.exit()
            pid = _fork_sibling()
            if not pid:
                return json.loads(data), given
            asking.send(str(max(pid, 0)).encode())
            for descriptor in given:
                os.close(descriptor)


def _fork_sibling():
    """Fork a child of this process's parent; -1: there is none."""
    python = ctypes.PyDLL(None)
    python.PyOS_BeforeFork()
    pid = python.syscall(_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    (python.PyOS_AfterFork_Parent if pid else python.PyOS_AfterFork_Child)()
    return pid


def _become(asked, given):
    """Be as a program is that was executed with all this."""
    if asked["new_session"]:
        os.setsid()
    numbers = [0, 1, 2, *asked["passed"]]
    above = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1) for one in given]
    for descriptor in given:
        os.close(descriptor)
    for descriptor, number in zip(above, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(asked["cwd"])
    os.umask(asked["umask"])
    os.environ.clear()  # libc, too, has what comes now in a place of its own
    os.environ.update(asked["env"])
    _show(asked["argv"], asked["env"])
    time.tzset()
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        made = open(number, old.mode, encoding=old.encoding, errors=old.errors, closefd=False)  # noqa: SIM115  it stays
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
    sys.path[0] = str(Path.cwd())
    sys.orig_argv = asked["argv"]
    sys.argv = asked["argv"][asked["argv"].index("-m") + 1 :]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "MARIANNE_FAULT" in asked["env"]:
        importlib.reload(sys.modules["marianned.faults"])
    if failure := asked["env"].get(putting_back.VARIABLE):
        putting_back.put_back(failure)


def _show(argv, env):
    """Put arguments and environment where /proc shows them, as far as there is room."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    words = (argv, [f"{name}={value}" for name, value in env.items()])
    with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
        for shown, first, last in zip(
            words, map(int, fields[45:49:2]), map(int, fields[46:50:2]), strict=True
        ):
            data = "\0".join(shown).encode(errors="surrogateescape") + b"\0"
            memory.seek(first)
            memory.write(data[: last - first].ljust(last - first, b"\0"))
