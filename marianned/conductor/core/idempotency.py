"""Repeatable requests: the same key within a day gets the first answer and changes nothing.

Source: docs/design/protocol.md "Messages".
"""

import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import msgspec

from marianned.errors import BY_CODE, BadRequest, InternalError
from marianned.moment import now
from marianned.protocol import METHODS, Caller, Change, Reply
from marianned.rows import RequestRow
from marianned.store.writer import Store

DAY = 86_400_000
"""Milliseconds for which a key counts."""
_NOT_THE_REQUEST = ("key", "wait", "timeout")
"""Params that say how the caller waits, not what is asked."""

R = TypeVar("R", bound=Reply)


class _Running:
    def __init__(self, params: str) -> None:
        self.params = params
        self.done = anyio.Event()


class Keys:
    """The requests with keys that are in progress, and those the store remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, _Running] = {}

    async def once(
        self,
        caller: Caller,
        params: Change,
        kind: type[R],
        act: Callable[[RequestRow], Awaitable[R]],
        join: Callable[[RequestRow], Awaitable[R]],
    ) -> R:
        """Do what is asked once: `act` does it, `join` waits for what was done before under this key.

        Raises:
            BadRequest: the key was used with other params.
        """
        row = _row(caller, params)
        if row.key is None:
            return await act(row)
        while (running := self._running.get(row.request)) is not None:
            _check_same(row, running.params)
            await running.done.wait()
        self._running[row.request] = running = _Running(row.params)
        try:
            known = await self._store.records.request(row.uid, row.method, row.key)
            if known is None or now().at - known.asked_at > DAY:
                return await act(row)
            _check_same(row, known.params)
            return answered(known, kind) or await join(known)
        finally:
            del self._running[row.request]
            running.done.set()

    async def kept(self, request: RequestRow) -> RequestRow | None:
        """Return what the store remembers of a request with a key by now."""
        return await self._store.records.request(request.uid, request.method, request.key or "")


_METHODS = {method.params: name for name, method in METHODS.items()}


def _row(caller: Caller, params: Change) -> RequestRow:
    method = _METHODS[type(params)]
    asked: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(params).items() if name not in _NOT_THE_REQUEST
    }
    key = params.key
    return RequestRow(
        request=f"{caller.uid}:{method}:{key}" if key is not None else os.urandom(12).hex(),
        uid=caller.uid,
        method=method,
        key=key,
        params=hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest(),
        run_id=0,
        wish=None,
        hold=None,
        revision=None,
        caller=caller,
        asked_at=now().at,
    )


def _check_same(row: RequestRow, params: str) -> None:
    if row.params != params:
        raise BadRequest(f"the key '{row.key}' was used for another request; nothing has changed")


def answered(row: RequestRow, kind: type[R]) -> R | None:
    """Return the answer a request had; None: it still waits.

    Raises:
        MarianneError: the answer was an error.
    """
    if row.refusal is not None:
        kept = msgspec.json.decode(row.refusal)
        error = BY_CODE.get(kept.pop("code"), InternalError)
        raise error(kept.pop("message"), **kept)
    if row.reply is None:
        return None
    reply = msgspec.json.decode(row.reply, type=kind)
    return msgspec.structs.replace(reply, event=row.event or 0)
