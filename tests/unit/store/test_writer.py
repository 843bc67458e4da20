"""What was acknowledged is on disk; what was refused has changed nothing."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from kit.deadline import DEADLINE
from kit.logged import STORE, WELL, logged
from store_rows import (
    asked,
    attempt_row,
    event_row,
    hold_row,
    request_row,
    revision_row,
    run_row,
    sheet_row,
)

from marianned.clock import Instant
from marianned.errors import Unavailable
from marianned.protocol import Event
from marianned.rows import Changes, Deleted, HoldRow, RunRow, SheetRow
from marianned.store.writer import BrokenChanges, Store, open_store

pytestmark = pytest.mark.anyio
DAY = 24 * 3600 * 1000
BIG = "x" * 1_000_000


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program writes."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def together(store: Store, *group: Changes) -> list[object]:
    """Commit all of `group` in one transaction; return results and exceptions."""
    begins, go_on = threading.Event(), threading.Event()

    def wait_before_begin(statement: str) -> None:
        if statement.startswith("BEGIN"):
            begins.set()
            go_on.wait(DEADLINE)

    store._connection.set_trace_callback(wait_before_begin)
    ahead = asyncio.ensure_future(store.commit(Changes()))
    assert await anyio.to_thread.run_sync(begins.wait, DEADLINE)
    tasks = [asyncio.ensure_future(store.commit(changes)) for changes in group]
    await asyncio.sleep(0)
    go_on.set()
    await ahead
    results = await asyncio.gather(*tasks, return_exceptions=True)
    store._connection.set_trace_callback(None)
    return results


def stored(database: Path, query: str) -> list[tuple[object, ...]]:
    """Ask as another program would."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        store._connection.execute("PRAGMA max_page_count = 1000000")


async def test_an_acknowledged_commit_is_seen_by_others(store: Store, database: Path) -> None:
    done = await store.commit(
        Changes(rows=[sheet_row(1), run_row()], events=[event_row("one"), event_row("two")])
    )
    assert done.event == 2
    assert [(event.event, event.text) for event in done.events] == [(1, "one"), (2, "two")]
    assert stored(database, "SELECT run_id, uid FROM sheets") == [(1, 1)]
    assert stored(database, "SELECT event, text FROM events") == [(1, "one"), (2, "two")]


async def test_a_row_replaces_the_one_before_it_and_takes_nothing_with_it(store: Store) -> None:
    await store.commit(Changes(rows=[run_row(), sheet_row(1), hold_row(1), revision_row(1), attempt_row(1)]))
    await store.commit(Changes(rows=[run_row(status="paused")]))
    assert await store.records.run("notes") == run_row(status="paused")
    assert await store.records.sheets(1) == [sheet_row(1)]
    assert await store.records.revision(1, 1) == revision_row(1)


async def test_deleted_sheets_and_holds_are_gone_and_attempts_stay(store: Store) -> None:
    await store.commit(
        Changes(rows=[run_row(), sheet_row(1), sheet_row(2), attempt_row(1), hold_row(1), hold_row(2)])
    )
    gone = [Deleted(kind=SheetRow, run_id=1, key=1), Deleted(kind=HoldRow, run_id=1, key=1)]
    await store.commit(Changes(deleted=gone))
    assert await store.records.sheets(1) == [sheet_row(2)]
    assert (await store.records.stored_run("notes")).holds == [hold_row(2)]
    assert await store.records.attempts(1) == [attempt_row(1)]


async def test_a_broken_constraint_fails_only_its_own(store: Store) -> None:
    results = await together(
        store,
        Changes(rows=[run_row()], events=[event_row("first")]),
        Changes(rows=[sheet_row(1), sheet_row(1, run_id=7)], events=[event_row("broken")]),
        Changes(rows=[sheet_row(2)], events=[event_row("last")]),
    )
    first, broken, last = results
    assert isinstance(broken, BrokenChanges)
    assert "FOREIGN KEY" in str(broken)
    assert (first.event, last.event) == (1, 2)
    assert await store.records.sheets(1) == [sheet_row(2)]
    assert [event.text for event in await store.records.events(0, None, 10)] == ["first", "last"]
    assert store.degraded is None


@pytest.mark.parametrize("row", [run_row(status="\ud800"), run_row(umask=2**70)], ids=["surrogate", "huge"])
async def test_what_no_column_can_hold_is_refused(store: Store, row: object) -> None:
    with pytest.raises(BrokenChanges):
        await store.commit(Changes(rows=[row], events=[event_row(run_id=None)]))
    assert await store.records.last_event() == 0
    assert (await store.commit(Changes(events=[event_row(run_id=None)]))).event == 1


