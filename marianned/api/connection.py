"""One connection: its requests side by side, one task each, its streams; bounded in every way.

Requests are answered in any order; the end of input means no more requests, and what is pending is
still answered. A reader that does not read costs little and is ended. Source: docs/design/protocol.md
"Messages".
"""

import select
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext, suppress
from typing import Any, Protocol

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketStream, TaskGroup

from marianned import faults, wire
from marianned.api import attempt_callers
from marianned.api.dispatch import Handler, WireAnswer, answer, refuse_one_too_many
from marianned.api.outputs import JobOutputStream, OutputStream
from marianned.api.params import read_params
from marianned.api.states import StateCache
from marianned.api.streams import EventStream, JournalFeed, SendBytes, StreamSource, send_stream
from marianned.conductor.queries.jobs import JobQueries
from marianned.errors import MarianneError, Unavailable
from marianned.protocol import (
    METHODS,
    REQUEST_LIMIT,
    Caller,
    CancelStream,
    FollowOutput,
    GetJob,
    Query,
    Reply,
    SayHello,
    Stop,
    StreamCancelled,
    StreamStarted,
    SubscribeEvents,
)
from marianned.store.writer import Store

REQUESTS_MOST = 256
"""Requests in flight of one connection."""
UNREAD_MOST = 64 * 1024 * 1024
"""Bytes of unfinished requests, over all connections."""
STALLED_SECONDS = 10.0
"""After so long without a byte taken, a reader is given up."""
_PIECE_BYTES = 64 * 1024
_QUERIES_MOST = 2
"""Questions of one connection that are answered at the same time: a page of a reply can be megabytes."""


_FAREWELL_SECONDS = 1.0


class _LimitExceeded(Exception):
    """The client has gone over a limit: the connection ends with `last_message`."""

    def __init__(self, last_message: bytes) -> None:
        super().__init__()
        self.last_message = last_message


class ServerContext(Protocol):
    """What connections need of the server they belong to; `unread` is the bytes of unfinished requests.

    Once it is `closing`, streams end with reason `stopping`.
    """

    handlers: Mapping[str, Handler]
    journal: JournalFeed
    states: StateCache
    queries: JobQueries
    store: Store
    closing: bool
    stop_answered: Callable[[], None]
    unread: int


