"""The anyio carrier and client: the same session over non-blocking sockets, the same names, awaited.

from marianne_cli.client import aconnect

async with aconnect() as c:
    paused = await c.pause("my-job", wait=True)
"""

import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio

from marianne_cli.client.calls import AsyncClientMethods
from marianne_cli.client.dialling import dial
from marianne_cli.client.session import (
    RECONNECT_SECONDS,
    ClientBase,
    Dial,
    Effect,
    Flow,
    FlowDriver,
    Receive,
    Send,
    Session,
    Sleep,
    Stream,
    StreamItem,
    unchanged,
)
from marianne_cli.client.streams import FollowedOutput, JournalStream, MergedOutputStream, Piece, StateStream
from marianne_cli.client.typed import (
    State,
    attempt_output,
    read_event,
    read_reply,
    read_snapshot,
    read_state,
    request_flow,
    require_method,
)
from marianned import __version__
from marianned.protocol import Event, Query, Reply, Snapshot

SIDE_BY_SIDE_MOST = 32
"""Requests of one client that are asked at the same time, but for those that wait: the others queue."""
_READ_BYTES = 256 * 1024
_QUEUE_SECONDS = 0.01
A = TypeVar("A", bound=Reply)
T = TypeVar("T")


async def perform(effect: Effect) -> Any:
    """Perform an effect of a flow on a socket."""
    match effect:
        case Dial(path):
            return await _dial(path)
        case Send(sock, data):
            return await _send(sock, data)
        case Receive(sock, deadline):
            return await _receive(sock, deadline)
        case Sleep(seconds):
            return await anyio.sleep(seconds)
        case StreamItem():
            raise TypeError("a request brings no items")


async def _dial(path: str) -> socket.socket:
    """Connect; a daemon with a full queue is tried again, for nothing tells of its room."""
    ends = time.monotonic() + RECONNECT_SECONDS
    while True:
        try:
            return dial(path, blocking=False)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
        await anyio.sleep(_QUEUE_SECONDS)


async def _send(sock: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(sock)


async def _receive(sock: socket.socket, deadline: float | None) -> bytes:
    await anyio.lowlevel.checkpoint()
    while True:
        try:
            return sock.recv(_READ_BYTES)
        except BlockingIOError:
            with anyio.fail_after(None if deadline is None else deadline - time.monotonic()):
                await anyio.wait_readable(sock)


async def run_flow(flow: Flow[T]) -> T:
    """Carry a flow out to its end; whatever cuts it short, it hangs up what it has open."""
    drive = FlowDriver(flow)
    drive.go_on()
    while (effect := drive.due()) is not None:
        with drive.step():
            drive.take(await perform(effect))
    return drive.result


class AsyncItems(Generic[T]):
    """What a stream brings, one after the other; an async iterator. To leave it, or `aclose`, ends it."""

    def __init__(self, flow: Flow[None], read: Callable[[Any], T]) -> None:
        self._drive = FlowDriver(flow, resumable=True)
        self._read = read
        self._reader = anyio.ResourceGuard("reading")

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> T:
        """Wait for the next one; a wait that is cancelled can be waited again.

        Raises:
            BusyResourceError: another task waits for it.
        """
        drive = self._drive
        with self._reader:
            drive.go_on()
            while not isinstance(effect := drive.due(), StreamItem):
                if effect is None:
                    raise StopAsyncIteration
                with drive.step():
                    drive.take(await perform(effect))
            return self._read(effect.value)

    async def aclose(self) -> None:
        """Leave the stream: its connection is hung up, and the daemon ends it."""
        self._drive.close()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream."""
        await self.aclose()


class AsyncClient(ClientBase, AsyncClientMethods):
    """The anyio client; `aconnect` makes one. Its methods are those of the blocking client, awaited.

    Tasks may use one client side by side, and cancel what they ask: a request that is cancelled may be in
    force, and hinders no other. A stream is read with `async for`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._room = anyio.CapacityLimiter(SIDE_BY_SIDE_MOST)

    async def ask(self, request: Query[A]) -> A:
        """Send a request and return its reply: `ask(Pause("my-job", wait=True))` is a `Paused`.

        A request that changes something is sent with a key; when the connection breaks meanwhile, the
        client connects again and repeats it, and it takes effect once.

        Raises:
            MarianneError: the refusal, by its code.
            NoDaemon: nobody answers any more; a change may be in force.
        """
        flow = request_flow(self._session, request)
        if request.method == "job.wait" or getattr(request, "wait", False):
            return read_reply(request, await run_flow(flow))
        async with self._room:
            return read_reply(request, await run_flow(flow))

    async def call(self, method: str, params: Query[A]) -> A:
        """Send a request whose method is named; `ask` needs no name."""
        return await self.ask(require_method(method, params))

    def events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        jobs: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        lagged: Callable[[int], None] | None = None,
    ) -> AsyncItems[Event]:
        """Yield the journal's events after a number, without an end, as `Client.events` does."""
        wanted = JournalStream(job_id, after, lagged=lagged, jobs=jobs, types=types)
        return self._items(wanted, read_event)

    def subscribe(self, *, job_id: str | None = None) -> AsyncItems[Snapshot | Event]:
        """Yield the present state, then the events after its number, as `Client.subscribe` does."""
        return self._items(JournalStream(job_id, None, snapshot=True), read_snapshot)

    def states(
        self,
        *,
        jobs: Sequence[str] | None = None,
        sheets: bool = False,
        output: bool = False,
        types: Sequence[str] | None = None,
        connected: Callable[[bool], None] | None = None,
    ) -> AsyncItems[State]:
        """Yield the present state until `Ready`, then what changes, as `Client.states` does."""
        wanted = StateStream(connected, jobs=jobs, sheets=sheets, output=output, types=types)
        return self._items(wanted, read_state)

    def follow(
        self,
        job_id: str,
        sheet: int | None = None,
        *,
        hook: int | None = None,
        attempt: int | None = None,
        stream: str = "stdout",
        offset: int = 0,
        tail_lines: int | None = None,
    ) -> AsyncItems[bytes]:
        """Yield what one attempt of a sheet or hook prints until it ends, as `Client.follow` does."""
        wanted = attempt_output(job_id, sheet, hook, attempt, stream, offset, tail_lines)
        return self._items(wanted, bytes)

    def follow_job(
        self, job_id: str, *, streams: Iterable[str] = ("stdout",), outputs: Iterable[FollowedOutput] = ()
    ) -> AsyncItems[Piece]:
        """Yield what all attempts of a job print until it ends, as `Client.follow_job` does."""
        return self._items(MergedOutputStream(job_id, streams, outputs), unchanged)

    def _items(self, wanted: Stream, read: Callable[[Any], T]) -> AsyncItems[T]:
        return AsyncItems(self._session.stream(wanted), read)


@asynccontextmanager
async def aconnect(
    socket: str | os.PathLike[str] | None = None,
    *,
    name: str = f"marianne_cli {__version__}",
    timeout: float | None = None,  # noqa: ASYNC109  not this call's: the patience with replies
    any_protocol: bool = False,
    read_only: bool = False,
) -> AsyncIterator[AsyncClient]:
    """Connect to the daemon as `connect` does; the client is closed at the end of `async with`.

    Raises:
        NoDaemon: nobody answers there.
        NotPermitted: the socket is another user's.
    """
    named = None if socket is None else os.fspath(socket)
    session = Session(named, name=name, timeout=timeout, any_protocol=any_protocol, read_only=read_only)
    await run_flow(session.open())
    try:
        yield AsyncClient(session)
    finally:
        session.close()
