"""A subscriber that is killed again and again, over restarts of the daemon: nothing missing, nothing twice.

MARIANNE_SUBSCRIBER=10000 lets so many events pass, over 100 kills.
"""

import json
import os
import random
import subprocess
import sys
import threading
from contextlib import suppress

from kit import zygote
from kit.daemon import gated, score

EVENTS = int(os.environ.get("MARIANNE_SUBSCRIBER", "80"))
KILLS = 100 if EVENTS > 1_000 else 4
RESTARTS = 5 if EVENTS > 1_000 else 1


class Changes(threading.Thread):
    """Pauses and resumes a job on and on, each change an event; a daemon that is away is asked again."""

    def __init__(self, daemon):
        super().__init__()
        self._daemon = daemon
        self.done = threading.Event()

    def run(self):
        while not self.done.is_set():
            with suppress(OSError), self._daemon.connect() as connection:
                while not self.done.is_set():
                    connection.rpc("job.pause", job_id="solo")
                    connection.rpc("job.resume", job_id="solo")


def listen(daemon, after, most):
    """Read up to `most` events after a number with a program that is then killed; return what it had told."""
    command = [sys.executable, "-m", "marianne_cli", "events", "-F", "--json", "--after", str(after)]
    with zygote.Popen(
        command, env=daemon.environment, cwd=daemon.home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as listening:
        told = [json.loads(listening.stdout.readline()) for _ in range(most)]
        listening.kill()
        told += [json.loads(line) for line in listening.stdout if line.endswith(b"\n")]
    return told


def test_a_subscriber_that_is_killed_and_comes_back_has_each_event_once(daemon, ledger):
    seed = int(os.environ.get("STORM_SEED", random.SystemRandom().randrange(10**6)))
    print(f"STORM_SEED={seed}")
    chance = random.Random(seed)
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    changing = Changes(daemon)
    changing.start()
    seen, round_ = [], 0
    try:
        while len(seen) < EVENTS or round_ < KILLS:
            seen += listen(daemon, len(seen), chance.randint(1, 2 * EVENTS // KILLS))
            round_ += 1
            if round_ % (KILLS // RESTARTS) == 0 and round_ <= KILLS:
                daemon.kill()
                daemon.start()
    finally:
        changing.done.set()
        changing.join()
    assert [event["event"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen == [event | {"schema": 1} for event in daemon.journal()[: len(seen)]]
    print(f"{len(seen)} events, {round_} kills of the subscriber, {RESTARTS} of the daemon")
