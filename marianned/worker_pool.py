"""The worker processes, as the daemon sees them: a few at most, each call bounded by what it really uses.

A call is bounded by the processor time of its worker, not by the clock on the wall: a machine that is busy or
asleep makes nothing fail. A worker that is killed, starved, or can't be had is an Accident, and the call is
made again (accidents.py). Only work that uses up its time, its memory, or kills FATAL_DEATHS fresh workers by
itself is at fault: WorkerLimit.
"""

import json
import logging
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from marianned import __version__, accidents, code_images, nursery
from marianned.accidents import Accident, until_it_works
from marianned.masks import without_secrets
from marianned.nursery import DONE, HANDED, HELLO, IMAGE, LENGTH, MEMORY_LIMIT, SHORT, START, TOO_MUCH

WORKERS = 2
FATAL_DEATHS = 3
"""So many fresh workers in a row must die over a call before it is the call's fault."""
STUCK_SECONDS = 60.0
"""After so long without any processor time a worker is replaced."""
IDLE_SECONDS = 15.0
"""After so long without work a worker is let go of; another is forked in milliseconds."""
REST_SECONDS = 60.0
"""After so long without a worker the nursery is let go of, which is half of all memory."""

_HELLO_SECONDS = 60.0
_FORK_SECONDS = 20.0
_DEATH_SECONDS = 5.0
_CLOSING_SECONDS = 5.0
_SHORTEST_LOOK_SECONDS = 0.1
_CHUNK = 1 << 20
_IMAGE_FILES_MOST = 64
"""How many files a nursery may hand over: one, and one for each library that is not Python's own."""
_FOREIGN = frozenset({-signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT, -signal.SIGQUIT})
"""Ends that no work brings about: somebody has sent these."""
_OF_A_PROCESS = 2
"""Makes of a pid, shifted and negated, the clock of what it uses. Source: clock_getcpuclockid(3)."""
_HASTE_SECONDS = 0.02
"""What may be left of its time once the alarm rings that counts it."""
_LAUNCH = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    from marianned import nursery
except BaseException as error:
    os.write(0, f"{type(error).__name__}: {error}".encode(errors="replace")[:500])
    os._exit(1)
nursery.main(json.loads(sys.argv[2]), "marianned.workers")
"""

_logger = logging.getLogger(__name__)

T = TypeVar("T")
Args = TypeVarTuple("Args")
_pools: RunVar["Pool"] = RunVar("marianne_workers")


class WorkerLimit(Exception):
    """The work itself is too much for a worker: it takes too long, too much memory, or kills each."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _WorkerDied(Exception):
    """A worker has ended; `status` is its exit status or minus its signal, None: nobody knows.

    `reason` is why it has never begun.
    """

    def __init__(self, status: int | None, reason: str = "") -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


