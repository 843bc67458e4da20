"""The Model Context Protocol on standard input and output: a message a line, in both of its generations.

Clients up to protocol 2025-11-25 shake hands (`initialize`); from 2026-07-28 on each request stands alone,
and `server/discover` tells what there is. Both are answered alike. Format: modelcontextprotocol.io.
"""

import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import msgspec

from marianned import __version__
from marianned.decoding import DEPTH_MOST, Undecodable, check_depth, from_json
from marianned.formatting import as_utf8

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Protocols that begin with a handshake, the newest last."""
MODERN = ("2026-07-28",)
"""Protocols without one."""
LINE_MOST = 16 * 1024 * 1024
"""Bytes of a message: a score of the most that a daemon takes, escaped."""
AT_ONCE = 16
"""Requests that are worked on side by side; the next ones are read when one of them is done."""
LEAVE_SECONDS = 2.0
"""How long requests may still be answered after the input has ended."""
_DIGITS_MOST = 19
"""Digits of an id that is a number."""
_META = "io.modelcontextprotocol/"
_PARSE, _INVALID, _NO_METHOD, _BAD_PARAMS, _NO_VERSION = -32700, -32600, -32601, -32602, -32022
_NOT_CACHED = {"ttlMs": 0, "cacheScope": "private"}
"""What a modern client may keep of an answer: nothing, for jobs move."""

Params = Mapping[str, Any]
Handler = Callable[[Params], Awaitable[dict[str, Any]]]


class RpcError(Exception):
    """A JSON-RPC error: its code, what is wrong, and further data."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


def bad_params(message: str) -> RpcError:
    """Return the error for params that are wrong."""
    return RpcError(_BAD_PARAMS, message)


