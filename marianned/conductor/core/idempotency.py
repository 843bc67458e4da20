"""Repeatable requests: the same key within a day gets the first answer and changes nothing.

Source: docs/design/protocol.md "Messages".
"""

import hashlib
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import msgspec

from marianned.clock import timestamp
from marianned.decoding import from_json
from marianned.errors import BY_CODE, BadRequest, InternalError, Unavailable
from marianned.moment import now
from marianned.protocol import Caller, Command, Job, Reply
from marianned.rows import Changes, RequestRow, Row
from marianned.store.writer import Store

DAY = 86_400_000
"""Milliseconds for which a key counts."""
_NOT_THE_REQUEST = ("key", "wait", "timeout")
"""Params that say how the caller waits, not what is asked."""

R = TypeVar("R", bound=Reply)


class _RequestInProgress:
    def __init__(self, row: RequestRow) -> None:
        self.row = row
        self.done = anyio.Event()


class IdempotencyKeys:
    """The requests with keys that are in progress, and those the store remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, _RequestInProgress] = {}

    async def run(
        self,
        caller: Caller,
        params: Command[Any],
        kind: type[R],
        act: Callable[[RequestRow], Awaitable[R]],
        join: Callable[[RequestRow], Awaitable[R]] | None = None,
    ) -> R:
        """Do what is asked once: `act` does it, `join` waits for what was done before under this key.

        `act` puts the request's row on disk in the transaction of its effect, with the reply (`with_reply`)
        where that is known by then; only what can wait for its reply needs a `join`.

        Raises:
            BadRequest: the key was used with other params.
        """
        row = _request_row(caller, params)
        if row.key is None:
            return await act(row)
        while (running := self._running.get(row.request)) is not None:
            _check_same(row, running.row)
            await running.done.wait()
        self._running[row.request] = running = _RequestInProgress(row)
        try:
            known = await self._store.records.request(row.uid, row.method, row.key)
            if known is None or known.asked.until(now()) > DAY:
                return await act(row)
            _check_same(row, known)
            return recorded_answer(known, kind) or await (join or act)(known)
        finally:
            del self._running[row.request]
            running.done.set()

    async def lookup(self, request: RequestRow) -> RequestRow | None:
        """Return what the store remembers of a request with a key by now."""
        return await self._store.records.request(request.uid, request.method, request.key or "")

    async def keep(self, request: RequestRow, reply: Reply) -> None:
        """Put on disk what was answered to a request whose effect is none of the store's.

        Raises:
            Unavailable: the disk refuses.
        """
        if rows := rows_of(request, reply):
            await self._store.commit(Changes(rows=rows))

    async def amend(self, request: RequestRow, reply: Job) -> None:
        """Keep a reply that was completed after its commit; where there is no room the first one stays.

        The effect is on disk, and an answer with it.
        """
        kept = await self.lookup(request) if request.key is not None else None
        if kept is not None:
            with suppress(Unavailable):
                told = msgspec.structs.replace(with_reply(kept, reply), event=reply.event)
                await self._store.commit(Changes(rows=[told]))


def with_reply(row: RequestRow, reply: Reply) -> RequestRow:
    """Return the row of a request that has got this reply."""
    return msgspec.structs.replace(row, reply=msgspec.json.encode(reply))


def rows_of(request: RequestRow, reply: Reply) -> list[Row]:
    """Return what is put on disk of an answered request: nothing, where no key makes it repeatable."""
    return [] if request.key is None else [with_reply(request, reply)]


def _request_row(caller: Caller, params: Command[Any]) -> RequestRow:
    method = params.method
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
        run_id=None,
        awaits=None,
        since_hold=None,
        revision=None,
        caller=caller,
        asked=now(),
    )


def _check_same(row: RequestRow, known: RequestRow) -> None:
    """Refuse a key that was used, within its method, for another request; say for which."""
    if row.params == known.params:
        return
    of = f" of '{job}'" if (job := _job_of(known)) is not None else ""
    raise BadRequest(
        f"the key '{row.key}' was used for another {row.method}{of} at {timestamp(known.asked)}; "
        "nothing has changed; use another key"
    )


def _job_of(known: RequestRow) -> str | None:
    """Return the job that an answered request was about, where its reply names one."""
    return from_json(known.reply, _ReplyJob).job_id if known.reply is not None else None


class _ReplyJob(msgspec.Struct):
    job_id: str | None = None


def recorded_answer(row: RequestRow, kind: type[R]) -> R | None:
    """Return the answer a request had; None: it still waits.

    Raises:
        MarianneError: the answer was an error.
    """
    if row.refusal is not None:
        kept = from_json(row.refusal)
        error = BY_CODE.get(kept.pop("code"), InternalError)
        raise error(kept.pop("message"), **kept)
    if row.reply is None:
        return None
    reply = from_json(row.reply, kind)
    return msgspec.structs.replace(reply, event=row.event or 0)