async def test_two_runs_of_one_number_are_refused(store: Store) -> None:
    await store.commit(Changes(rows=[run_row(1)]))
    with pytest.raises(BrokenChanges, match="UNIQUE"):
        await store.commit(Changes(rows=[run_row(2)]))


async def test_a_full_disk_refuses_the_whole_group_and_is_recovered_from(store: Store) -> None:
    await store.commit(Changes(rows=[run_row()], events=[event_row("before")]))
    with logged(STORE, WELL) as well:
        with full_disk(store):
            results = await together(
                store,
                Changes(rows=[run_row(status="paused")], events=[event_row("small")]),
                Changes(events=[event_row(BIG)]),
            )
            for result in results:
                assert isinstance(result, Unavailable)
                assert result.message == (
                    "the database can't be written: its disk is full (database or disk is full); nothing has changed"
                )
            assert (
                store.degraded == "the database can't be written: its disk is full (database or disk is full)"
            )
            assert await store.records.run("notes") == run_row()
            assert await store.records.last_event() == 1
            assert not well.seen.is_set()
        assert await anyio.to_thread.run_sync(well.seen.wait, DEADLINE)
    assert store.degraded is None
    began, ended = well.messages
    assert began.startswith("the database can't be written: its disk is full (database or disk is full); ")
    assert ended.startswith("the database can be written again")
    assert (await store.commit(Changes(events=[event_row(BIG)]))).event == 2


async def test_a_write_that_succeeds_ends_the_degradation_at_once(store: Store) -> None:
    with full_disk(store), pytest.raises(Unavailable):
        await store.commit(Changes(events=[event_row(BIG, run_id=None)]))
    await store.commit(Changes(events=[event_row(BIG, run_id=None)]))
    assert store.degraded is None


async def test_the_trial_stays_degraded_while_there_is_no_room(store: Store, database: Path) -> None:
    with full_disk(store):
        with pytest.raises(Unavailable):
            await store.commit(Changes(events=[event_row(BIG, run_id=None)]))
        store._try_to_write()
        assert store.degraded is not None
    store._try_to_write()
    assert store.degraded is None
    assert stored(database, "SELECT name FROM meta") == [("boot_id",), ("daemon_id",)]


async def test_a_database_that_another_program_keeps_locked_is_told_so(store: Store, database: Path) -> None:
    store._connection.execute("PRAGMA busy_timeout = 0")
    with locked(database), pytest.raises(Unavailable, match="database is locked"):
        await store.commit(Changes(rows=[run_row()]))
    await store.commit(Changes(rows=[run_row()]))


async def test_listeners_hear_each_transaction_in_order_before_its_caller_goes_on(store: Store) -> None:
    heard: list[int] = []
    store.on_commit(lambda events: heard.extend(event.event for event in events))

    async def change(number: int) -> None:
        done = await store.commit(Changes(events=[event_row(str(number), run_id=None)]))
        assert done.event in heard
        assert store.last_event >= done.event

    await asyncio.gather(*(change(number) for number in range(50)))
    await store.commit(Changes())
    assert heard == list(range(1, 51))
    texts = [event.text for event in await store.records.events(0, None, 100)]
    assert texts == [str(number) for number in range(50)]


async def test_no_reader_of_the_journal_is_ahead_of_the_listeners(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit is on disk before the loop hears of it: the journal's readers wait for the loop, as jobs do."""
    await store.commit(Changes(rows=[run_row()]))
    before = store.last_event
    on_disk, loop, undelivered = anyio.Event(), asyncio.get_running_loop(), []

    def keep(*delivery: object) -> None:
        undelivered.append(delivery)
        loop.call_soon_threadsafe(on_disk.set)

    async def texts() -> list[list[str]]:
        records = store.records
        pages = [await records.events(before, run, 10) for run in (None, 1)]
        pages += [
            await records.events(before, None, 10, "notes"),
            (await records.history(1, None, None, 10))[0],
        ]
        return [[event.text for event in page] for page in pages]

    monkeypatch.setattr(store, "_post", keep)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.commit, Changes(events=[event_row("ahead")]))
        await on_disk.wait()
        assert await texts() == [[], [], [], []]
        store._deliver(*undelivered.pop())
    assert await texts() == [["ahead"]] * 4