class McpServer:
    """Answers one client: `handlers` by method; `instructions` tell the client how to use them."""

    def __init__(self, handlers: Mapping[str, Handler], instructions: str) -> None:
        self._handlers = handlers
        self._about = {
            "capabilities": {"tools": {}, "resources": {}},
            "instructions": instructions,
        }
        self._me = {"name": "marianne", "version": __version__}
        self._running: dict[str | int, anyio.CancelScope] = {}
        self._free = anyio.Semaphore(AT_ONCE)
        self._turn = anyio.Lock()
        self._reader, self._writer = 0, 1
        self._serving: anyio.CancelScope | None = None

    async def serve(self) -> None:
        """Answer until the input ends; requests in progress then have `LEAVE_SECONDS` before a cancel.

        A client that reads no more ends everything at once.
        """
        with anyio.CancelScope() as self._serving:
            async with anyio.create_task_group() as tasks:
                try:
                    async for line in _read_lines(self._reader):
                        if line.strip():
                            await self._take_message(line, tasks)
                except RpcError as refused:
                    await self._send_error(None, refused)
                self._serving.deadline = anyio.current_time() + LEAVE_SECONDS

    async def _take_message(self, line: bytes, tasks: anyio.abc.TaskGroup) -> None:
        try:
            message = from_json(line)
            check_depth(message)
        except Undecodable:
            asked = _id_of(line)
            said = "a message is one line of JSON"
            if asked is not None:
                said += (
                    f", at most {DEPTH_MOST} levels deep, its numbers in the range of a double, "
                    "its texts without halves of characters"
                )
            await self._send_error(asked, RpcError(_PARSE if asked is None else _INVALID, said))
            return
        match message:
            case {"jsonrpc": version, **rest} if version != "2.0":
                given = rest.get("id")
                known = given if isinstance(given, str | int) and not isinstance(given, bool) else None
                await self._send_error(
                    known, RpcError(_INVALID, 'jsonrpc is "2.0": no other version is spoken')
                )
            case {"method": "notifications/cancelled", "params": {"requestId": int() | str() as given}}:
                if given in self._running:
                    self._running[given].cancel()
            case {"method": str(method), "id": int() | str() as given} if not isinstance(given, bool):
                params = message.get("params", {})
                await self._free.acquire()
                tasks.start_soon(self._answer, given, method, params)
            case {"method": _, "id": _}:
                await self._send_error(None, RpcError(_INVALID, "method is text, id text or a whole number"))
            case {"method": str()} | {"result": _} | {"error": _}:
                pass  # a notification, or an answer to what was never asked
            case list():
                await self._send_error(
                    None, RpcError(_INVALID, "batches are not taken: send each request in a line of its own")
                )
            case _:
                await self._send_error(None, RpcError(_INVALID, "a request has a method and an id"))

    async def _answer(self, given: str | int, method: str, params: object) -> None:
        try:
            with anyio.CancelScope() as scope:
                self._running[given] = scope
                try:
                    result = await self._dispatch(method, params)
                except RpcError as refused:
                    await self._send_error(given, refused)
                else:
                    await self._send({"jsonrpc": "2.0", "id": given, "result": result})
        finally:
            self._running.pop(given, None)
            self._free.release()

    async def _dispatch(self, method: str, params: object) -> dict[str, Any]:
        if not isinstance(params, dict):
            raise bad_params("params are an object")
        asked = params.get("_meta", {})
        version = asked.get(f"{_META}protocolVersion") if isinstance(asked, dict) else None
        if version is not None and version not in MODERN:
            raise RpcError(
                _NO_VERSION,
                "Unsupported protocol version",
                {"supported": list(MODERN), "requested": str(version)},
            )
        match method:
            case "initialize":
                wanted = params.get("protocolVersion")
                spoken = wanted if wanted in HANDSHAKES else HANDSHAKES[-1]
                return {"protocolVersion": spoken, "serverInfo": self._me, **self._about}
            case "server/discover":
                found = {"supportedVersions": list(MODERN), **self._about}
            case "ping":
                found = {}
            case _ if method in self._handlers:
                found = await self._handlers[method](params)
            case _:
                raise RpcError(_NO_METHOD, f"there is no method {method[:80]!r}")
        if version is None:
            return found
        kept = {} if method == "tools/call" else _NOT_CACHED
        return {**found, **kept, "resultType": "complete", "_meta": {f"{_META}serverInfo": self._me}}

    async def _send_error(self, given: str | int | None, refused: RpcError) -> None:
        await self._send({"jsonrpc": "2.0", "id": given, "error": refused.error})

    async def _send(self, message: dict[str, Any]) -> None:
        with anyio.CancelScope(shield=True):  # half a line would end the conversation
            async with self._turn:
                data = msgspec.json.encode(message) + b"\n"
                try:
                    await anyio.to_thread.run_sync(_write, self._writer, data, abandon_on_cancel=False)
                except BrokenPipeError:
                    if self._serving is not None:
                        self._serving.cancel()


def _id_of(line: bytes) -> str | int | None:
    """Return the id of a request that is JSON, but holds what no value here can be; null: it has none.

    A number such as 1e999 and half of a surrogate pair are JSON all the same: who sent them waits.
    """
    try:
        message = json.loads(line, parse_int=_parse_int, parse_float=float)
    except (ValueError, RecursionError):
        return None
    given = message.get("id") if isinstance(message, dict) else None
    if isinstance(given, str):
        return given if as_utf8(given) == given else None
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _parse_int(text: str) -> int | None:
    """Return a whole number, as far as it is one that can be sent back."""
    return int(text) if len(text) < _DIGITS_MOST else None


def _write(writer: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(writer, view) :]


async def _read_lines(reader: int) -> AsyncIterator[bytes]:
    """Yield the lines of a file descriptor until its end.

    Raises:
        RpcError: one is longer than any message may be; where the next begins is not known then.
    """
    waits = stat.S_ISFIFO(os.fstat(reader).st_mode) or stat.S_ISSOCK(os.fstat(reader).st_mode)
    kept = bytearray()
    while True:
        if waits:
            await anyio.wait_readable(reader)
        data = os.read(reader, 65536)
        if not data:
            if kept:
                yield bytes(kept)
            return
        begun, *others = data.split(b"\n")
        kept += begun
        for other in others:
            yield bytes(kept)
            kept = bytearray(other)
        if len(kept) > LINE_MOST:
            raise RpcError(_INVALID, f"a message has at most {LINE_MOST} bytes")
