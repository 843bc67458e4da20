"""The journal as pages and as a stream: none missed, none twice, over restarts too."""

import pytest
from kit.daemon import gated, plain, score


def numbers(events):
    return [event["event"] for event in events]


def test_a_stream_from_zero_is_the_whole_journal(daemon, ledger):
    daemon.submit(score("duo", [plain(1), plain(2)]))
    ended = daemon.wait_for("duo", "completed")
    events = []
    for event in daemon.events(0):
        events.append(event)
        if event["event"] == ended["event"]:
            break
    assert numbers(events) == list(range(1, ended["event"] + 1))
    assert events == daemon.journal()
    told = [(event["type"], event["sheet"]) for event in events]
    assert told == [
        ("job.submitted", None),
        ("attempt.started", 1),
        ("job.running", None),
        ("attempt.ended", 1),
        ("sheet.completed", 1),
        ("attempt.started", 2),
        ("attempt.ended", 2),
        ("sheet.completed", 2),
        ("job.completed", None),
    ]


def test_a_stream_without_after_begins_now(daemon):
    daemon.submit(score("one", ["true"]))
    daemon.wait_for("one", "completed")
    with daemon.connect() as reading:
        started = reading.rpc("events.subscribe")
        daemon.submit(score("two", ["true"]))
        first = reading.message()["params"]["item"]
    assert (first["event"], first["type"], first["job_id"]) == (started["event"] + 1, "job.submitted", "two")


def test_a_stream_of_one_job_has_its_events_only(daemon):
    daemon.submit(score("one", ["true"]))
    daemon.submit(score("two", ["true"]))
    daemon.wait_for("one", "completed")
    daemon.wait_for("two", "completed")
    for event in daemon.events(0, "two"):
        assert event["job_id"] == "two"
        if event["type"] == "job.completed":
            break
    assert daemon.refusal("events.subscribe", job_id="three").code == "E501"


def test_a_stream_is_cancelled_by_its_number(daemon, ledger):
    daemon.gate(1)
    with daemon.connect() as reading:
        one = reading.rpc("events.subscribe", after=0)["stream"]
        two = reading.rpc("events.subscribe", after=0)["stream"]
        assert one != two
        asked = reading.send("stream.cancel", stream=one)
        messages = [reading.message(), reading.message()]
        assert messages[0]["params"] == {"stream": one, "reason": "cancelled", "event": 0}
        assert messages[1]["id"] == asked  # nothing of the stream comes behind the answer
        daemon.submit(score("solo", [gated(1)]))
        assert reading.message()["params"]["stream"] == two


def test_a_snapshot_comes_first_and_the_events_after_its_number_follow(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("one", ["true"]))
    daemon.wait_for("one", "completed")
    daemon.submit(score("two", [gated(1)]))
    ledger.wait_for("start 1")
    with daemon.connect() as reading:
        reading.rpc("events.subscribe", snapshot=True)
        shown = reading.message()["params"]["item"]
        assert (shown["type"], shown["total"]) == ("snapshot", 2)
        assert [(job["job_id"], job["status"]) for job in shown["jobs"]] == [
            ("one", "completed"),
            ("two", "running"),
        ]
        daemon.gate(1).open()
        following = [reading.message()["params"]["item"] for _ in range(3)]
    assert numbers(following) == [shown["event"] + count for count in (1, 2, 3)]
    with daemon.connect() as reading:
        reading.rpc("events.subscribe", snapshot=True, job_id="two")
        shown = reading.message()["params"]["item"]
        assert [job["job_id"] for job in shown["jobs"]] == ["two"]


def test_a_stream_from_before_what_is_kept_is_refused_with_the_oldest_number(daemon):
    for name in ("one", "two"):
        daemon.submit(score(name, ["true"]))
        daemon.wait_for(name, "completed")
    daemon.rpc("job.remove", job_id="one")
    oldest = daemon.journal()[0]["event"]
    refused = daemon.refusal("events.subscribe", after=1)
    assert refused.code == "E510"
    assert f"oldest event is {oldest}" in refused.message
    assert next(daemon.events(0))["event"] == oldest
    assert next(daemon.events(oldest - 1))["event"] == oldest


def test_pages_follow_each_other(daemon):
    daemon.submit(score("duo", [plain(1), plain(2)]))
    daemon.wait_for("duo", "completed")
    whole = daemon.journal()
    paged = []
    while page := daemon.rpc("events.read", after=paged[-1]["event"] if paged else 0, limit=2)["events"]:
        assert len(page) <= 2
        paged += page
    assert paged == whole


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_is_bounded(daemon, limit):
    assert daemon.refusal("events.read", limit=limit).rpc_code == -32602


def test_a_reader_that_does_not_read_slows_nobody_and_misses_nothing(daemon, ledger):
    daemon.submit(
        score(
            "many",
            ["exit 0"] * 60,
            parallel={"enabled": True, "max_concurrent": 8},
            sheet={"total_items": 1, "fan_out": {1: 60}},
        )
    )
    with daemon.connect() as lazy:
        lazy.rpc("events.subscribe", after=0)
        ended = daemon.wait_for("many", "ended")
        assert ended["status"] == "completed"
        seen = [lazy.message()["params"]["item"]["event"] for _ in range(ended["event"])]
    assert seen == list(range(1, ended["event"] + 1))


def test_history_is_the_newest_part_oldest_first(daemon, ledger):
    daemon.submit(score("duo", [plain(1), plain(2)]))
    daemon.wait_for("duo", "completed")
    whole = daemon.rpc("job.history", job_id="duo", limit=1000)
    assert whole["entries"] == daemon.journal("duo")
    last = daemon.rpc("job.history", job_id="duo", limit=2)
    assert (last["entries"], last["total"]) == (whole["entries"][-2:], whole["total"])
    assert last["message"] == f"duo: 2 of {whole['total']} entries"
    before = daemon.rpc("job.history", job_id="duo", limit=2, offset=2)
    assert (before["entries"], before["total"]) == (whole["entries"][-4:-2], whole["total"])
    second = daemon.rpc("job.history", job_id="duo", sheets="2")["entries"]
    assert {entry["sheet"] for entry in second} == {2}
    assert daemon.rpc("job.history", job_id="duo", since="2999-01-01T00:00:00Z")["entries"] == []
    assert daemon.refusal("job.history", job_id="duo", since="yesterday").code == "E510"
    assert daemon.refusal("job.history", job_id="duo", sheets="9").code == "E510"


def test_history_names_who_and_why(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo", reason="lunch")
    daemon.rpc("job.pause", job_id="duo", reason="long lunch")
    daemon.rpc("job.resume", job_id="duo", reason="back")
    asked = [event for event in daemon.journal("duo") if event["caller"]]
    assert [(event["reason"], event["status"]) for event in asked[1:]] == [
        ("lunch", "pausing"),
        ("long lunch", "pausing"),
        ("back", "running"),
    ]