async def call(seconds: float, function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a function of a module in a worker; its arguments, result and exceptions are pickled.

    It may be called more than once, so it must not change anything; `seconds` are those of a processor.

    Raises:
        WorkerLimit: the work is too much for a worker (see there).
        FlightAbandoned, Unavailable: no worker could do it (see `until_it_works`).
        Exception: what the function raises; an OSError becomes a WorkerLimit.
    """
    return await until_it_works(_PoolCall(pool(), seconds, function, args).once)


async def call_within(seconds: float, function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a function that changes something, once, within seconds of the wall's clock.

    Raises:
        Accident: the worker died, or there was none; it is not known whether the function was called.
        WorkerLimit, Exception: see `call`.
    """
    with anyio.move_on_after(seconds):
        worker = await pool().take(fresh=False)
        try:
            return _result_or_raise(await worker.ask(_work(function, args), float("inf")))  # type: ignore[no-any-return]
        except _WorkerDied:
            raise Accident("the worker process died over it") from None
    raise WorkerLimit(f"it takes over {seconds:g} s")


def pool() -> "Pool":
    """Return the workers of this event loop."""
    found = _pools.get(None)
    if found is None:
        found = Pool()
        _pools.set(found)
    return found


class _PoolCall:
    """One call, over all its tries."""

    def __init__(
        self, workers: "Pool", seconds: float, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self._pool = workers
        self._seconds = seconds
        self._work = _work(function, args)
        self._deaths = 0
        self._fresh = False

    async def once(self) -> Any:
        async with self._pool.turns:
            worker = await self._pool.take(fresh=self._fresh)
            fresh, self._fresh = worker.fresh, True
            try:
                kind, value = await worker.ask(self._work, self._seconds)
            except _WorkerDied as died:
                if died.status is None or died.status in _FOREIGN:
                    raise Accident("a worker process was killed") from None
                self._deaths += fresh
                if self._deaths >= FATAL_DEATHS:
                    raise WorkerLimit("the worker process died over it") from None
                raise Accident("a worker process died") from None
            if kind == TOO_MUCH and not fresh:
                raise Accident("a worker process ran out of memory")
            return _result_or_raise((kind, value))


def _work(function: Callable[..., Any], args: tuple[Any, ...]) -> object:
    ours = function.__module__.startswith("marianned.")
    assert not ours or function.__module__ in HANDED, "a nursery that is launched has not loaded it"
    return function, args


def _result_or_raise(answer: tuple[str, Any]) -> Any:
    """Return what a worker has answered, or raise it."""
    kind, value = answer
    if kind == DONE:
        return value
    if kind == TOO_MUCH:
        raise WorkerLimit(f"it needs over {MEMORY_LIMIT // 1024**3} GiB of memory")
    if kind == SHORT:
        raise Accident("memory runs short")
    error = value.again()
    if isinstance(error, RecursionError):
        raise WorkerLimit("it is nested too deeply")
    if isinstance(error, OSError):
        if accidents.is_scarcity(error):
            raise Accident(f"a worker process can't do it: {error.strerror}")
        raise WorkerLimit(f"no worker process could do it: {error.strerror}")
    raise error


class ForkedProcess:
    """A child of this process, in the words of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._handle = os.pidfd_open(pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return its status once it has ended; it is reaped then."""
        if self._status is None and select.select([self._handle], [], [], 0)[0]:
            self._reap()
        return self._status

    def wait(self, seconds: float | None = None) -> int:
        """Wait for its end, which is never longer than `subprocess.TimeoutExpired` tells."""
        if self._status is None:
            if not select.select([self._handle], [], [], seconds)[0]:
                raise subprocess.TimeoutExpired("nursery", seconds or 0)
            self._reap()
        return self._status or 0

    def kill(self) -> None:
        """Kill it, if it still lives."""
        if self._status is None:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _reap(self) -> None:
        _, status = os.waitpid(self._pid, 0)
        self._status = os.waitstatus_to_exitcode(status)
        os.close(self._handle)


Process = ForkedProcess | subprocess.Popen[bytes]


class StartedNursery(NamedTuple):
    """A nursery that has been started: its process, and the socket to it."""

    process: Process
    control: socket.socket


def fork_nursery() -> StartedNursery | None:
    """Fork the nursery off this process, which must have one thread; None: it can't be forked now.

    It has loaded all that this process has, which saves a launch's time; whatever it inherits is closed.
    """
    control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        try:
            pid = os.fork()
        except OSError:
            control.close()
            return None
        if not pid:
            nursery.become_nursery(far, HANDED, "marianned.workers")
    return StartedNursery(ForkedProcess(pid), control)


class Pool:
    """The workers of one event loop, and the nursery that forks them; `trouble` is why there are none."""

    def __init__(self) -> None:
        self.turns = anyio.CapacityLimiter(WORKERS)
        self.trouble: str | None = None
        self._idle: list[_Worker] = []  # the last is the one that was at work last
        self._wanted = 0  # how many callers have a worker, or wait for one
        self._wanted_last = 0.0
        self._rests = anyio.Event()
        self._nursery: list[_NurseryHandle] = []  # one at most
        self._images: list[_NurseryImage] = []  # one at most
        self._starting = anyio.Lock()
        weakref.finalize(self, _close_all, self._idle, self._nursery, self._images)  # where nobody closes it

    async def take(self, *, fresh: bool) -> "_Worker":
        """Return a worker that nobody else has, until it was asked.

        Raises:
            Accident: none can be had.
        """
        self._wanted += 1
        try:
            return await self._take_idle_or_fork(fresh=fresh)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Know that a caller wants no worker any more."""
        self._wanted -= 1
        self._wanted_last = anyio.current_time()
        self._rests.set()

    async def _take_idle_or_fork(self, *, fresh: bool) -> "_Worker":
        while self._idle and not fresh:
            worker = self._idle.pop()
            if worker.lives():
                return worker
            worker.close()
        try:
            worker = await self._fork()
        except OSError as error:
            self.trouble = (
                f"no worker process can be had: {error.strerror}{_describe_moved_interpreter(error)}"
            )
        except Accident as accident:
            self.trouble = accident.message
        else:
            self.trouble = None
            return worker
        raise Accident(self.trouble)

    def adopt(self, nursery: "StartedNursery") -> None:
        """Take a nursery that was forked before; there is none yet."""
        self._nursery.append(_NurseryHandle(*nursery))

    def give_back(self, worker: "_Worker") -> None:
        """Keep a worker for the next call."""
        worker.idle_since = anyio.current_time()
        self._idle.append(worker)

    async def let_idle_go(self) -> None:
        """Let go of what has had nothing to do for a while; sleeps without end when all has gone."""
        while True:
            await self._rests.wait()
            self._rests = anyio.Event()
            while self._idle:
                left = self._idle[0].idle_since + IDLE_SECONDS - anyio.current_time()
                if left > 0:
                    await anyio.sleep(left)
                else:
                    self._idle.pop(0).close()
            while self._nursery and not self._wanted and not self._idle:
                left = self._wanted_last + REST_SECONDS - anyio.current_time()
                if left > 0:
                    await anyio.sleep(left)
                elif not await self._rest():
                    break

    async def _rest(self) -> bool:
        """Let the nursery go, if nobody wants a worker and another nursery can be made without any file."""
        async with self._starting:
            self._take_image()
            if not self._images or self._wanted or self._idle:
                return False
            await self.close()
            return True

    def _take_image(self) -> None:
        if self._nursery and not self._images:
            self._images += self._nursery[0].receive_image()

    async def _fork(self) -> "_Worker":
        async with self._starting:
            if not (self._nursery and self._nursery[0].lives()):
                self._take_image()
                await self.close()
                await self._begin_anew()
            await self._nursery[0].greet()
            worker = self._nursery[0].fork(self)
        await worker.begin()
        return worker

    async def _begin_anew(self) -> None:
        """Launch a nursery from its image, or else from the files."""
        for one in self._images:
            try:
                self._nursery.append(_NurseryHandle(*await to_thread.run_sync(one.launch)))
                await self._nursery[0].greet()
            except (OSError, Accident) as failed:
                _logger.warning("no worker process from what is held: %s", failed)
                await self.close()
            else:
                return
        self._nursery.append(_NurseryHandle(*await to_thread.run_sync(_launch_from_files)))

    async def close(self) -> None:
        """End all of them; a later call starts others."""
        await to_thread.run_sync(_close_all, self._idle, self._nursery, [])


def _close_all(idle: "list[_Worker]", nursery: "list[_NurseryHandle]", images: "list[_NurseryImage]") -> None:
    while idle:
        idle.pop().close()
    while nursery:
        nursery.pop().close()
    while images:
        images.pop().close()


class _NurseryImage:
    """What another nursery can be made of, though the files of the package may be gone."""

    def __init__(self, files: Sequence[int]) -> None:
        self._files = files

    def launch(self) -> StartedNursery:
        """Launch it.

        Raises:
            OSError: it can't be launched.
        """
        program, *libraries = self._files
        numbers = [str(number) for number in libraries]
        command = [code_images.interpreter(), "-I", "-S", f"/proc/self/fd/{program}", START, *numbers]
        return _launch(command, self._files)

    def close(self) -> None:
        """Let go of it."""
        for descriptor in self._files:
            os.close(descriptor)


class _NurseryHandle:
    """The process that forks workers (nursery.py)."""

    def __init__(self, process: Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._greeted = False

    async def greet(self) -> None:
        """Wait until it has loaded everything; at once, after the first time.

        Raises:
            Accident: it can't, and has been ended.
        """
        if self._greeted:
            return
        try:
            said = await self._greeting()
            if said != HELLO + __version__.encode():
                raise Accident(_refusal(said))  # noqa: TRY301  it is closed like after any other
        except BaseException:
            self.close(at_once=True)
            raise
        self._greeted = True

    async def _greeting(self) -> bytes:
        self._control.setblocking(False)  # noqa: FBT003  socket passes no keywords
        with anyio.move_on_after(_HELLO_SECONDS):
            await anyio.wait_readable(self._control)
            with suppress(OSError):
                return self._control.recv(4096)
        return b""

    def receive_image(self) -> "list[_NurseryImage]":
        """Return what it has handed over, if it has: once, some time after its greeting."""
        room = socket.CMSG_SPACE(_IMAGE_FILES_MOST * array("i").itemsize)
        try:
            said, given, _, _ = self._control.recvmsg(len(IMAGE), room, socket.MSG_DONTWAIT)
        except OSError:
            return []
        found = array("i")
        for _, _, data in given:
            found.frombytes(data)
        for descriptor in found:
            os.set_inheritable(descriptor, False)  # noqa: FBT003  os passes no keywords
        return [_NurseryImage(found)] if said == IMAGE and found else []

    def lives(self) -> bool:
        """Tell whether the nursery lives; if not, it is reaped."""
        return self._process.poll() is None

    def fork(self, workers: Pool) -> "_Worker":
        """Ask for a worker, which may not live yet.

        Raises:
            OSError: it can't be asked for.
        """
        pairs: list[socket.socket] = []
        try:
            for _ in range(2):
                pairs += socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            far = [pairs[1].fileno(), pairs[3].fileno()]
            socket.send_fds(self._control, [b"w"], far, socket.MSG_DONTWAIT)
            return _Worker(workers, *pairs[::2])
        except OSError:
            for near in pairs[::2]:
                near.close()
            raise
        finally:
            for end in pairs[1::2]:
                end.close()

    def close(self, *, at_once: bool = False) -> None:
        """Let go of it, and of its workers with it; blocks until it has ended."""
        self._control.close()
        if at_once:
            self._process.kill()
        try:
            self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _describe_moved_interpreter(error: OSError) -> str:
    """Say what to type where our own interpreter is gone: to try it again never helps."""
    if not isinstance(error, FileNotFoundError) or error.filename != sys.executable:
        return ""
    return f", '{sys.executable}': the program was moved or removed since the daemon started: mzt restart"


def _refusal(said: bytes) -> str:
    if said.startswith(HELLO):
        version = said[len(HELLO) :].decode(errors="replace")
        return (
            f"no worker process can be had: version {version} is installed, {__version__} runs: mzt restart"
        )
    return f"no worker process can be started: {said.decode(errors='replace') or 'it has ended at once'}"


def _launch_from_files() -> StartedNursery:
    return _launch([sys.executable, "-c", _LAUNCH, json.dumps(sys.path), json.dumps(HANDED)])


def _launch(command: list[str], files: Sequence[int] = ()) -> StartedNursery:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        try:
            process = subprocess.Popen(
                command,
                cwd="/",
                env=without_secrets(os.environ),  # no work needs one; at first other processes can read it
                pass_fds=files,
                stdin=far.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            near.close()
            raise
    return StartedNursery(process, near)


class _Worker:
    """One worker process; `fresh`: it has not done anything yet; `idle_since` is on the loop's clock."""

    def __init__(self, workers: Pool, channel: socket.socket, leash: socket.socket) -> None:
        channel.setblocking(False)  # noqa: FBT003  socket passes no keywords
        leash.setblocking(False)  # noqa: FBT003
        self.fresh = True
        self.idle_since = 0.0
        self._pool = weakref.ref(workers)
        self._channel, self._leash = channel, leash
        self._pid = 0
        self._out = memoryview(b"")
        self._in = bytearray()

    async def begin(self) -> None:
        """Wait until it lives.

        Raises:
            Accident: it does not.
        """
        try:
            with anyio.move_on_after(_FORK_SECONDS):
                self._pid = pickle.loads(await self._frame())  # noqa: S301  our own worker's
                return
        except _WorkerDied as died:
            raise Accident(f"no worker process can be forked: {died.reason or 'it was killed'}") from None
        except BaseException:
            self.close()
            raise
        self.close()
        raise Accident("no worker process can be forked: the nursery does not answer")

    def lives(self) -> bool:
        """Tell whether it still does, and is idle: then nothing comes from it, not even its end."""
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK)) and False
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it: the nursery kills it, whatever it does."""
        self._channel.close()
        self._leash.close()

    async def ask(self, work: object, seconds: float) -> tuple[str, Any]:
        """Let it work; `seconds` are those of a processor.

        Raises:
            _WorkerDied: it did.
            WorkerLimit: the time is used up.
            Accident: it gets no time at all.
        """
        workers = self._pool()
        try:
            answer = await self._answer(work, seconds)
            self.fresh = False
            if workers is None or answer[0] in {TOO_MUCH, SHORT}:
                self.close()
            else:
                workers.give_back(self)
        finally:
            if workers is not None:
                workers.leave()
        return answer

    async def _answer(self, work: object, seconds: float) -> tuple[str, Any]:
        data = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
        self._out = memoryview(LENGTH.pack(len(data)) + data)
        try:
            return pickle.loads(await self._bounded(seconds))  # type: ignore[no-any-return]  # noqa: S301  our own
        except BaseException:
            self.close()
            raise

    async def _bounded(self, seconds: float) -> memoryview:
        """Exchange frames, and look at its time whenever it could be used up: one thread uses no more."""
        if seconds == float("inf"):
            return await self._frame()
        began = seen = self._used()
        idle, left = 0.0, seconds
        while True:
            with anyio.move_on_after(left):
                return await self._frame()
            used = self._used()
            if used - began >= seconds - _HASTE_SECONDS:
                raise WorkerLimit(f"it takes over {seconds:g} s")
            idle = 0.0 if used > seen else idle + left
            if idle >= STUCK_SECONDS:
                raise Accident(f"a worker process got no processor time for {idle:g} s")
            accidents.note_wait("a worker process gets too little processor time")
            seen, left = used, max(seconds - (used - began), _SHORTEST_LOOK_SECONDS)

    async def _frame(self) -> memoryview:
        """Send what is to be sent, then receive a frame; it goes on where it was cancelled."""
        try:
            while self._out:
                try:
                    self._out = self._out[self._channel.send(self._out) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._channel.fileno())
            while len(self._in) < (needed := self._needed()):
                try:
                    piece = self._channel.recv(min(_CHUNK, needed - len(self._in)))
                except BlockingIOError:
                    await anyio.wait_readable(self._channel.fileno())
                    continue
                if not piece:
                    break
                self._in += piece
            else:
                frame, self._in = memoryview(self._in)[LENGTH.size :], bytearray()
                return frame
        except ConnectionError:
            pass
        raise await self._death()

    def _needed(self) -> int:
        if len(self._in) < LENGTH.size:
            return LENGTH.size
        return LENGTH.size + int(LENGTH.unpack(self._in[: LENGTH.size])[0])

    async def _death(self) -> _WorkerDied:
        """Read how it ended off the leash."""
        said = b""
        with anyio.move_on_after(_DEATH_SECONDS):
            while not said:
                try:
                    said = self._leash.recv(4096)
                    break
                except BlockingIOError:
                    await anyio.wait_readable(self._leash)
                except OSError:
                    break
        self.close()
        status, _, rest = said.decode(errors="replace").partition(" ")
        return _WorkerDied(None, rest) if status in {"", "E"} else _WorkerDied(int(status))

    def _used(self) -> float:
        """Return the seconds of a processor that it has used so far, by the clock of its process."""
        try:
            return time.clock_gettime(~self._pid << 3 | _OF_A_PROCESS)
        except OSError:
            return 0.0
