"""The fork server's near end: starts it, has it fork pairs, or pairs take another attempt; replaces it.

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
    """What the keeper has said: the shim's exit status, a message, and, if it was GO, the way to the pair."""

    status: int
    message: str
    pair: "SupervisorChannel | None" = None


class SupervisorChannel:
    """The daemon's end of the way to a keeper and its runner; readable at an attempt's end, or their own."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way
        self.running: SupervisorIdentity | None = None
        """Who they are, once it is known."""

    def fileno(self) -> int:
        """Return the descriptor, to wait for it."""
        return self._way.fileno()

    def answer(self) -> bytes:
        """Wait for what it says to a directory; nothing: it is gone, or has said nothing for too long."""
        watch = select.poll()
        watch.register(self._way, select.POLLIN)
        if not watch.poll(_PATIENCE_MILLISECONDS):
            self._kill()
        return self._read()

    def give(self, directory: bytes) -> bool:
        """Name another attempt's directory to a pair that rests; False: it has left."""
        try:
            with traces.moving:
                self._way.send(directory, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def rests(self) -> bool:
        """Tell, once it is readable, whether it waits for another attempt."""
        try:
            return self._way.recv(1, socket.MSG_DONTWAIT) == forkserver.OVER
        except OSError:
            return False

    def has_left(self) -> bool:
        """Tell, of one that rests, whether it is gone by now."""
        watch = select.poll()
        watch.register(self._way, select.POLLIN)
        return bool(watch.poll(0))

    def close(self) -> None:
        """Let go of it: it ends what it has, and leaves."""
        self._way.close()

    def dismiss(self) -> None:
        """Have one that rests leave."""
        with contextlib.suppress(OSError):  # it has left
            self._way.shutdown(socket.SHUT_WR)

    def outlast(self, until: float) -> None:
        """Wait for that, up to a moment (monotonic)."""
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
            self._living()

    def close(self) -> None:
        """End it, and the pairs that rest; what runs goes on."""
        with self._lock:
            self._closed = True
            resting, self._resting = self._resting, []
            self._drop()
        for pair in resting:
            pair.dismiss()
        until = time.monotonic() + _CLOSING_SECONDS
        for pair in resting:
            pair.outlast(until)

    def start(self, directory: Path, attempt: str) -> StartAnswer | None:
        """Have a pair that rests take the attempt, or one forked for it; None: there was no answer.

        Without an answer nothing has been started, or it was killed: then there is a claim.
        """
        if len(attempt.encode()) > forkserver.MARK_ROOM:
            return None
        request = os.fsencode(directory.absolute())
        while pair := self._rested():
            said = pair.answer() if pair.give(request) else b""
            if said or (directory / shim.CLAIM).exists():
                return _answer(pair, said)
            pair.close()
        try:
            return self._ask(request)
        except OSError:
            return None

    def rest(self, pair: SupervisorChannel) -> None:
        """Keep a pair that waits for another attempt, if there is room for it."""
        with self._lock:
            if len(self._resting) >= _RESTING_MOST:
                gone = [one for one in self._resting if one.has_left()]
                self._resting = [one for one in self._resting if one not in gone]
                for one in gone:
                    one.close()
            if self._closed or len(self._resting) >= _RESTING_MOST:
                pair.close()
            else:
                self._resting.append(pair)

    def _rested(self) -> SupervisorChannel | None:
        with self._lock:
            return self._resting.pop() if self._resting else None

    def _ask(self, directory: bytes) -> StartAnswer | None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._lock:
                asked, near = self._living()
                socket.send_fds(near, [directory], [theirs.fileno()], socket.MSG_DONTWAIT)
            watch = select.poll()
            watch.register(ours, select.POLLIN)
            if not watch.poll(_PATIENCE_MILLISECONDS):
                asked.kill()  # stopped, most likely: then this is the end of our question, too
            pair = SupervisorChannel(ours)
            return _answer(pair, pair.answer())
        except BaseException:
            ours.close()
            raise

    def _living(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        if self._server and self._server[0].poll() is not None:
            self._drop()
        if self._server is None:
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with far:
                try:
                    self._server = _launch(far), near
                except BaseException:
                    near.close()
                    raise
        return self._server

    def _drop(self) -> None:
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


def _answer(pair: SupervisorChannel, said: bytes) -> StartAnswer | None:
    if said == shim.GO:
        return StartAnswer(0, "", pair)
    pair.close()
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
