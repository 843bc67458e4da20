"""What blocks, called in a thread: what `anyio.to_thread.run_sync` does, for half of its processor time.

A sheet waits for such calls four times, and what passes between loop and thread is a good part of what it
costs the daemon. Seldom calls, and those that are to be left behind when nobody waits any more, are anyio's.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

MOST = 40
"""So many calls are made at the same time, as many as anyio makes; what is more waits for its turn."""
_IDLE_SECONDS = 10.0
"""After so long without a call a thread ends."""

T = TypeVar("T")
Args = TypeVarTuple("Args")


class _Call(NamedTuple):
    context: Context
    function: Callable[..., Any]
    args: tuple[Any, ...]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"

    def make(self) -> None:
        """Call it; tell its loop, if that still runs, what came of it."""
        done: Any = None
        error: BaseException | None = None
        try:
            done = self.context.run(self.function, *self.args)
        except StopIteration as raised:  # no future takes that
            error = RuntimeError(f"{self.function} raised {raised!r}")
        except BaseException as raised:  # noqa: BLE001  it is raised where it was called for
            error = raised
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, done, error)

    def _settle(self, done: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(done)
        else:
            self.future.set_exception(error)


class _Threads:
    """The threads of this process, for all its loops: who has ended a call last has the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[_Call]] = []
        self._waiting: deque[_Call] = deque()
        self._count = 0

    def give(self, call: _Call) -> None:
        """Have a call made."""
        with self._lock:
            if self._idle:
                self._idle.pop().put(call)
                return
            if self._count >= MOST:
                self._waiting.append(call)
                return
            self._count += 1
        try:
            threading.Thread(target=self._serve, args=(call,), name="marianned-call", daemon=True).start()
        except BaseException:
            with self._lock:
                self._count -= 1
            raise

    def _serve(self, call: _Call | None) -> None:
        calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        while call is not None:
            call.make()
            del call  # what it holds is not kept for the next one
            call = self._next(calls)

    def _next(self, calls: "queue.SimpleQueue[_Call]") -> _Call | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(calls)
        try:
            return calls.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            with self._lock:
                if calls in self._idle:
                    self._idle.remove(calls)
                    self._count -= 1
                    return None
        return calls.get()  # it was given one at that very moment


_threads = _Threads()


async def run(function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a function in a thread; who is cancelled meanwhile waits for its end, and is cancelled then.

    Raises:
        RuntimeError: no thread can be had.
        Exception: what it raises.
    """
    await checkpoint_if_cancelled()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    with anyio.CancelScope(shield=True):
        _threads.give(_Call(copy_context(), function, args, loop, future))
        await future
    return future.result()
