"""The client for anyio: the same wire, one task a connection, requests side by side.

    async with aconnect() as c:
        paused = await c.call("job.pause", Pause(job_id="my-job", wait=True))

It neither reconnects nor repeats: whoever writes with anyio decides about that, with a `key` of their own.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from marianne_cli.client import mismatch
from marianned import __version__, paths, wire
from marianned.errors import NoDaemon
from marianned.protocol import METHODS, PROTOCOL, Ask, Event, Greet, SubscribeEvents

_REPLY_LIMIT = 64 * 1024 * 1024
_Inbox = MemoryObjectSendStream[wire.Envelope]


class AsyncClient:
    """A connection to the daemon; use `aconnect`. Requests may run side by side."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._last = 0
        self._replies: dict[wire.Id, _Inbox] = {}
        self._items: dict[int, tuple[_Inbox, MemoryObjectReceiveStream[wire.Envelope]]] = {}

    async def call(self, method: str, params: Ask) -> Any:
        """Send one request of protocol.METHODS; return its result as that table's type.

        Raises:
            MarianneError: the refusal, by its code.
            NoDaemon: the connection broke; a change may be in force.
        """
        self._last += 1
        identity = self._last
        send, receive = anyio.create_memory_object_stream[wire.Envelope](1)
        self._replies[identity] = send
        try:
            await self._stream.send(wire.request(identity, method, params))
            async with receive:
                message = await receive.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise NoDaemon("the connection to the daemon broke; the request may be in force") from None
        finally:
            self._replies.pop(identity, None)
            send.close()
        if message.error is not None:
            raise wire.raised(message.error)
        return msgspec.json.decode(message.result, type=METHODS[method].result)

    async def events(self, *, after: int | None = None, job_id: str | None = None) -> AsyncIterator[Event]:
        """Yield the journal from `after` on (null: from now), for one job or all, without an end.

        A stream that was ended because this reader was too slow is taken up again where it ended.

        Raises:
            NoDaemon: the connection broke; connect again, with `after` the last number seen.
        """
        while True:
            started = await self.call("events.subscribe", SubscribeEvents(job_id=job_id, after=after))
            after = started.event if after is None else after
            _, receive = self._inbox(started.stream)
            while (message := await _next(receive)).method != "stream.end":
                event = msgspec.convert(msgspec.json.decode(message.params)["item"], Event)
                after = event.event
                yield event
            for end in self._items.pop(started.stream):
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
            async for data in self._stream:
                for line in lines.feed(data):
                    self._take(wire.read_envelope(line))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # as if it had been closed: whoever waits is told
        finally:
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


async def _next(receive: MemoryObjectReceiveStream[wire.Envelope]) -> wire.Envelope:
    try:
        return await receive.receive()
    except (anyio.EndOfStream, anyio.ClosedResourceError):
        raise NoDaemon("the connection to the daemon broke; the journal goes on without it") from None


@asynccontextmanager
async def aconnect(
    socket: str | None = None, *, name: str = f"marianne_cli {__version__}"
) -> AsyncIterator[AsyncClient]:
    """Connect to the daemon at `socket`, else where paths.py says it listens.

    Raises:
        NoDaemon: nobody answers there.
        ProtocolMismatch: it speaks another protocol.
    """
    path = socket or str(paths.socket_path())
    try:
        stream = await anyio.connect_unix(path)
    except OSError:
        raise NoDaemon(f"no daemon answers at {path}", hints=["mzt start"]) from None
    client = AsyncClient(stream)
    failure: Exception | None = None
    async with stream, anyio.create_task_group() as tasks:
        tasks.start_soon(client.read)
        try:
            await _greet(client, name)
            yield client
        except Exception as error:  # noqa: BLE001  carried out of the group, which would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _greet(client: AsyncClient, name: str) -> None:
    server = await client.call("daemon.hello", Greet(name=name))
    if server.protocol != PROTOCOL:
        raise mismatch(msgspec.to_builtins(server))
