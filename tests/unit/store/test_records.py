"""Readers return rows as they were put, in the order they promise, and only what is committed."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
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
from marianned.protocol import Caller, CheckReport
from marianned.rows import Changes
from marianned.store.location import DatabaseLocation
from marianned.store.records import Costs, Records
from marianned.store.writer import Store

pytestmark = pytest.mark.anyio


async def test_runs_are_found_by_name_and_number(store: Store) -> None:
    old = run_row(1, ended="cancelled", status="cancelled", updated_at=1)
    new = run_row(2, run=2, updated_at=9)
    other = run_row(3, job_name="nightly", updated_at=5, not_before=Instant(1, "boot", 2))
    await store.commit(Changes(rows=[old, new, other]))
    records = store.records
    assert await records.newest_names() == [("nightly", None), ("notes", None)]
    assert await records.runs_in(new.workspace) == [other, new]
    assert await records.runs("notes") == [old, new]
    assert await records.run("notes") == new
    assert await records.run("notes", 1) == old
    assert await records.run("notes", 3) is None
    assert await records.run("nobody") is None
    assert await records.unfinished_runs() == [new, other]


async def test_the_last_request_of_a_run_is_the_newest_whatever_was_looked_at_before(store: Store) -> None:
    runs = first, other = run_row(), run_row(2, run=2)
    await store.commit(Changes(rows=[*runs]))
    assert await store.records.last_request(first) is None
    caller = Caller(uid=1)
    asked = [("job.paused", "first"), ("hold.released", "second"), ("hold.added", "third")]
    for kind, reason in asked:
        await store.commit(Changes(events=[event_row(type=kind, caller=caller, reason=reason)]))
        for _ in range(2):
            found = await store.records.last_request(first)
            assert found is not None
            assert found.reason == reason
        await store.commit(Changes(events=[event_row(type="attempt.started", caller=None)]))
        await store.commit(Changes(events=[event_row(type="revision.staged", caller=caller)]))
        assert await store.records.last_request(first) == found
        assert await store.records.last_request(other) is None
    on_disk = Records(store.path, DatabaseLocation(store.path))
    on_disk.last_published = store.last_event
    assert await on_disk.last_request(first) == found
    on_disk.close()


async def test_what_is_asked_of_a_run_leaves_known_what_was_asked_of_another(store: Store) -> None:
    first, other = run_row(), run_row(2, job_name="other")
    await store.commit(Changes(rows=[first, other]))
    await store.records.last_request(first)
    await store.records.last_request(other)
    asked = event_row(type="job.paused", caller=Caller(uid=1))
    await store.commit(Changes(events=[asked]))
    assert store.records.knows_last_request(first)
    assert store.records.knows_last_request(other)


async def test_sheets_come_in_ascending_number(store: Store) -> None:
    rows = [sheet_row(1, sheet=2), sheet_row(2, sheet=1, validation_passed=False, cost_usd=0.25)]
    await store.commit(Changes(rows=[run_row(), *rows]))
    assert await store.records.sheets(1) == rows[::-1]


async def test_attempts_come_without_their_results(store: Store) -> None:
    report = CheckReport(
        index=1,
        type="file_exists",
        description=None,
        target="/w/a",
        result="passed",
        reason=None,
        duration_seconds=0.5,
    )
    ended = attempt_row(1, 1, outcome="succeeded", ended_at=9, validations=[report], result="text")
    open_one = attempt_row(2, 1, time_limit_at=7)
    await store.commit(
        Changes(rows=[run_row(), open_one, ended, run_row(2, run=2), attempt_row(1, run_id=2)])
    )
    shown = attempt_row(1, 1, outcome="succeeded", ended_at=9, validations=[report])
    assert await store.records.attempts(1) == [shown, open_one]
    assert await store.records.attempts(1, 1) == [shown]
    assert await store.records.attempts(1, 5) == []
    assert (await store.records.stored_run("notes", 1)).open_attempts == [open_one]


async def test_the_last_result_is_that_of_the_last_success(store: Store) -> None:
    await store.commit(
        Changes(
            rows=[
                run_row(),
                attempt_row(1, 1, outcome="succeeded", result="old"),
                attempt_row(1, 2, outcome="succeeded", result="new"),
                attempt_row(1, 3, outcome="failed", result="no"),
                attempt_row(2, 1, outcome="failed", result="no"),
            ]
        )
    )
    assert await store.records.last_result(1, 1) == "new"
    assert await store.records.last_result(1, 2) is None


async def test_costs_are_known_when_those_of_all_ended_attempts_are(store: Store) -> None:
    await store.commit(Changes(rows=[run_row()]))
    nothing = Costs(usd=0.0, known=True, input_tokens=0, output_tokens=0, attempts=0)
    assert (await store.records.stored_run("notes")).costs == nothing
    priced = attempt_row(1, 1, outcome="succeeded", cost_usd=0.25, input_tokens=10, output_tokens=3)
    await store.commit(Changes(rows=[run_row(), priced, attempt_row(1, 2)]))
    known = Costs(usd=0.25, known=True, input_tokens=10, output_tokens=3, attempts=2)
    assert (await store.records.stored_run("notes")).costs == known
    await store.commit(Changes(rows=[attempt_row(1, 2, outcome="failed")]))
    assert not (await store.records.stored_run("notes")).costs.known


async def test_holds_come_oldest_first(store: Store) -> None:
    rows = [hold_row(1), hold_row(2, owner=None, ends=Instant(5, "boot", 6))]
    await store.commit(Changes(rows=[run_row(), *rows[::-1]]))
    assert (await store.records.stored_run("notes")).holds == rows


async def test_a_list_of_revisions_leaves_out_what_is_long(store: Store) -> None:
    await store.commit(Changes(rows=[run_row(), revision_row(2), revision_row(1, status="past")]))
    short = {"text": "", "files": {}, "expanded": b""}
    assert await store.records.revisions(1) == [
        revision_row(1, status="past", **short),
        revision_row(2, **short),
    ]
    assert await store.records.revision(1, 2) == revision_row(2)
    assert await store.records.revision(1, 3) is None


async def test_requests_wait_until_they_are_answered_or_refused(store: Store) -> None:
    rows = [request_row("a", awaits="paused", asked=asked(2)), request_row("b", asked=asked(1), key="k")]
    await store.commit(Changes(rows=[run_row(), *rows]))
    assert (await store.records.stored_run("notes")).requests == rows[::-1]
    assert await store.records.request(1000, "job.pause", "k") == rows[1]
    assert await store.records.request(1001, "job.pause", "k") is None
    await store.commit(
        Changes(rows=[request_row("a", reply=b"{}"), request_row("b", refusal=b"{}", key="k")])
    )
    assert (await store.records.stored_run("notes")).requests == []


async def test_the_journal_is_read_in_pages(store: Store) -> None:
    texts = [f"e{number}" for number in range(1, 8)]
    events = [event_row(text, run_id=1 + number % 2) for number, text in enumerate(texts)]
    await store.commit(Changes(rows=[run_row(1), run_row(2, run=2)], events=events))
    page = await store.records.events(2, None, 3)
    assert [(event.event, event.text) for event in page] == [(3, "e3"), (4, "e4"), (5, "e5")]
    assert [event.event for event in await store.records.events(2, 1, 10)] == [3, 5, 7]
    assert page[0].recorded_at == "1970-01-01T00:00:01.000Z"
    assert page[0].job_id == "notes"
    assert await store.records.last_event() == 7


async def test_history_is_the_newest_lines_oldest_first(store: Store) -> None:
    events = [event_row(sheet=number % 3 or None, recorded_at=number * 1000) for number in range(1, 10)]
    await store.commit(Changes(rows=[run_row(), run_row(2, run=2)], events=[*events, event_row(run_id=2)]))
    entries, total = await store.records.history(1, None, None, 2)
    assert ([event.event for event in entries], total) == ([8, 9], 9)
    entries, total = await store.records.history(1, {1}, None, 2)
    assert ([event.event for event in entries], total) == ([4, 7], 3)
    entries, total = await store.records.history(1, [1, 2], 5_000, 10)
    assert ([event.event for event in entries], total) == ([5, 7, 8], 3)
    entries, total = await store.records.history(1, [], None, 10)
    assert (entries, total) == ([], 0)


async def test_readers_see_nothing_that_is_not_committed(store: Store) -> None:
    await store.commit(Changes(rows=[run_row()]))
    store._connection.execute("BEGIN IMMEDIATE")
    store._connection.execute("UPDATE runs SET status = 'never'")
    assert await store.records.run("notes") == run_row()
    store._connection.execute("ROLLBACK")


async def test_readers_can_change_nothing(store: Store) -> None:
    def change(connection: object) -> None:
        connection.execute("DELETE FROM runs")

    with pytest.raises(Exception, match="readonly"):
        await store.records._read(change)
    assert await store.records.runs("notes") == []


async def test_many_reads_at_a_time_share_a_few_connections(store: Store) -> None:
    await store.commit(Changes(rows=[run_row()]))
    found = await asyncio.gather(*(store.records.run("notes") for _ in range(100)))
    assert found == [run_row()] * 100
    assert len(store.records._idle) <= 4


async def test_what_makes_a_state_is_of_one_run_and_has_both_its_revisions(store: Store) -> None:
    row = run_row(revision=1, staged_revision=2, last_revision=2)
    other = [run_row(2, run=2), sheet_row(1, run_id=2), request_row("z", run_id=2)]
    mine = [sheet_row(1), revision_row(1), revision_row(2, status="staged"), request_row("a")]
    await store.commit(Changes(rows=[row, *mine, *other]))
    found = await store.records.stored_run("notes", 1)
    assert (found.run, found.sheets) == (row, [sheet_row(1)])
    assert found.revisions == {1: revision_row(1), 2: revision_row(2, status="staged")}
    assert [request.request for request in found.requests] == ["a"]
    assert await store.records.stored_run("nobody") is None


@pytest.mark.parametrize("kind", [sqlite3.OperationalError, sqlite3.DatabaseError])
async def test_where_its_log_was_deleted_that_is_said_and_not_how_sqlite_met_it(
    store: Store, kind: type[sqlite3.DatabaseError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then a connection is being opened just then, and reads a log that is empty and new."""
    log = store.path.with_name(f"{store.path.name}-wal")

    def opened_too_late(path: Path) -> sqlite3.Connection:
        log.unlink()
        raise with_code(kind("disk I/O error"), sqlite3.SQLITE_IOERR_SHORT_READ)

    monkeypatch.setattr("marianned.store.records.connect_reader", opened_too_late)
    with pytest.raises(Unavailable) as refused:
        await store.records.unfinished_runs()
    assert refused.value.message.startswith(f"the database can't be read: '{log}' is gone; ")


async def test_what_sqlite_says_is_said_in_plain_words_with_its_own_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> sqlite3.Connection:
        raise with_code(sqlite3.OperationalError("disk I/O error"), sqlite3.SQLITE_IOERR_SHORT_READ)

    monkeypatch.setattr("marianned.store.records.connect_reader", fails)
    with pytest.raises(Unavailable) as refused:
        await store.records.unfinished_runs()
    assert refused.value.message == "the database can't be read: its disk fails (disk I/O error)"


def with_code(error: sqlite3.DatabaseError, code: int) -> sqlite3.DatabaseError:
    error.sqlite_errorcode = code
    return error
