"""The nursery: a resident process that has loaded all that workers need, and forks them.

Workers are ready in milliseconds, share its memory, and need nothing of the package's files any more: those
may be replaced or removed while the daemon runs. Its standard input is a socket to the daemon. It first says
HELLO and its version there, or what is wrong; then each datagram brings two sockets: the far end of a
worker's channel, and of its leash. On the leash the daemon is told how the worker ended (its exit status, or
minus its signal; `E reason` where none could be forked); when the daemon lets go of it, the worker is killed.
Nursery and workers end with the daemon. A worker that is stopped is woken at once.

The first nursery is forked off the daemon while it has but one thread. A moment later it hands the daemon,
with IMAGE, the code of all that a worker can need (code_images.py). From that image another is launched as a
program, when this one has died, or was let go of because nothing was to be done.
`ps -o comm` names them mzt-nursery and mzt-worker.

A channel carries frames: 8 bytes of length, then a pickle. A worker first sends its pid.
"""

import contextlib
import ctypes
import gc
import importlib
import marshal
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from marianned import __version__, code_images, memory
from marianned.masks import without_secrets

HELLO = b"!"
IMAGE = b"#"
START = "start"
"""What to call in the image, with the numbers of the libraries behind it."""
MEMORY_LIMIT = 2 * 1024**3
"""Bytes of address space of one worker."""
LENGTH = struct.Struct("!Q")
RAISED, DONE, TOO_MUCH, SHORT = "raised", "done", "memory", "short"

_HAND_OVER_SECONDS = 2.0
"""So long after its start it reads once more what it has loaded: a start is busy enough."""
HANDED = tuple(
    f"marianned.{name}" for name in ("captures", "data_checks", "notifications", "validations", "workers")
)
"""The modules of ours of which functions are handed to workers."""
_THE_DAEMON_S = ("api", "conductor", "executors", "progress", "service", "store", "systemd")
"""The rooms that none of these needs."""
_START = """
LIBRARIES.update(zip(VALUES[0], map(int, sys.argv[1:])))
from marianned import nursery
nursery.main(VALUES[1], VALUES[2], VALUES[3])
"""
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PROBE_BYTES = 64 * 1024**2
_ANSWER_LIMIT = 500


def main(modules: Sequence[str], loader: str, carried: bytes | None = None) -> None:
    """Import all these modules and call `load` of the loader, then fork workers until the daemon ends.

    `carried` is, in a nursery that runs from an image, what `load` has returned in the one before, in a
    pickle: this one gets it as its argument, and holds nothing anew.
    """
    memory.keep_to_ourselves()  # a program that is executed begins open again; its forks inherit this
    for name in os.environ.keys() - without_secrets(os.environ).keys():
        del os.environ[name]  # templates of scores are rendered here
    daemon = socket.socket(fileno=0)
    _prctl(_PR_SET_NAME, b"mzt-nursery")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # what is loaded stays
    try:
        for name in modules:
            importlib.import_module(name)
        given = pickle.loads(carried) if carried else None  # noqa: S301  our own
        to_carry = importlib.import_module(loader).load(given)
    except Exception as error:  # noqa: BLE001  whatever it is, the daemon is told
        daemon.send(f"{type(error).__name__}: {error}".encode(errors="replace")[:_ANSWER_LIMIT])
        return
    gc.freeze()
    gc.enable()
    news, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    daemon.send(HELLO + __version__.encode())
    nursery = _ForkLoop(daemon, news)
    if carried is None:
        nursery.hand_over_later(loader, to_carry)
    nursery.serve()


def _make_image(loader: str, carried: object) -> list[int]:
    """Return descriptors of what another nursery can be made of: the image, then the libraries."""
    names, libraries = code_images.third_party_modules([*sys.modules.values()])
    needed = (
        name for name in names if name.removeprefix("marianned.").partition(".")[0] not in _THE_DAEMON_S
    )
    codes = {name: code_images.code_of(name) for name in needed}
    codes[START] = marshal.dumps(compile(_START, "<start>", "exec")), None
    values = tuple(libraries), HANDED, loader, pickle.dumps(carried, pickle.HIGHEST_PROTOCOL)
    found = [code_images.make_image("marianne-workers", codes, values)]
    found += [os.open(file, os.O_RDONLY | os.O_CLOEXEC) for file in libraries.values()]
    return found


def become_nursery(far: socket.socket, modules: Sequence[str], loader: str) -> NoReturn:
    """Be the nursery in this fork of the daemon, to its end, with nothing but its socket open."""
    try:
        _keep_only(far)
        main(modules, loader)
    finally:
        os._exit(1)


def _keep_only(channel: socket.socket) -> None:
    """Close all but this socket, which becomes the standard input."""
    os.dup2(channel.fileno(), 0, inheritable=False)
    os.closerange(3, max(int(name) for name in os.listdir("/proc/self/fd")) + 1)  # noqa: PTH208  numbers
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


