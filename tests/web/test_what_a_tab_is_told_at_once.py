"""What a tab is told without waiting for its turn: how the job that it looks at stands, and that the daemon is away."""

from typing import Any

import anyio
import pytest
from kit.daemon import DEADLINE

from marianne_cli.web import tabs
from marianne_cli.web.live import LiveState, WatchedJob

pytestmark = pytest.mark.anyio
AN_HOUR = 3600.0


def job(status: str) -> dict[str, Any]:
    return {**dict.fromkeys(tabs._AT_ONCE), "status": status}


async def test_a_status_and_the_end_of_a_daemon_are_told_at_once_and_nothing_else(monkeypatch):
    for name in ("_JOB_SECONDS", "_JOB_AGAIN_SECONDS", "_ROWS_SECONDS", "_ROWS_SECONDS_MOST"):
        monkeypatch.setattr(tabs, name, AN_HOUR)
    client: Any = None
    live = LiveState(client, lambda: None)
    live.up = True
    tab = tabs.Tab(live, client, browser=1, read_only=False)
    watched = tab._watched = WatchedJob("one", client, tab.wake)
    watched.job = job("running")
    send, receive = anyio.create_memory_object_stream[bytes](100)

    async def until(*words: bytes) -> bytes:
        told = b""
        with anyio.fail_after(DEADLINE):
            while not all(word in told for word in words):
                told += await receive.receive()
        return told

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tab.run, send.send)
        await until(b'"up":true', b'"status":"running"')
        live.rows["one"] = {"job_name": "one"}
        watched.job = {**job("running"), "message": "changed"}
        tab.wake()
        watched.job = {**job("pausing"), "message": "pausing"}
        tab.wake()
        told = await until(b'"status":"pausing"')
        live.up = False
        tab.wake()
        told += await until(b'"up":false')
        assert b"event: jobs" not in told, "the list has its turn"
        tasks.cancel_scope.cancel()
    send.close()
    receive.close()
