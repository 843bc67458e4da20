"""A connection in this process, over a pair of sockets, to a server of which only what a test needs is there."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
from anyio.abc import SocketAttribute, UNIXSocketStream

from marianned.api import attempt_callers
from marianned.api.connection import Connection
from marianned.api.states import StateCache
from marianned.api.streams import JournalFeed
from marianned.conductor.queries.metrics import RequestMeter
from marianned.protocol import Caller
from marianned.rows import Changes, EventRow
from marianned.store.writer import Store


class Peer:
    """The other side of a connection: it asks, and reads or does not."""

    def __init__(self, theirs: UNIXSocketStream) -> None:
        self.stream = theirs
        self.socket: socket.socket = theirs.extra(SocketAttribute.raw_socket)
        self._buffer = b""
        self._number = 0

    async def ask(self, method: str, **params: Any) -> int:
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        await self.stream.send(json.dumps(request).encode() + b"\n")
        return self._number

    async def message(self) -> dict[str, Any]:
        with anyio.fail_after(20):
            while b"\n" not in self._buffer:
                self._buffer += await self.stream.receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told


class Services:
    """What connections need of a server, and commits of events."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.journal = JournalFeed(store)
        queries: Any = SimpleNamespace(meter=RequestMeter())
        self.server: Any = SimpleNamespace(
            store=store,
            journal=self.journal,
            states=StateCache(queries),
            handlers={},
            queries=queries,
            stop_answered=anyio.Event().set,
            closing=False,
            unread=0,
        )

    async def commit(self, count: int, text: str = "") -> None:
        """Commit so many events at once."""
        await self.store.commit(
            Changes(events=[EventRow(recorded_at=1, type="job.queued", text=text)] * count)
        )

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Peer]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        caller = Caller(uid=1, pid=1, name="")
        async with (
            await UNIXSocketStream.from_socket(ours) as served,
            await UNIXSocketStream.from_socket(theirs) as peer,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(Connection(self.server, served, attempt_callers.Peer(caller)).run)
            yield Peer(peer)
            await peer.aclose()  # and the connection ends by itself
