"""A status that is told again is told as it is now: what it was is kept only as long as nothing is another."""

import json

import pytest
from kit.daemon import gated, plain, score

pytestmark = pytest.mark.one_daemon

SAYS = 'note start 1; read _ < "$HOME/gate-1"; echo hello; note said 1; read _ < "$HOME/gate-1"; note end 1'


@pytest.fixture
def looks(daemon):
    """Return a look at a job: asked several times over, between two as nobody has asked before; all are one.

    What is committed between those two may be told by either; then they are asked again.
    """
    limits = iter(range(60, 1000))

    def look(job):
        while True:
            before = daemon.status(job, limit=next(limits))
            told = [daemon.status(job) for _ in range(3)]
            after = daemon.status(job, limit=next(limits))
            if after | {"event": before["event"]} == before:
                break
        assert all(one | {"event": before["event"]} == before for one in told)
        return told[-1]

    return look


def test_it_has_what_was_committed_and_what_was_printed_since(daemon, ledger, looks):
    daemon.gate(1)
    daemon.submit(score("duo", [SAYS, plain(2)]))
    ledger.wait_for("start 1")
    assert looks("duo")["in_flight"][0]["last_line"] is None
    daemon.gate(1).open()
    ledger.wait_for("said 1")
    assert looks("duo")["in_flight"][0]["last_line"] == "hello"
    paused = daemon.rpc("job.pause", job_id="duo", reason="why not")
    told = looks("duo")
    assert told["status"] == "pausing"
    assert told["event"] >= paused["event"]
    assert told["last_request"]["reason"] == "why not"
    daemon.rpc("job.resume", job_id="duo", reason="go on")
    told = looks("duo")
    assert (told["status"], told["last_request"]["reason"]) == ("running", "go on")
    daemon.gate(1).open()
    daemon.wait_for("duo", "completed")
    assert looks("duo")["progress"]["completed"] == 2


def test_its_event_goes_on_with_the_journal_though_nothing_of_the_job_does(daemon, ledger, looks):
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1")
    before = looks("one")["event"]
    other = daemon.submit(score("other", [plain(2)]), before="1")["event"]
    assert looks("one")["event"] >= other > before
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")


def test_a_fresh_run_is_told_by_the_name_that_was_asked_for(daemon, looks):
    daemon.submit(score("once-more", [plain(1)]), before="1")
    daemon.wait_for("once-more", "paused")
    assert looks("once-more")["run"] == 1
    daemon.submit(score("once-more", [plain(1), plain(2)]), before="2", fresh=True)
    assert looks("once-more")["run"] == 2
    assert looks("once-more@1")["run"] == 1
    assert looks("once-more@1")["status"] == "cancelled"


def test_it_says_that_the_database_is_away(daemon, ledger):
    daemon.may_log = ["is gone", "can be written again"]
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1")
    assert [daemon.status("one")["hindered_by"] for _ in range(3)] == [[], [], []]
    log = daemon.state / "marianne.db-wal"
    log.rename(daemon.home / "away")
    assert "the database can't be written" in daemon.status("one")["hindered_by"][0]
    (daemon.home / "away").rename(log)
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")


@pytest.mark.own_daemon("it is set up")
def test_it_says_what_the_daemon_waits_for(house, ledger):
    house.configure("max_attempts = 1\n")
    house.start()
    house.gate(1)
    house.submit(score("first", [gated(1)]))
    ledger.wait_for("start 1")
    house.submit(score("second", [plain(2)]))
    house.wait_for("second", "queued")
    assert {house.status("second")["next"]["text"] for _ in range(3)} == {"starts when a slot is free"}
    house.rpc("daemon.stop", mode="drain")
    assert house.status("second")["next"]["text"] == "starts when the drain is over"
    house.gate(1).open()
    house.until_stopped()
    ledger.once(1)


def test_those_keys_are_told_that_are_asked_for(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1")
    for _ in range(3):
        assert daemon.status("one", fields=["status"]).keys() == {"job_id", "event", "status"}
        assert "sheets" not in daemon.status("one", without=["sheets"])
        assert len(daemon.status("one")["sheets"]) == 1
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")


def test_a_reader_that_reads_late_gets_each_reply_whole(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.status("one")
    with daemon.connect() as line:
        asked = {line.send("job.status", job_id="one") for _ in range(240)}
        asked |= {line.send("daemon.hello", name="late")}
        assert len(json.dumps(daemon.status("one"))) * len(asked) > 500_000  # no socket takes them all
        replies = [line.message() for _ in asked]
    assert {reply["id"] for reply in replies} == asked
    assert all("result" in reply for reply in replies)
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")
