"""The client for anyio: the same wire, requests side by side on one connection.

    async with aconnect() as c:
        paused = await c.call("job.pause", Pause(job_id="my-job", wait=True))

As client.py does it, a broken connection is made again, and what was in progress is asked again: a
request that changes something carries a key, so that it takes effect once.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from marianne_cli.client import RECONNECT_SECONDS, mismatch, new_key, own_time
from marianned import __version__, paths, wire
from marianned.errors import NoDaemon
from marianned.protocol import METHODS, PROTOCOL, Ask, Change, Event, Greet, SubscribeEvents

_REPLY_LIMIT = 64 * 1024 * 1024
_RETRY_SECONDS = 0.05
_Inbox = MemoryObjectSendStream[wire.Envelope]
_BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class _Broken(Exception):
    """The connection broke; what was asked on it may be in force."""


class _Line:
    """One connection: requests side by side, and the streams that they open."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self.broken = False
        self._stream = stream
        self._last = 0
        self._replies: dict[wire.Id, _Inbox] = {}
        self._items: dict[int, tuple[_Inbox, MemoryObjectReceiveStream[wire.Envelope]]] = {}

    async def ask(self, method: str, params: Ask) -> Any:
        """Send one request; return its result.

        Raises:
            MarianneError: the refusal, by its code.
            _Broken: the connection broke.
        """
        self._last += 1
        identity = self._last
        send, receive = anyio.create_memory_object_stream[wire.Envelope](1)
        self._replies[identity] = send
        try:
            await self._stream.send(wire.request(identity, method, params))
            async with receive:
                message = await receive.receive()
        except _BROKEN:
            raise _Broken from None
        finally:
            self._replies.pop(identity, None)
            send.close()
        if message.error is not None:
            raise wire.raised(message.error)
        return msgspec.json.decode(message.result, type=METHODS[method].result)

    async def items(self, stream: int) -> AsyncIterator[Any]:
        """Yield what comes on a stream until it ends.

        Raises:
            _Broken: the connection broke.
        """
        _, receive = self._inbox(stream)
        try:
            while (message := await receive.receive()).method != "stream.end":
                yield msgspec.json.decode(message.params)["item"]
        except _BROKEN:
            raise _Broken from None
        finally:
            for end in self._items.pop(stream, ()):
                end.close()

    def _inbox(self, stream: int) -> tuple[_Inbox, MemoryObjectReceiveStream[wire.Envelope]]:
        """Return the queue of a stream; its first items may come before its reply is seen."""
        if stream not in self._items:
            self._items[stream] = anyio.create_memory_object_stream[wire.Envelope](math.inf)
        return self._items[stream]

    async def read(self) -> None:
        """Hand what comes to whoever waits for it, until the daemon closes."""
        lines = wire.Lines(_REPLY_LIMIT)
        try:
            async with self._stream:
                async for data in self._stream:
                    for line in lines.feed(data):
                        self._take(wire.read_envelope(line))
        except _BROKEN:
            pass  # as if it had been closed: whoever waits is told
        finally:
            self.broken = True
            for reply in self._replies.values():
                reply.close()
            for send, receive in self._items.values():
                send.close()
                receive.close()

    def _take(self, message: wire.Envelope) -> None:
        if message.method is not None:
            self._inbox(msgspec.json.decode(message.params)["stream"])[0].send_nowait(message)
        elif message.id in self._replies:
            self._replies[message.id].send_nowait(message)


class AsyncClient:
    """A connection to the daemon; use `aconnect`. Requests may run side by side."""

    def __init__(self, path: str | None, name: str, tasks: anyio.abc.TaskGroup) -> None:
        self._path = path
        self._name = name
        self._tasks = tasks
        self._line: _Line | None = None
        self._dialing = anyio.Lock()

    async def call(self, method: str, params: Ask) -> Any:
        """Send one request of protocol.METHODS; return its result as that table's type.

        Raises:
            MarianneError: the refusal, by its code.
            NoDaemon: nobody answers any more; a change may be in force.
        """
        changes = isinstance(params, Change)
        if isinstance(params, Change) and params.key is None:
            params = msgspec.structs.replace(params, key=new_key())
        started = anyio.current_time()
        own = own_time(method, msgspec.structs.asdict(params))
        while True:
            line = await self.open()
            try:
                return await line.ask(method, params)
            except _Broken:
                now = anyio.current_time()
            longest = now + 6 * RECONNECT_SECONDS if own is None else started + max(own, RECONNECT_SECONDS)
            await self._reopen(longest)
            if own and not changes:
                left = max(0.0, started + own - anyio.current_time())
                params = msgspec.structs.replace(params, timeout=left)

    async def events(self, *, after: int | None = None, job_id: str | None = None) -> AsyncIterator[Event]:
        """Yield the journal from `after` on (null: from now), for one job or all, without an end.

        A broken connection, and a stream that was ended because this reader was too slow, are taken up again
        where they ended, so that nothing is missing.

        Raises:
            NoDaemon: nobody answers any more.
        """
        while True:
            line = await self.open()
            try:
                started = await line.ask("events.subscribe", SubscribeEvents(job_id=job_id, after=after))
                after = started.event if after is None else after
                async for item in line.items(started.stream):
                    event = msgspec.convert(item, Event)
                    after = event.event
                    yield event
            except _Broken:
                await self._reopen(anyio.current_time() + 6 * RECONNECT_SECONDS)

    async def open(self) -> _Line:
        """Return the connection, made where there is none.

        Raises:
            NoDaemon: nobody answers.
            ProtocolMismatch: the daemon speaks another protocol.
        """
        async with self._dialing:
            if self._line is None or self._line.broken:
                self._line = await self._dial()
            return self._line

    async def _dial(self) -> _Line:
        path = self._path or str(paths.socket_path())
        try:
            line = _Line(await anyio.connect_unix(path))
        except OSError:
            raise NoDaemon(f"no daemon answers at {path}", hints=["mzt start"]) from None
        self._tasks.start_soon(line.read)
        try:
            server = await line.ask("daemon.hello", Greet(name=self._name))
        except _Broken:
            raise self._gone() from None
        if server.protocol != PROTOCOL:
            raise mismatch(msgspec.to_builtins(server))
        return line

    async def _reopen(self, ends: float) -> None:
        """Try again until the daemon answers; there is nothing to wait on but the next attempt."""
        while True:
            try:
                await self.open()
            except NoDaemon:
                if anyio.current_time() + _RETRY_SECONDS > ends:
                    raise self._gone() from None
                await anyio.sleep(_RETRY_SECONDS)
            else:
                return

    def _gone(self) -> NoDaemon:
        return NoDaemon(
            "the connection to the daemon broke; the request may be in force", hints=["mzt start"]
        )


@asynccontextmanager
async def aconnect(
    socket: str | None = None, *, name: str = f"marianne_cli {__version__}"
) -> AsyncIterator[AsyncClient]:
    """Connect to the daemon at `socket`, else where paths.py says it listens.

    Raises:
        NoDaemon: nobody answers there.
        ProtocolMismatch: it speaks another protocol.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        client = AsyncClient(socket, name, tasks)
        try:
            await client.open()
            yield client
        except Exception as error:  # noqa: BLE001  carried out of the group, which would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
