"""Many clients at once: everything they were told is explained by one order, the journal's."""

import itertools
import os
import random
import threading
import time

import pytest
from kit.daemon import Refused, gated, plain, score

pytestmark = pytest.mark.one_daemon

CLIENTS = 4
REQUESTS = 50
SHEETS = 40
HELD = ("pausing", "paused")


class Client(threading.Thread):
    """Asks at random for pauses, resumes and waits; keeps when it asked, what for, and what it was told."""

    def __init__(self, daemon, number, seed):
        super().__init__()
        self._daemon = daemon
        self._number = number
        self._random = random.Random(f"{seed} {number}")
        self.told = []
        self.failure = None

    def run(self):
        try:
            with self._daemon.connect() as connection:
                for count in range(REQUESTS):
                    self._ask(connection, f"{self._number}-{count}")
        except Exception as failure:  # noqa: BLE001  the test tells of it
            self.failure = failure

    def _ask(self, connection, reason):
        method = self._random.choice(["job.pause", "job.resume", "job.wait"])
        timeout = self._random.choice([0, 0.01, 0.05, 0.2])
        wait = self._random.random() < 0.5
        if method == "job.wait":
            params = {"words": ["paused", "running"], "timeout": timeout}
        else:
            params = {"reason": reason, "wait": wait, "timeout": timeout}
        asked_at = time.monotonic()
        try:
            reply, code = connection.rpc(method, job_id="storm", **params), None
            status, event = reply["status"], reply["event"]
        except Refused as refused:
            status, event, code = refused.status, None, refused.code
        self.told.append(
            {
                "method": method,
                "reason": reason,
                "wait": wait,
                "asked_at": asked_at,
                "told_at": time.monotonic(),
                "code": code,
                "status": status,
                "event": event,
            }
        )


def test_two_hundred_pauses_and_resumes_have_one_order_and_each_sheet_runs_once(daemon, ledger):
    seed = int(os.environ.get("STORM_SEED", random.SystemRandom().randrange(10**6)))
    print(f"STORM_SEED={seed}")
    last = SHEETS + 1
    daemon.gate(last)
    daemon.submit(
        score(
            "storm",
            [plain(sheet) for sheet in range(1, last)] + [gated(last)],
            sheet={"total_items": 2, "fan_out": {1: SHEETS}, "dependencies": {2: [1]}},
            parallel={"enabled": True, "max_concurrent": 3},
        )
    )
    clients = [Client(daemon, number, seed) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [client.failure for client in clients] == [None] * CLIENTS
    told = [answer for client in clients for answer in client.told]
    check(told, daemon.journal("storm"))
    if daemon.status("storm")["status"] in HELD:
        daemon.rpc("job.resume", job_id="storm")
    daemon.gate(last).open()
    assert daemon.wait_for("storm", "ended")["status"] == "completed"
    ledger.once(*range(1, last + 1))
    assert {sheet["attempt_count"] for sheet in daemon.status("storm")["sheets"]} == {1}


def check(told, journal):
    """Walk the journal: each accepted request is in it once, where the table allows it; no other is.

    But one that was sent again: a refusal is not kept, so a first copy that is read after the second one
    was refused may still be accepted.
    """
    asked = [answer for answer in told if answer["method"] != "job.wait"]
    accepted = {answer["reason"]: answer for answer in asked if answer["code"] in (None, "E504", "E513")}
    refused = [answer for answer in asked if answer["reason"] not in accepted]
    lines = {event["reason"]: event for event in journal if event["reason"]}
    late = {answer["reason"] for answer in refused if answer.get("repeated")}
    assert set(accepted) <= set(lines) <= set(accepted) | late
    assert len([event for event in journal if event["reason"]]) == len(lines)
    assert {answer["code"] for answer in refused} <= {"E502"}
    for answer in refused:
        possible = ("paused",) if answer["method"] == "job.pause" else ("queued", "running")
        assert answer["status"] in possible, answer
    for before, event in itertools.pairwise(journal):
        if event["reason"] in accepted and before["recorded_at"] <= event["recorded_at"]:
            method = accepted[event["reason"]]["method"]
            assert allowed(method, before["status"]), (before, event)  # its transaction begins with it
    check_replies(accepted, lines, journal)
    check_real_time(accepted, lines)


def allowed(method, status):
    return status in (HELD if method == "job.resume" else ("queued", "running", "pausing"))


def check_replies(accepted, lines, journal):
    """Each reply is true at the event it names, which no earlier request than its own has brought."""
    by_number = {event["event"]: event for event in journal}
    at_once = [answer for answer in accepted.values() if answer["event"] and not answer["wait"]]
    for answer in at_once:
        line = lines[answer["reason"]]
        between = [by_number[number] for number in range(line["event"] + 1, answer["event"] + 1)]
        assert not [event for event in between if event["reason"]], answer
        assert by_number[answer["event"]]["status"] == answer["status"]
    assert len({answer["event"] for answer in at_once}) == len(at_once)
    for answer in accepted.values():
        if answer["event"] and answer["wait"]:
            assert answer["event"] >= lines[answer["reason"]]["event"]
            assert by_number[answer["event"]]["status"] == answer["status"]


def check_real_time(accepted, lines):
    """What was answered before another was asked stands before it in the journal."""
    answered = sorted(accepted.values(), key=lambda answer: answer["told_at"])
    newest, seen = 0, 0
    for later in sorted(accepted.values(), key=lambda answer: answer["asked_at"]):
        while answered[seen]["told_at"] < later["asked_at"]:
            newest = max(newest, lines[answered[seen]["reason"]]["event"])
            seen += 1
        assert newest < lines[later["reason"]]["event"]
