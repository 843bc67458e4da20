"""The fork server as the daemon has it: started, asked for pairs, replaced; a pair that rests is used again.

Everything here blocks, and may be called from any thread.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

from marianned.executors import forkserver, programs, shim
from marianned.executors.base import SupervisorIdentity
from marianned.executors.host import traces

_PATIENCE_MILLISECONDS = 5000
"""How long an answer may take before the server counts as stuck; it needs about three milliseconds."""

_CLOSING_SECONDS = 1.0
_RESTING_MOST = 16
"""How many pairs may rest: as many as begin at once in a job that keeps two cores busy; 1.3 MiB each."""


class StartAnswer(NamedTuple):
    """What the keeper has said: the shim's exit status, a message, and, if it was GO, the pair's channel."""

    status: int
    message: str
    channel: "SupervisorChannel | None" = None


class SupervisorChannel:
    """The daemon's end of the socket to a pair; readable when their attempt ends, or they do."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way
        self.running: SupervisorIdentity | None = None
        """Who they are, once it is known."""

    def fileno(self) -> int:
        """Return the descriptor, to wait for it."""
        return self._way.fileno()

    def read_answer(self) -> bytes:
        """Return the keeper's answer to a directory; nothing: the pair is gone, or did not answer in time."""
        watch = select.poll()
        watch.register(self._way, select.POLLIN)
        if not watch.poll(_PATIENCE_MILLISECONDS):
            self._kill()
        return self._read()

    def send_attempt(self, directory: bytes) -> bool:
        """Name another attempt's directory to a pair that rests; False: the pair is gone."""
        try:
            with traces.reassigning:
                self._way.send(directory, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def is_resting(self) -> bool:
        """Tell, once the channel is readable, whether the pair rests: it waits for another attempt."""
        try:
            return self._way.recv(1, socket.MSG_DONTWAIT) == forkserver.OVER
        except OSError:
            return False

    def has_gone(self) -> bool:
        """Tell, of a pair that rests, whether it is gone by now."""
        watch = select.poll()
        watch.register(self._way, select.POLLIN)
        return bool(watch.poll(0))

    def close(self) -> None:
        """Close the channel: the pair finishes the attempt it has, if any, and ends."""
        self._way.close()

    def end_resting(self) -> None:
        """Have a pair that rests end."""
        with contextlib.suppress(OSError):  # it has left
            self._way.shutdown(socket.SHUT_WR)

    def wait_for_end(self, until: float) -> None:
        """Wait until the pair has ended, up to a moment (monotonic), and close the channel."""
        watch = select.poll()
        watch.register(self._way, select.POLLIN)
        watch.poll(max(0.0, until - time.monotonic()) * 1000)
        self.close()

    def _read(self) -> bytes:
        try:
            return self._way.recv(4096)
        except ConnectionResetError:
            return b""

    def _kill(self) -> None:
        """Kill a keeper that is stuck: stopped, most likely; its runner dies of that."""
        known = self.running
        handle = traces.open_process(known.pid, known.start_time) if known else None
        if handle is None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


class ForkServer:
    """A resident process that forks keepers, from `open` to `close`; between them it is always replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._resting: list[SupervisorChannel] = []
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The server's process, if it has been started."""
        return self._server[0].pid if self._server else None

    def open(self) -> None:
        """Start the server, unless it lives.

        Raises:
            OSError: it can't be started.
        """
        with self._lock:
            self._ensure_server()

    def close(self) -> None:
        """End the server, and the pairs that rest; attempts that run go on."""
        with self._lock:
            self._closed = True
            resting, self._resting = self._resting, []
            self._end_server()
        for channel in resting:
            channel.end_resting()
        until = time.monotonic() + _CLOSING_SECONDS
        for channel in resting:
            channel.wait_for_end(until)

    def start(self, directory: Path, attempt: str) -> StartAnswer | None:
        """Give the attempt to a pair that rests, or else to a new one; None: there was no answer.

        Without an answer nothing has been started, or it was killed: then there is a claim.
        """
        if len(attempt.encode()) > forkserver.MARK_ROOM:
            return None
        request = os.fsencode(directory.absolute())
        while channel := self._take_resting():
            said = channel.read_answer() if channel.send_attempt(request) else b""
            if said or (directory / shim.CLAIM).exists():
                return _parse_answer(channel, said)
            channel.close()
        try:
            return self._ask_server(request)
        except OSError:
            return None

    def rest(self, channel: SupervisorChannel) -> None:
        """Keep a pair that rests for another attempt, if there is room for it."""
        with self._lock:
            if len(self._resting) >= _RESTING_MOST:
                gone = [one for one in self._resting if one.has_gone()]
                self._resting = [one for one in self._resting if one not in gone]
                for one in gone:
                    one.close()
            if self._closed or len(self._resting) >= _RESTING_MOST:
                channel.close()
            else:
                self._resting.append(channel)

    def _take_resting(self) -> SupervisorChannel | None:
        with self._lock:
            return self._resting.pop() if self._resting else None

    def _ask_server(self, directory: bytes) -> StartAnswer | None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._lock:
                asked, near = self._ensure_server()
                socket.send_fds(near, [directory], [theirs.fileno()], socket.MSG_DONTWAIT)
            watch = select.poll()
            watch.register(ours, select.POLLIN)
            if not watch.poll(_PATIENCE_MILLISECONDS):
                asked.kill()  # stopped, most likely: then this is the end of our question, too
            channel = SupervisorChannel(ours)
            return _parse_answer(channel, channel.read_answer())
        except BaseException:
            ours.close()
            raise

    def _ensure_server(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        if self._server and self._server[0].poll() is not None:
            self._end_server()
        if self._server is None:
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with far:
                try:
                    self._server = _launch(far), near
                except BaseException:
                    near.close()
                    raise
        return self._server

    def _end_server(self) -> None:
        if self._server is None:
            return
        process, near = self._server
        self._server = None
        near.close()
        try:
            process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _parse_answer(channel: SupervisorChannel, said: bytes) -> StartAnswer | None:
    if said == shim.GO:
        return StartAnswer(0, "", channel)
    channel.close()
    status, _, message = said.decode(errors="replace").partition(" ")
    return StartAnswer(int(status), message) if status else None


def _launch(far: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        programs.command("forkserver"),
        pass_fds=[programs.descriptor()],
        cwd="/",
        env=shim_environment("-" * forkserver.MARK_ROOM),
        stdin=far.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def shim_environment(attempt: str) -> dict[str, str]:
    """Return what the shim itself runs with: the mark, first, and what its interpreter may need to load.

    Without a locale Python runs in UTF-8 mode, whatever the daemon's locale is.
    """
    needed = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {shim.MARK: attempt, **needed}
