"""Calls in threads: made at once or in turn, ended whatever happens to who waits, and no thread stays."""

import contextvars
import threading

import anyio
import pytest

from marianned import threads

pytestmark = pytest.mark.anyio


async def test_what_a_call_returns_or_raises_comes_back():
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(next, iter(()))
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_a_call_sees_the_variables_of_its_task():
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)
    assert await threads.run(variable.get) == 1


async def test_who_is_cancelled_waits_for_the_end_of_the_call_and_begins_no_other():
    begun, may_end, made = anyio.Event(), threading.Event(), []
    loop_token = anyio.lowlevel.current_token()

    def call():
        anyio.from_thread.run_sync(begun.set, token=loop_token)
        made.append(may_end.wait(30))

    async def wait():
        await threads.run(call)
        await threads.run(made.append, "another")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await begun.wait()
        tasks.cancel_scope.cancel()
        may_end.set()
    assert made == [True]


async def test_more_calls_than_threads_are_made_in_turn(monkeypatch):
    own = threads._Threads()
    monkeypatch.setattr(threads, "_threads", own)
    ended = []
    all_run = threading.Barrier(threads.MOST + 1)

    def call(number):
        if number < threads.MOST:
            all_run.wait(30)
        ended.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(threads.MOST + 5):
            tasks.start_soon(threads.run, call, number)
        await anyio.to_thread.run_sync(all_run.wait, 30)
    assert sorted(ended) == list(range(threads.MOST + 5))
    assert own._count <= threads.MOST


async def test_a_thread_without_calls_ends_and_another_takes_its_place(monkeypatch):
    monkeypatch.setattr(threads, "_IDLE_SECONDS", 0.01)
    own = threads._Threads()
    monkeypatch.setattr(threads, "_threads", own)
    first = await threads.run(threading.current_thread)
    await anyio.to_thread.run_sync(first.join, 30)
    assert not first.is_alive()
    assert (own._idle, own._count) == ([], 0)
    assert await threads.run(threading.current_thread) is not first
