"""Streams of states: a snapshot, then jobs, sheets, outputs and the daemon as they change, beside the events."""

import functools
import json

import anyio
import pytest
from anyio import to_thread
from kit.daemon import gated, plain, score
from kit.tables import each

from marianned.api import states


def subscribed(daemon, **params):
    """Return a connection with a stream of states, and its snapshot."""
    reading = daemon.connect()
    reading.rpc("events.subscribe", states=True, **params)
    return reading, until(reading, lambda item: item["type"] == "ready")


def until(reading, wanted):
    """Return what comes until an item is what is wanted, that included."""
    items = []
    while not items or not wanted(items[-1]):
        message = reading.message()
        assert message.get("method") == "stream.item", message
        items.append(message["params"]["item"])
    return items


def job_is(status, name=None):
    return lambda item: (
        item["type"] == "job" and item["job"]["status"] == status and name in (None, item["job"]["job_name"])
    )


def sheets_of(items, run=1):
    """Return what a reader knows of sheets by now: what came later takes the place of what came before."""
    known = {}
    for item in items:
        if item["type"] == "sheets" and item["run"] == run:
            known |= {sheet["sheet"]: sheet for sheet in item["sheets"]}
            known = {number: sheet for number, sheet in known.items() if number <= item["total_sheets"]}
    return known


def shown(daemon, job):
    """Return the sheets as the status tells them, as far as a stream does."""
    sheets = daemon.status(job, without=["sheets.needs"])["sheets"]
    return {sheet["sheet"]: sheet | {"needs": None} for sheet in sheets}


def test_a_snapshot_has_jobs_sheets_and_the_daemon_and_says_when_it_is_complete(daemon, ledger):
    daemon.submit(score("done", [plain(1)]))
    daemon.wait_for("done", "completed")
    daemon.gate(1)
    daemon.submit(score("going", [gated(1), plain(2)]))
    ledger.wait_for("start 1", times=2)
    reading, items = subscribed(daemon, sheets=True)
    with reading:
        assert [item["type"] for item in items] == ["snapshot", "sheets", "daemon", "ready"]
        assert [job["job_name"] for job in items[0]["jobs"]] == ["done", "going"]
        assert items[1]["job_id"] == "going", "of jobs that have ended, sheets come where those are named"
        assert sheets_of(items) == shown(daemon, "going")
        assert (items[2]["slots"]["used"], items[2]["running_jobs"]) == (1, 1)
    reading, items = subscribed(daemon, sheets=True, jobs=["done"])
    with reading:
        assert sheets_of(items) == shown(daemon, "done")


def test_what_changes_follows_and_ends_as_it_is(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("trio", [gated(1), "exit 3", plain(3)]))
    ledger.wait_for("start 1")
    reading, items = subscribed(daemon, sheets=True, jobs=["trio"])
    with reading:
        daemon.gate(1).open()
        items += until(reading, job_is("failed"))
        assert sheets_of(items) == shown(daemon, "trio")
        assert sheets_of(items)[3]["blocked_by"] == [2]
        told = items[-1]["job"] | {"event": 0}
        status = daemon.status("trio")
        assert told == {key: status[key] for key in told} | {"event": 0}
        journal = daemon.journal("trio")
        numbers = [item["event"] for item in items if "." in item["type"]]
        assert numbers == [event["event"] for event in journal if event["event"] >= numbers[0]]
        resumed = daemon.rpc("job.resume", job_id="trio")["event"]
        items += until(reading, lambda item: job_is("failed")(item) and item["event"] > resumed)
        assert sheets_of(items) == shown(daemon, "trio")


def test_states_come_together_at_most_five_a_second(daemon, monkeypatch):
    monkeypatch.setattr(states, "JOB_SECONDS", 60.0)
    daemon.submit(score("many", ["true"] * 8), before="1")
    daemon.wait_for("many", "paused")
    reading, items = subscribed(daemon, jobs=["many"])
    with reading:
        daemon.rpc("job.resume", job_id="many")
        items += until(reading, lambda item: item["type"] == "job.completed")
    assert len([item for item in items if item["type"] == "job"]) <= 1


def test_what_changes_while_a_job_is_looked_at_is_told_after_it(daemon, ledger, monkeypatch):
    look, came = states.StateCache.job, []

    async def slow_look(told, state):
        shown = await look(told, state)
        if not came and b'"status":"pausing"' in bytes(shown.item):
            came.append(await to_thread.run_sync(cancel))
            await anyio.wait_all_tasks_blocked()
        return shown

    cancel = functools.partial(daemon.rpc, "job.cancel", job_id="one")
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1")
    reading, _ = subscribed(daemon, jobs=["one"])
    with reading:
        monkeypatch.setattr(states.StateCache, "job", slow_look)
        daemon.rpc("job.pause", job_id="one")
        until(reading, job_is("pausing"))
        until(reading, job_is("cancelled"))