class Connection:
    """One client: its requests in flight, its streams."""

    def __init__(self, server: ServerContext, stream: SocketStream, peer: attempt_callers.Peer) -> None:
        self._server = server
        self._stream = stream
        self._socket: socket.socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  not Django's
        self._caller, self._peer = peer.caller, peer
        self._read_only = False
        self._writing = anyio.Lock()
        self._in_flight = 0
        self._answered = anyio.Event()
        self._broken = False
        self._unsent = b""
        self._query_scopes: set[anyio.CancelScope] = set()
        self._query_slots = anyio.CapacityLimiter(_QUERIES_MOST)
        self._validations = anyio.CapacityLimiter(1)
        self._streams: dict[int, anyio.CancelScope] = {}
        self._next_stream = 1
        self._stream_ended = anyio.Event()

    async def run(self) -> None:
        """Read requests until the input ends; answer what is pending, then return."""
        async with anyio.create_task_group() as tasks:
            try:
                await self._read(tasks)
                async with anyio.create_task_group() as watching:
                    watching.start_soon(self._watch_hang_up)
                    await self._until_answered()
                    watching.cancel_scope.cancel()
            except _LimitExceeded as end:
                await send_last_message(self._stream, self.send, end.last_message)
                self._shut_down()
                tasks.cancel_scope.cancel()
            except BaseException:
                self._shut_down()  # nobody is kept by a reader that does not read
                raise

    async def _read(self, tasks: TaskGroup) -> None:
        """Take each line as it comes, and what comes after the last one."""
        lines = wire.LineBuffer(REQUEST_LIMIT)
        unread = 0
        try:
            async for data in self._stream:
                for number, line in enumerate(lines.feed(data)):
                    if number:  # a flood of small ones lets the others have their turn, as receiving does
                        await anyio.lowlevel.checkpoint()
                    await self._take_line(line, tasks)
                self._server.unread += lines.held - unread
                unread = lines.held
                if unread and self._server.unread > UNREAD_MOST:
                    raise _LimitExceeded(
                        wire.refusal(None, Unavailable("too many unfinished requests are coming in"))
                    )
        except wire.ProtocolFault as fault:
            raise _LimitExceeded(wire.fault(fault)) from None
        finally:
            self._server.unread -= unread
        if lines.rest.strip():
            await self._take_line(lines.rest, tasks)

    async def _until_answered(self) -> None:
        while self._in_flight:
            await self._answered.wait()

    async def _watch_hang_up(self) -> None:
        """Cancel queries once the other side is closed in both directions: nobody reads their replies.

        The end of input alone does not tell: it may only mean that no more requests come. What changes
        something is done all the same.
        """
        with select.epoll() as gone:
            gone.register(self._socket.fileno(), 0)  # HUP is told unasked
            await anyio.wait_readable(gone.fileno())
        for scope in self._query_scopes:
            scope.cancel()

    async def send(self, data: bytes) -> None:
        """Send one message whole, whoever cancels meanwhile; after one that was cut short nothing more.

        Raises:
            ClosedResourceError, BrokenResourceError: the other side is gone, or reads nothing.
        """
        try:
            self._writing.acquire_nowait()
        except anyio.WouldBlock:
            await self._writing.acquire()
        try:
            if self._broken:
                raise anyio.ClosedResourceError
            self._broken = True
            data, self._unsent = self._unsent + data, b""
            if left := data[self._taken_at_once(data) :]:
                await self._send_slowly(left)
            self._broken = False
        finally:
            self._writing.release()

    async def _send_slowly(self, data: bytes) -> None:
        """Send what the reader has to make room for."""
        try:
            with anyio.CancelScope(shield=True):
                for start in range(0, len(data), _PIECE_BYTES):
                    with anyio.fail_after(STALLED_SECONDS):
                        await self._stream.send(data[start : start + _PIECE_BYTES])
        except TimeoutError:
            self._shut_down()
            raise anyio.BrokenResourceError from None

    def _taken_at_once(self, data: bytes) -> int:
        """Return how many bytes the kernel takes without waiting; what fails is found out by who waits."""
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except OSError:
            return 0

    def _shut_down(self) -> None:
        """End the connection in both directions: reading sees the end, writing fails at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def _take_line(self, line: bytes, tasks: TaskGroup) -> None:
        try:
            request = wire.read_request(line)
            params = read_params(request)
        except wire.ProtocolFault as fault:
            await self.send(wire.fault(fault))
            return
        if self._in_flight >= REQUESTS_MOST:
            raise _LimitExceeded(
                refuse_one_too_many(request, f"a connection has at most {REQUESTS_MOST} requests in flight")
            )
        if isinstance(params, SayHello):
            self._caller = msgspec.structs.replace(self._caller, name=params.name[:100])
            self._read_only = self._read_only or params.read_only  # a second hello never lifts it
        if isinstance(params, GetJob) and self._answer_from_cache(request, params, tasks):
            return
        self._in_flight += 1
        tasks.start_soon(self._run_request, request, params)

    def _answer_from_cache(self, request: wire.Request, params: GetJob, tasks: TaskGroup) -> bool:
        """Answer at once, without a task, where the last reply still holds; false: the query has to be run.

        Whoever is connected may look. What the reader doesn't take now is sent by a task.
        """
        if self._broken or self._unsent or self._writing.locked():
            return False
        began = time.perf_counter()
        told = self._server.queries.reply_cache.lookup(params)
        if told is None:
            return False
        faults.point("api.read")
        message = wire.reply(request.id, told)
        self._server.queries.meter.note(request.method, time.perf_counter() - began, refused=False)
        faults.point("api.answering")
        self._unsent = message[self._taken_at_once(message) :]
        if self._unsent:
            self._in_flight += 1
            tasks.start_soon(self._send_rest)
        faults.point("api.answered")
        return True

    async def _send_rest(self) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.send(b"")
        self._note_answered()

    async def _run_request(self, request: wire.Request, params: Query[Any]) -> None:
        with anyio.CancelScope() as scope:
            if not METHODS[request.method].writes:
                self._query_scopes.add(scope)
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._dispatch(request, params)  # once done, the client may be gone
        self._query_scopes.discard(scope)
        self._note_answered()

    def _note_answered(self) -> None:
        self._in_flight -= 1
        self._answered.set()
        self._answered = anyio.Event()

    async def _dispatch(self, request: wire.Request, params: Query[Any]) -> None:
        match params:
            case SubscribeEvents():
                source: StreamSource = EventStream(self._server, self._server.store, params)
                await self._open(request, source)
            case FollowOutput():
                kind = JobOutputStream if params.sheet is None and params.hook is None else OutputStream
                await self._open(request, kind(self._server.queries, self._server.store, params))
            case CancelStream():
                await self._cancel(request, params)
            case _:
                async with self._query_limit(request.method):
                    await self._answer(request, params)

    def _query_limit(self, method: str) -> AbstractAsyncContextManager[None]:
        """Return the limit of queries that run at once; what waits, or changes something, has none."""
        if METHODS[method].writes or method == "job.wait":
            return nullcontext()
        return self._validations if method == "score.validate" else self._query_slots

    def _with_permission_check(self, method: str, handler: Handler) -> Handler:
        """Return the handler, with a check before it where the client may not ask for everything."""

        async def checked(caller: Caller, params: Query[Any]) -> Reply:
            if self._read_only:
                attempt_callers.check_read_only(method, params)
            await attempt_callers.check_permitted(self._server.queries.conductor, caller, method, params)
            reply = await handler(caller, params)
            return msgspec.structs.replace(reply, read_only=True) if read_only_hello else reply

        read_only_hello = self._read_only and method == "daemon.hello"
        return checked if self._read_only or self._caller.inside is not None else handler

    def _slot_lent(self) -> AbstractContextManager[None]:
        """Return a context in which others may use the slot of the attempt that the client is inside of."""
        if self._peer.run_id is None:
            return nullcontext()
        return self._server.queries.conductor.slot_lent(self._peer.run_id, self._peer.attempt)

    async def _answer(self, request: wire.Request, params: Query[Any]) -> None:
        handler = self._server.handlers[request.method]
        faults.point("api.read")
        began = time.perf_counter()
        waits = request.method == "job.wait" or bool(getattr(params, "wait", False))
        with self._slot_lent() if waits else nullcontext():
            reply = await self._made_meanwhile(request, params) or await answer(
                self._with_permission_check(request.method, handler), self._caller, request, params
            )
        took = None if waits else time.perf_counter() - began
        self._server.queries.meter.note(request.method, took, refused=reply.refused)
        faults.point("api.answering")
        try:
            await self.send(reply.message)
            faults.point("api.answered")
        finally:
            if isinstance(params, Stop) and params.mode == "detach":
                self._server.stop_answered()

    async def _made_meanwhile(self, request: wire.Request, params: Query[Any]) -> WireAnswer | None:
        """Return the reply that is being made for somebody else: behind a change, many look at once."""
        told = (
            await self._server.queries.reply_cache.made_meanwhile(params)
            if isinstance(params, GetJob)
            else None
        )
        return None if told is None else WireAnswer(wire.reply(request.id, told), refused=False)

    async def _open(self, request: wire.Request, source: StreamSource) -> None:
        try:
            event = await source.prepare()
        except MarianneError as error:
            await self.send(wire.refusal(request.id, error, request.method))
            return
        number = self._next_stream
        self._next_stream += 1
        with anyio.CancelScope() as scope:
            self._streams[number] = scope
            try:
                await self.send(wire.reply(request.id, StreamStarted(stream=number, event=event)))
                if self._server.closing:
                    scope.cancel()
                await send_stream(number, source, self.send, self._cut_reason)
            finally:
                del self._streams[number]
                self._stream_ended.set()
                self._stream_ended = anyio.Event()

    def _cut_reason(self) -> str:
        return "stopping" if self._server.closing else "cancelled"

    async def end_streams(self) -> None:
        """End all streams, and return when each has been told so; the server is closing."""
        for scope in self._streams.values():
            scope.cancel()
        while self._streams:
            await self._stream_ended.wait()

    async def _cancel(self, request: wire.Request, params: CancelStream) -> None:
        scope = self._streams.get(params.stream)
        if scope is not None:
            scope.cancel()
        while params.stream in self._streams:  # nothing of it comes behind the answer
            await self._stream_ended.wait()
        await self.send(wire.reply(request.id, StreamCancelled(event=self._server.store.last_event)))


async def send_last_message(stream: SocketStream, send: SendBytes, told: bytes) -> None:
    """Send the last message, and give it time to be read: a socket closed over unread bytes loses it."""
    connected: socket.socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  not Django's
    with (
        anyio.move_on_after(_FAREWELL_SECONDS),
        suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError),
    ):
        await send(told)
        connected.shutdown(socket.SHUT_WR)
        async for _ in stream:
            pass