async def test_a_cancelled_caller_takes_nothing_back(store: Store, database: Path) -> None:
    heard: list[Event] = []
    store.on_commit(heard.extend)
    with locked(database):
        task = asyncio.ensure_future(store.commit(Changes(events=[event_row("stays", run_id=None)])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.commit(Changes())
    assert [event.text for event in heard] == ["stays"]


async def test_a_listener_that_fails_holds_nobody_up(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def fails(events: list[Event]) -> None:
        raise ValueError(len(events))

    store.on_commit(fails)
    store.on_commit(heard.extend)
    await store.commit(Changes(events=[event_row(run_id=None)]))
    assert len(heard) == 1
    assert "a listener of the store failed" in caplog.text


async def test_a_reply_knows_the_number_it_is_true_at(store: Store) -> None:
    done = request_row("a", key="k", reply=b"{}")
    await store.commit(Changes(rows=[done, run_row()], events=[event_row(), event_row()]))
    assert (await store.records.request(1000, "job.pause", "k")).event == 2
    await store.commit(Changes(rows=[request_row("b", key="l", reply=b"{}")]))
    assert (await store.records.request(1000, "job.pause", "l")).event == 2
    await store.commit(Changes(rows=[request_row("c", key="m")], events=[event_row()]))
    assert (await store.records.request(1000, "job.pause", "m")).event is None


async def test_a_key_is_taken_for_a_day(store: Store) -> None:
    day = 24 * 3600 * 1000
    await store.commit(Changes(rows=[run_row(), request_row("a", key="k", reply=b"{}")]))
    with pytest.raises(BrokenChanges, match="UNIQUE"):
        await store.commit(Changes(rows=[request_row("b", key="k", asked=asked(1 + day))]))
    await store.commit(Changes(rows=[request_row("c", key="k", asked=asked(2 + day))]))
    assert (await store.records.request(1000, "job.pause", "k")).request == "c"


@pytest.mark.parametrize(
    ("later", "forgotten"),
    [
        (asked(9 * DAY, boottime=2), False),
        (asked(-9 * DAY, boottime=2 + DAY), True),
        (asked(2 + DAY, boot="next", boottime=1), True),
        (asked(2, boot="next", boottime=9 * DAY), False),
    ],
    ids=["clock set forward", "clock set back", "a day later, rebooted", "at once, rebooted"],
)
async def test_the_boot_s_clock_tells_the_age_of_a_key_and_after_a_reboot_the_time(
    store: Store, later: Instant, forgotten: bool
) -> None:
    await store.commit(Changes(rows=[request_row("a", key="k", reply=b"{}")]))
    await store.commit(Changes(rows=[request_row("b", key="other", asked=later)]))
    assert (await store.records.request(1000, "job.pause", "k") is None) is forgotten


async def test_what_was_answered_outlives_its_run_and_what_waits_goes_with_it(store: Store) -> None:
    waits, answered = request_row("a", key="a"), request_row("b", key="b", reply=b"{}")
    await store.commit(Changes(rows=[run_row(), waits, answered]))
    await store.commit(Changes(deleted=[Deleted(kind=RunRow, run_id=1, key=0)]))
    assert await store.records.request(1000, "job.pause", "a") is None
    assert (await store.records.request(1000, "job.pause", "b")).reply == b"{}"


async def test_a_request_that_waits_is_not_forgotten(store: Store) -> None:
    week = 7 * 24 * 3600 * 1000
    await store.commit(Changes(rows=[run_row(), request_row("a")]))
    await store.commit(Changes(rows=[request_row("b", asked=asked(week))]))
    assert [row.request for row in (await store.records.stored_run("notes")).requests] == ["a", "b"]


async def test_a_run_id_is_never_used_again(database: Path) -> None:
    async with open_store(database) as store:
        assert [store.new_run_id(), store.new_run_id()] == [1, 2]
        await store.commit(Changes(rows=[run_row(2), sheet_row(1, run_id=2)], events=[event_row(run_id=2)]))
        store._connection.execute("DELETE FROM runs")
        assert await store.records.sheets(2) == []
    async with open_store(database) as store:
        assert store.new_run_id() == 3
        assert await store.records.events(0, None, 10) == []
        assert store.last_event == await store.records.last_event() == 1
        assert (await store.commit(Changes(events=[event_row(run_id=None)]))).event == 2


async def test_closing_writes_what_is_queued_and_leaves_no_thread(database: Path) -> None:
    async with open_store(database) as store:
        tasks = [
            asyncio.ensure_future(store.commit(Changes(events=[event_row(run_id=None)]))) for _ in range(20)
        ]
        await asyncio.sleep(0)
    assert [(await task).event for task in tasks] == list(range(1, 21))
    assert "store-writer" not in [thread.name for thread in threading.enumerate()]
    assert {file.name for file in database.parent.iterdir()} == {"marianne.db", "incarnation"}
    with pytest.raises(RuntimeError, match="closed"):
        await store.commit(Changes())