class _ForkLoop:
    """The workers that live, by their leashes' descriptors."""

    def __init__(self, daemon: socket.socket, news: int) -> None:
        self._daemon = daemon
        self._news = news
        self._leashes: dict[int, socket.socket] = {}
        self._children: dict[int, int] = {}
        self._to_hand_over: tuple[str, object] | None = None
        self._until = 0.0

    def hand_over_later(self, loader: str, carried: object) -> None:
        """Hand the daemon what another nursery can be made of, in a moment."""
        self._to_hand_over = loader, carried
        self._until = time.monotonic() + _HAND_OVER_SECONDS

    def _patience(self) -> float | None:
        """Return for how many milliseconds to wait, at most, for what is to be done next."""
        if self._to_hand_over is None:
            return None
        left = self._until - time.monotonic()
        if left > 0:
            return left * 1000
        to_hand_over, self._to_hand_over = self._to_hand_over, None
        with contextlib.suppress(OSError):  # no process to be had: then this nursery stays
            if not os.fork():  # in which all memory goes that this takes
                try:
                    socket.send_fds(self._daemon, [IMAGE], _make_image(*to_hand_over), socket.MSG_DONTWAIT)
                finally:
                    os._exit(0)
        return None

    def serve(self) -> None:
        """Fork, wake and reap until the daemon has gone."""
        watch = select.poll()
        for descriptor in (self._daemon.fileno(), self._news):
            watch.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in watch.poll(self._patience()):
                if descriptor == self._news:
                    os.read(self._news, 4096)
                    self._reap(watch)
                elif descriptor == self._daemon.fileno():
                    if not self._take(watch):
                        return
                elif descriptor in self._leashes:  # the daemon has let go of it
                    watch.unregister(descriptor)
                    os.kill(self._children[descriptor], signal.SIGKILL)

    def _take(self, watch: "select.poll") -> bool:
        """Fork one worker; False: the daemon has gone, and its workers were killed."""
        message, given, _, _ = socket.recv_fds(self._daemon, 16, 2)
        if not message:
            for pid in self._children.values():
                os.kill(pid, signal.SIGKILL)
            return False
        if len(given) < 2:  # noqa: PLR2004  no descriptors left to receive them with: the daemon sees it end
            for descriptor in given:
                os.close(descriptor)
            return True
        channel, leash = (socket.socket(fileno=descriptor) for descriptor in given)
        with channel:
            try:
                pid = os.fork()
            except OSError as error:
                leash.send(f"E {error.strerror}".encode())
                leash.close()
                return True
            if not pid:
                _become_worker(channel)
        self._leashes[leash.fileno()] = leash
        self._children[leash.fileno()] = pid
        watch.register(leash, select.POLLIN)
        return True

    def _reap(self, watch: "select.poll") -> None:
        known = {pid: descriptor for descriptor, pid in self._children.items()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if not pid:
                return
            if os.WIFSTOPPED(status):
                os.kill(pid, signal.SIGCONT)
                continue
            descriptor = known.pop(pid, None)
            if descriptor is None:
                continue  # it has handed over the image
            del self._children[descriptor]
            with self._leashes.pop(descriptor) as leash:
                try:
                    watch.unregister(descriptor)
                    leash.send(f"{os.waitstatus_to_exitcode(status)}".encode())
                except (KeyError, OSError):
                    pass  # let go of: nobody wants to know


def _prctl(option: int, value: bytes | int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _become_worker(channel: socket.socket) -> None:
    """Be a worker in this fork, to its end: bounded in memory, gone with the nursery."""
    nursery = os.getppid()
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _prctl(_PR_SET_NAME, b"mzt-worker")
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != nursery:
            os._exit(1)
        _keep_only(channel)
        null = Path(os.devnull)
        sys.stdin, sys.stdout, sys.stderr = null.open(), null.open("w"), null.open("w")
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_LIMIT if most == resource.RLIM_INFINITY else min(MEMORY_LIMIT, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        _serve_calls()
    finally:
        os._exit(1)


def _serve_calls() -> None:
    with os.fdopen(0, "rb", closefd=False) as questions, os.fdopen(0, "wb", closefd=False) as answers:
        _send(answers, os.getpid())
        while len(head := questions.read(LENGTH.size)) == LENGTH.size:
            data = questions.read(LENGTH.unpack(head)[0])
            _send(answers, _call(data))
    os._exit(0)


class RemoteError(NamedTuple):
    """An exception on its way: pickle itself would call its class with the wrong arguments."""

    kind: type[Exception]
    args: tuple[Any, ...]
    state: dict[str, Any]

    def again(self) -> Exception:
        """Return the exception as it was."""
        error = self.kind.__new__(self.kind, *self.args)
        error.__dict__.update(self.state)
        return error


def _call(data: bytes) -> tuple[str, Any]:
    try:
        function: Callable[..., Any]
        function, args = pickle.loads(data)  # noqa: S301  it comes from the daemon
        done = function(*args)
        del data, args
    except MemoryError:
        return (TOO_MUCH if _has_memory() else SHORT), None
    except Exception as error:  # noqa: BLE001  whatever it is, it is raised again on the other side
        return RAISED, RemoteError(type(error), error.args, error.__dict__)
    return DONE, done


def _has_memory() -> bool:
    """Tell whether memory can be had, so that it was the work that wanted too much."""
    try:
        return bool(bytearray(_PROBE_BYTES))
    except MemoryError:
        return False


def _send(answers: Any, value: object) -> None:
    try:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  an answer that can't be sent is an error like any other
        data = pickle.dumps((RAISED, RemoteError(RuntimeError, (f"its answer can't be sent: {error}",), {})))
    answers.write(LENGTH.pack(len(data)))
    answers.write(data)
    answers.flush()
