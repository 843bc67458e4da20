"""The listener: who may connect, and how many; what they say is connection.py's.

Source: docs/design/protocol.md "Where", "Messages".
"""

import errno
import logging
import os
import socket
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import TaskGroup, UNIXSocketStream

from marianned import files, probe, wire
from marianned.api import attempt_callers
from marianned.api.connection import Connection, send_last_message
from marianned.api.dispatch import Handler
from marianned.api.states import StateCache
from marianned.api.streams import JournalFeed
from marianned.conductor.queries.jobs import JobQueries
from marianned.errors import MarianneError, NotPermitted, Unavailable
from marianned.protocol import Caller
from marianned.store.writer import Store

CONNECTIONS_MOST = 512
_ACCEPTED_AT_ONCE = 32
_REFUSED_AT_ONCE = 64
"""More are closed without a word, so that whoever is refused costs few descriptors."""
_ROOM_SECONDS = 2.0
_FAREWELL_SECONDS = 1.0
"""How long a stop waits for subscribers to take the end of their streams."""
_PIECE_BYTES = 64 * 1024
_PROBE_SECONDS = 1.0
"""How long a daemon that hangs is given to take a connection."""
_logger = logging.getLogger(__name__)


class Server:
    """Serves the requests of one listening socket until it is cancelled."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        journal: JournalFeed,
        queries: JobQueries,
        store: Store,
        stop_answered: Callable[[], None],
    ) -> None:
        self.handlers = handlers
        self.journal = journal
        self.queries = queries
        self.states = StateCache(queries)
        self.store = store
        self._connected: set[Connection] = set()
        self.closing = False
        self.unread = 0
        self._refusing = 0
        self._left = anyio.Event()
        self.stop_answered = stop_answered

    @property
    def connections(self) -> int:
        """How many clients are served now."""
        return len(self._connected)

    async def end_streams(self) -> None:
        """Tell every subscriber, idle ones too, that the daemon stops; who does not read keeps nobody."""
        self.closing = True
        with anyio.move_on_after(_FAREWELL_SECONDS):
            async with anyio.create_task_group() as tasks:
                for connection in self._connected:
                    tasks.start_soon(connection.end_streams)

    async def serve(self, listener: socket.socket, connections: TaskGroup) -> None:
        """Accept connections for ever; they belong to `connections` and outlive the listener."""
        listener.setblocking(False)  # noqa: FBT003  a socket's own signature
        while True:
            await anyio.wait_readable(listener)
            try:
                for _ in range(_ACCEPTED_AT_ONCE):
                    accepted, _ = listener.accept()
                    connections.start_soon(self._welcome, accepted)
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:
                _logger.warning("a connection can't be taken: %s", error)
                await anyio.sleep(0.1)

    async def _welcome(self, accepted: socket.socket) -> None:
        """Serve one connection; whatever happens to it stays with it."""
        try:
            caller = _peer(accepted)
            async with await UNIXSocketStream.from_socket(accepted) as stream:
                try:
                    await self._converse(stream, caller)
                finally:
                    hang_up(accepted)
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass  # the client is gone
        except* Exception:
            _logger.exception("a connection failed; the others go on")

    async def _converse(self, stream: UNIXSocketStream, caller: Caller) -> None:
        if not await self._is_served(stream, caller):
            return
        connection = Connection(
            self, stream, await attempt_callers.identify_peer(self.queries.conductor, caller)
        )
        self._connected.add(connection)
        self.queries.meter.connections = self.connections
        try:
            await connection.run()
        finally:
            self._connected.discard(connection)
            self.queries.meter.connections = self.connections
            self._left.set()
            self._left = anyio.Event()

    async def _is_served(self, stream: UNIXSocketStream, caller: Caller) -> bool:
        """Tell whether there is room; else say why not, without an id: no request has been read."""
        if self._refusal(caller) is None:
            return True
        if self._refusing >= _REFUSED_AT_ONCE:
            return False
        self._refusing += 1
        try:
            with anyio.move_on_after(_ROOM_SECONDS):  # one that was closed may be on its way out
                while self.connections >= CONNECTIONS_MOST:
                    await self._left.wait()
            refusal = self._refusal(caller)
            if refusal is not None:
                await send_last_message(stream, stream.send, wire.refusal(None, refusal))
        finally:
            self._refusing -= 1
        return refusal is None

    def _refusal(self, caller: Caller) -> MarianneError | None:
        if caller.uid not in (os.getuid(), 0):
            return NotPermitted(f"this daemon serves uid {os.getuid()} only, not {caller.uid}")
        if self.connections >= CONNECTIONS_MOST:
            return Unavailable(f"this daemon has {CONNECTIONS_MOST} connections already")
        return None


def _peer(connected: socket.socket) -> Caller:
    """Return who is on the other side, by the kernel's word."""
    pid, uid = probe.peer(connected)
    return Caller(uid=uid, pid=pid, name="")


def hang_up(connected: socket.socket) -> None:
    """End a connection in order: closed over unread bytes, the other side would see a reset."""
    with suppress(OSError):  # nothing more to read, or it is closed already
        connected.shutdown(socket.SHUT_RDWR)  # what is unread grows no more
        while connected.recv(_PIECE_BYTES, socket.MSG_DONTWAIT):
            pass


def hang_up_waiting(listener: socket.socket) -> None:
    """Hang up those who wait to be accepted by a listener that is about to close."""
    listener.setblocking(False)  # noqa: FBT003  a socket's own signature
    with suppress(OSError):  # nobody waits any more
        while True:
            waiting, _ = listener.accept()
            with waiting:
                hang_up(waiting)


def listen(path: Path) -> socket.socket:
    """Bind the socket: directory 0700, socket 0600; a file that nobody answers on is replaced.

    Raises:
        OSError: somebody answers there, or it can't be bound.
    """
    files.make_private(path.parent)
    check_socket_place(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        check_silent(path)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # not chmod: that would follow whatever has the name by then
        try:
            listener.bind(str(path))
        except OSError as error:  # which names no place
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            os.umask(before)
        listener.listen(CONNECTIONS_MOST)
    except BaseException:
        listener.close()
        raise
    return listener


def check_socket_place(path: Path) -> None:
    """See that a socket may be made: nothing but an old socket of our own is there, and nobody else's hands.

    Raises:
        files.UnsuitableFile: another thing has that name, or the directory is open to others.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    else:
        if not stat.S_ISSOCK(found.st_mode):
            raise files.UnsuitableFile(errno.EEXIST, "it is not a socket, and is left as it is", str(path))
        if found.st_uid != os.getuid():
            raise files.UnsuitableFile(errno.EPERM, "it is another user's socket", str(path))
    if path.parent.is_dir():
        if os.environ.get("MARIANNE_SOCKET"):  # a place that a person has named: one like /tmp will do
            why = None if path.parent.stat().st_mode & stat.S_ISVTX else files.distrusted(path.parent)
            if why is not None:
                raise files.UnsuitableFile(
                    errno.EPERM, f"{why}; type: chmod go-w {path.parent}", str(path.parent)
                )
        else:
            files.check_private(path.parent)


def check_silent(path: Path) -> None:
    """See that nobody answers at a socket.

    Raises:
        OSError: somebody does; one that hangs counts as well.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
            return
        except (BlockingIOError, TimeoutError):
            pass
        except OSError as error:  # which names no place
            raise OSError(error.errno, error.strerror, str(path)) from None
    raise OSError(f"somebody answers at '{path}' already")
