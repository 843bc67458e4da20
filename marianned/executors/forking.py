"""The fork server's near end: starts it, asks it for attempts, replaces it when it has died.

Everything here blocks, and may be called from any thread.
"""

import os
import select
import socket
import subprocess
import threading
from pathlib import Path

from marianned.executors import forkserver, programs, shim

_PATIENCE_MILLISECONDS = 5000
"""How long an answer may take before the server counts as stuck; it needs about three milliseconds."""

_CLOSING_SECONDS = 1.0


class ForkServer:
    """A resident process that forks keepers, from `open` to `close`; between them it is always replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: tuple[subprocess.Popen[bytes], socket.socket] | None = None

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
        """End it; what it has started goes on."""
        with self._lock:
            self._drop()

    def start(self, directory: Path, attempt: str) -> tuple[int, str] | None:
        """Have the attempt forked: the shim's exit status and message; None: there was no answer.

        Without an answer nothing has been started, or it was killed: then there is a claim.
        """
        if len(attempt.encode()) > forkserver.MARK_ROOM:
            return None
        try:
            answer = self._ask(os.fsencode(directory.absolute()))
        except OSError:
            return None
        if answer == shim.GO:
            return 0, ""
        status, _, message = answer.decode(errors="replace").partition(" ")
        return (int(status), message) if status else None

    def _ask(self, directory: bytes) -> bytes:
        ours, theirs = os.pipe()
        try:
            try:
                with self._lock:
                    asked, near = self._living()
                    socket.send_fds(near, [directory], [theirs], socket.MSG_DONTWAIT)
            finally:
                os.close(theirs)
            watch = select.poll()
            watch.register(ours)
            if not watch.poll(_PATIENCE_MILLISECONDS):
                asked.kill()  # stopped, most likely: then this is the end of our question, too
            answer = b""
            while piece := os.read(ours, 4096):
                answer += piece
        finally:
            os.close(ours)
        return answer

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


def _launch(far: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        programs.command("forkserver"),
        pass_fds=[programs.held()],
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