def test_a_name_follows_its_newest_run_and_a_number_keeps_to_one(daemon):
    daemon.submit(score("nightly", ["true"]))
    daemon.wait_for("nightly", "completed")
    name, _ = subscribed(daemon, jobs=["nightly"], sheets=True)
    number, _ = subscribed(daemon, jobs=["nightly@1"])
    with name, number:
        daemon.submit(score("nightly", [plain(1), plain(2)]), fresh=True)
        items = until(name, lambda item: job_is("completed")(item) and item["job"]["run"] == 2)
        assert {item["job"]["run"] for item in items if item["type"] == "job"} == {2}
        assert set(sheets_of(items, run=2)) == {1, 2}
        assert {item["run"] for item in items if "." in item["type"]} == {2}
        number.rpc("daemon.hello")
        daemon.rpc("job.remove", job_id="nightly@1")
        gone = until(number, lambda item: item["type"] in ("removed", "job.removed"))
        assert {item.get("run") for item in gone if item["type"] != "daemon"} == {1}


def test_what_is_removed_is_told_and_what_its_name_means_then(daemon):
    for bodies in (["true"], ["true", "true"]):
        daemon.submit(score("nightly", bodies), fresh=True)
        daemon.wait_for("nightly", "completed")
    daemon.submit(score("other", ["true"]))
    daemon.wait_for("other", "completed")
    everything, _ = subscribed(daemon, types=[])
    name, _ = subscribed(daemon, types=[], jobs=["nightly"])
    with everything, name:
        daemon.rpc("job.remove", job_id="nightly")
        for reading in (everything, name):
            gone = until(reading, lambda item: item["type"] == "removed")[-1]
            assert (gone["job_name"], gone["run"]) == ("nightly", 2)
            left = until(reading, job_is("completed"))[-1]
            assert (left["job"]["job_name"], left["job"]["run"]) == ("nightly", 1)
        daemon.rpc("job.remove", job_id="other")
        assert until(everything, lambda item: item["type"] == "removed")[-1]["job_name"] == "other"
        daemon.rpc("job.remove", job_id="nightly@1")
        assert until(name, lambda item: item["type"] == "removed")[-1]["run"] == 1


def test_events_come_by_their_types(daemon):
    reading, _ = subscribed(daemon, types=["attempt.", "job.completed"])
    with reading:
        daemon.submit(score("one", [plain(1)]))
        items = until(reading, job_is("completed"))
    assert [item["type"] for item in items if "." in item["type"]] == [
        "attempt.started",
        "attempt.ended",
        "job.completed",
    ]
    reading, _ = subscribed(daemon, types=[])
    with reading:
        daemon.submit(score("two", [plain(1)]))
        items = until(reading, job_is("completed", "two"))
    assert [item for item in items if "." in item["type"]] == []


def test_events_go_on_behind_a_number_over_a_new_snapshot(daemon):
    daemon.submit(score("one", [plain(1)]))
    ended = daemon.wait_for("one", "completed")
    reading, items = subscribed(daemon, after=2)
    with reading:
        items += until(reading, lambda item: item["event"] == ended["event"] and "." in item["type"])
    assert [item["event"] for item in items if "." in item["type"]] == list(range(3, ended["event"] + 1))


def test_what_is_in_flight_tells_what_it_printed_last(daemon, ledger):
    daemon.gate(1)
    body = r"printf 'one\ntwo\n\033[31mred \a%s\033[0m\r\n' "
    daemon.submit(
        score("talk", [f'{body} "$API_TOKEN"; {gated(1)}']), env={"API_TOKEN": "hush-hush-12345"}, reason="x"
    )
    ledger.wait_for("start 1")
    reading, items = subscribed(daemon, output=True)
    with reading:
        daemon.gate(1).open()
        items += until(reading, job_is("completed"))
    (flight,) = next(item for item in items if item["type"] == "output")["in_flight"]
    assert (flight["sheet"], flight["instrument"]) == (1, "cli")
    assert flight["last_line"] == "red ***"
    assert flight["stdout_bytes"] > 20
    assert flight == items[0]["jobs"][0]["in_flight"][0]
    assert "hush" not in json.dumps(items)


def test_the_daemon_is_told_when_it_changes(daemon):
    reading, _items = subscribed(daemon)
    with reading:
        daemon.gate(1)
        daemon.submit(score("one", [gated(1)]))
        until(reading, lambda item: item["type"] == "daemon" and item["slots"]["used"] == 1)
        daemon.rpc("daemon.stop", mode="drain")
        until(reading, lambda item: item["type"] == "daemon" and item["status"] == "draining")
        daemon.rpc("daemon.stop", mode="stay")


@pytest.fixture
def one(daemon):
    """A daemon with one job."""
    daemon.submit(score("one", ["true"]))
    return daemon


@each(
    ("params", "said"),
    [
        ({"sheets": True}, "'sheets' goes with 'states'"),
        ({"output": True}, "'output' goes with 'states'"),
        ({"states": True, "snapshot": True}, "'snapshot' or 'states'"),
        ({"job_id": "one", "jobs": ["one"]}, "'job_id' or 'jobs'"),
        ({"states": True, "after": 10**9}, "newest event"),
        ({"jobs": ["one"] * 1001}, "jobs"),
        ({"jobs": "one"}, "jobs"),
        ({"types": [""]}, "types"),
        ({"types": ["x"] * 1001}, "types"),
        ({"states": 1}, "states"),
    ],
)
def test_what_contradicts_itself_or_is_too_much_is_refused(one, params, said):
    assert said in one.refusal("events.subscribe", **params).message


def test_a_job_that_is_not_there_has_no_states(one):
    assert one.refusal("events.subscribe", states=True, jobs=["nobody"]).code == "E501"
