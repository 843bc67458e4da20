"""Many connections, lost replies, repeated keys: every reply is explained by one order of events.

MARIANNE_MANY=200000 asks so often, over 504 connections and 100 jobs.
"""

import os
import random
import threading
import time
from collections import defaultdict

import pytest
from kit.daemon import Refused, gated, score
from test_storm import check

pytestmark = pytest.mark.one_daemon

REQUESTS = int(os.environ.get("MARIANNE_MANY", "400"))
LONG = REQUESTS > 10_000
JOBS = 100 if LONG else 6
CLIENTS = 16 if LONG else 4
IDLE = 512 - CLIENTS - 8 if LONG else 40
LOST = 0.1
"""How often a client goes away before it is answered, and asks again with the same key."""


class Asker(threading.Thread):
    """Pauses and resumes jobs at random; a lost reply is asked for again with its key."""

    def __init__(self, daemon, number, seed):
        super().__init__()
        self._daemon = daemon
        self._number = number
        self._random = random.Random(f"{seed} {number}")
        self._connection = daemon.connect()
        self.told = defaultdict(list)
        self.took = []
        self.failure = None

    def run(self):
        try:
            for count in range(REQUESTS // CLIENTS):
                self._ask(f"{self._number}-{count}")
        except Exception as failure:  # noqa: BLE001  the test tells of it
            self.failure = failure
        finally:
            self._connection.close()

    def _ask(self, reason):
        job = f"job-{self._random.randrange(JOBS)}"
        method = self._random.choice(["job.pause", "job.resume"])
        asked_at = time.monotonic()
        params = {"job_id": job, "reason": reason, "key": reason}
        repeated = False
        while self._random.random() < LOST:
            repeated = True
            self._connection.send(method, **params)
            self._connection.close()
            self._connection = self._daemon.connect()
        try:
            reply, code = self._connection.rpc(method, **params), None
            status, event = reply["status"], reply["event"]
        except Refused as refused:
            status, event, code = refused.status, None, refused.code
        told_at = time.monotonic()
        self.took.append(told_at - asked_at)
        self.told[job].append(
            {
                "method": method,
                "reason": reason,
                "wait": False,
                "repeated": repeated,
                "asked_at": asked_at,
                "told_at": told_at,
                "code": code,
                "status": status,
                "event": event,
            }
        )


def test_replies_to_many_clients_have_one_order_with_lost_replies_and_repeated_keys(daemon, ledger):
    seed = int(os.environ.get("STORM_SEED", random.SystemRandom().randrange(10**6)))
    print(f"STORM_SEED={seed}")
    daemon.gate(1)
    for number in range(JOBS):
        daemon.submit(score(f"job-{number}", [gated(1)], instrument_config={"timeout_seconds": "2h"}))
    ledger.wait_for("start 1", times=min(JOBS, 16))
    idle = [daemon.connect() for _ in range(IDLE)]
    began = time.monotonic()
    askers = [Asker(daemon, number, seed) for number in range(CLIENTS)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    took = time.monotonic() - began
    assert [asker.failure for asker in askers] == [None] * CLIENTS
    for connection in idle:
        assert connection.rpc("daemon.hello")["ready"]
        connection.close()
    journal = defaultdict(list)
    for event in daemon.journal():
        journal[event["job_id"]].append(event)
    for job in journal:
        check([answer for asker in askers for answer in asker.told[job]], journal[job])
    times = sorted(one for asker in askers for one in asker.took)
    print(
        f"{len(times)} requests on {IDLE + CLIENTS} connections in {took:.0f} s; "
        f"p50 {times[len(times) // 2] * 1000:.1f} ms, p99 {times[len(times) * 99 // 100] * 1000:.1f} ms"
    )
