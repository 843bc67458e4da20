"""The listener: connections, who is on the other side, one task a request, bounded in every way.

Requests on one connection are done side by side and answered in any order; the end of input means no
more requests, and what is pending is still answered. Source: design/protocol.md "Messages".
"""

import logging
import os
import select
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup, UNIXSocketStream

from marianned import faults, wire
from marianned.api.dispatch import Handler, answer, read_params, too_many
from marianned.api.streams import EventStream, Journal, OutputStream, send_stream
from marianned.conductor.looking import Lookout
from marianned.errors import MarianneError, NotPermitted
from marianned.protocol import (
    METHODS,
    REQUEST_LIMIT,
    Ask,
    Caller,
    CancelStream,
    FollowOutput,
    Greet,
    Stop,
    StreamCancelled,
    StreamStarted,
    SubscribeEvents,
)
from marianned.store.writer import Store

CONNECTIONS_MOST = 512
REQUESTS_MOST = 256
"""Requests in flight of one connection."""
_CREDENTIALS = struct.Struct("3i")
_logger = logging.getLogger(__name__)


class Server:
    """Serves the requests of one listening socket until it is cancelled."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        journal: Journal,
        lookout: Lookout,
        store: Store,
        stopping: anyio.Event,
    ) -> None:
        self.handlers = handlers
        self.journal = journal
        self.lookout = lookout
        self.store = store
        self.connections = 0
        self.stopping = stopping

    async def serve(self, listener: socket.socket, connections: TaskGroup) -> None:
        """Accept connections for ever; they belong to `connections` and outlive the listener."""
        listener.setblocking(False)  # noqa: FBT003  a socket's own signature
        while True:
            await anyio.wait_readable(listener)
            try:
                accepted, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:
                _logger.warning("a connection can't be taken: %s", error)
                await anyio.sleep(0.1)
                continue
            connections.start_soon(self._welcome, accepted)

    async def _welcome(self, accepted: socket.socket) -> None:
        """Serve one connection; whatever happens to it stays with it."""
        try:
            caller = _peer(accepted)
            async with await UNIXSocketStream.from_socket(accepted) as stream:
                refusal = self._refusal(caller)
                if refusal is not None:
                    await _farewell(stream, refusal)
                    return
                self.connections += 1
                try:
                    await Connection(self, stream, caller).run()
                finally:
                    self.connections -= 1
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass  # the client is gone
        except* Exception:
            _logger.exception("a connection failed; the others go on")

    def _refusal(self, caller: Caller) -> MarianneError | None:
        if caller.uid not in (os.getuid(), 0):
            return NotPermitted(f"this daemon serves uid {os.getuid()} only, not {caller.uid}")
        if self.connections >= CONNECTIONS_MOST:
            return NotPermitted(f"this daemon has {CONNECTIONS_MOST} connections already")
        return None


class Connection:
    """One client: its requests in flight, its streams."""

    def __init__(self, server: Server, stream: SocketStream, caller: Caller) -> None:
        self._server = server
        self._stream = stream
        self._caller = caller
        self._writing = anyio.Lock()
        self._in_flight = 0
        self._answered = anyio.Event()
        self._broken = False
        self._looking: set[anyio.CancelScope] = set()
        self._streams: dict[int, anyio.CancelScope] = {}
        self._next_stream = 1

    async def run(self) -> None:
        """Read requests until the input ends; answer what is pending, then return."""
        lines = wire.Lines(REQUEST_LIMIT)
        async with anyio.create_task_group() as tasks:
            try:
                async for data in self._stream:
                    for line in lines.feed(data):
                        await self._take(line, tasks)
            except wire.ProtocolFault as fault:
                await self.send(wire.fault(fault))
                tasks.cancel_scope.cancel()
            if lines.rest.strip():
                await self._take(lines.rest, tasks)
            async with anyio.create_task_group() as watching:
                watching.start_soon(self._until_gone)
                await self._until_answered()
                watching.cancel_scope.cancel()

    async def _until_answered(self) -> None:
        while self._in_flight:
            await self._answered.wait()

    async def _until_gone(self) -> None:
        """When the other side is closed in both directions, give up what only looks: nobody reads it.

        The end of input alone does not tell: it may only mean that no more requests come. What changes
        something is done all the same.
        """
        connected: socket.socket = self._stream.extra(SocketAttribute.raw_socket)  # noqa: S610  not Django's
        with select.epoll() as gone:
            gone.register(connected.fileno(), 0)  # HUP is told unasked
            await anyio.wait_readable(gone.fileno())
        for scope in self._looking:
            scope.cancel()

    async def send(self, data: bytes) -> None:
        """Send one message whole; after one that was cut short nothing more is sent."""
        async with self._writing:
            if self._broken:
                raise anyio.ClosedResourceError
            self._broken = True
            await self._stream.send(data)
            self._broken = False

    async def _take(self, line: bytes, tasks: TaskGroup) -> None:
        try:
            request = wire.read_request(line)
            params = read_params(request)
        except wire.ProtocolFault as fault:
            await self.send(wire.fault(fault))
            return
        if self._in_flight >= REQUESTS_MOST:
            await self.send(too_many(request, f"a connection has at most {REQUESTS_MOST} requests in flight"))
            tasks.cancel_scope.cancel()
            return
        if isinstance(params, Greet):
            self._caller = Caller(uid=self._caller.uid, pid=self._caller.pid, name=params.name[:100])
        self._in_flight += 1
        tasks.start_soon(self._do, request, params)

    async def _do(self, request: wire.Request, params: Ask) -> None:
        with anyio.CancelScope() as scope:
            if not METHODS[request.method].writes:
                self._looking.add(scope)
            await self._done(request, params)
        self._looking.discard(scope)
        self._in_flight -= 1
        self._answered.set()
        self._answered = anyio.Event()

    async def _done(self, request: wire.Request, params: Ask) -> None:
        try:
            match params:
                case SubscribeEvents():
                    source: EventStream | OutputStream = EventStream(
                        self._server.journal, self._server.lookout, self._server.store, params
                    )
                    await self._open(request, source)
                case FollowOutput():
                    await self._open(request, OutputStream(self._server.lookout, params))
                case CancelStream():
                    await self._cancel(request, params)
                case _:
                    handler = self._server.handlers[request.method]
                    faults.point("api.read")
                    reply = await answer(handler, self._caller, request, params)
                    faults.point("api.answering")
                    try:
                        await self.send(reply)
                        faults.point("api.answered")
                    finally:
                        if isinstance(params, Stop) and params.mode == "detach":
                            self._server.stopping.set()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client is gone; what it asked for is done all the same

    async def _open(self, request: wire.Request, source: EventStream | OutputStream) -> None:
        try:
            await source.prepare()
        except MarianneError as error:
            await self.send(wire.refusal(request.id, error))
            return
        number = self._next_stream
        self._next_stream += 1
        event = self._server.store.last_event
        await self.send(wire.reply(request.id, StreamStarted(stream=number, event=event)))
        with anyio.CancelScope() as scope:
            self._streams[number] = scope
            try:
                await send_stream(number, source, self.send)
            finally:
                del self._streams[number]

    async def _cancel(self, request: wire.Request, params: CancelStream) -> None:
        scope = self._streams.get(params.stream)
        if scope is not None:
            scope.cancel()
        await self.send(wire.reply(request.id, StreamCancelled(event=self._server.store.last_event)))


async def _farewell(stream: SocketStream, refusal: MarianneError) -> None:
    """Say why nobody is served here, without an id: no request has been read."""
    with anyio.move_on_after(1):
        await stream.send(wire.refusal(0, refusal))


def _peer(connected: socket.socket) -> Caller:
    """Return who is on the other side, by the kernel's word."""
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return Caller(uid=uid, pid=pid, name="")


def listen(path: Path) -> socket.socket:
    """Bind the socket: directory 0700, socket 0600; a file that nobody answers on is replaced.

    Raises:
        OSError: somebody answers there, or it can't be bound.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if path.exists():
            _check_silent(path)
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(CONNECTIONS_MOST)
    except BaseException:
        listener.close()
        raise
    return listener


def _check_silent(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
    raise OSError(f"somebody answers at '{path}' already")
