"""The daemon is killed at random times while jobs are paused, changed, rewound and ended; then the audit.

MARIANNE_KILLS says how often, MARIANNE_KILLS_SEED where it begins.
"""

import os
import random
import signal
import threading

import pytest
from audit import audit
from crashing import Crashing
from test_walk import GROUPS

KILLS = int(os.environ.get("MARIANNE_KILLS", "6"))
SEED = int(os.environ.get("MARIANNE_KILLS_SEED", "1"))
MEAN = 1.5
"""Seconds from one kill to the next; now and then much longer, so that a slow machine gets on."""
BEFORE_IT_SERVES = 0.2
"""The share of those kills that fall into a start that are carried out."""
SCENARIOS = sorted({scenario for scenario, _ in GROUPS.values()}, key=lambda scenario: scenario.__name__)


class Killer(threading.Thread):
    """Kills whatever daemon there is, again and again after a random time."""

    def __init__(self, house, chance):
        super().__init__(daemon=True)
        self._house = house
        self._chance = chance
        self._enough = threading.Event()

    def run(self):
        while not self._enough.wait(self._chance.expovariate(1 / MEAN)):
            if self._house.serves or self._chance.random() < BEFORE_IT_SERVES:
                self._house.process.send_signal(signal.SIGKILL)

    def end(self):
        self._enough.set()
        self.join()


@pytest.mark.crash
@pytest.mark.timeout(120 + 10 * KILLS)
def test_killed_at_random_times_it_loses_nothing_and_does_nothing_twice(house):
    chance = random.Random(SEED)
    crashing = Crashing(house, [])
    crashing.start()
    house.may_fall = True
    killer = Killer(house, random.Random(SEED))
    killer.start()
    jobs = 0
    try:
        while crashing.killed < KILLS:
            jobs += 1
            chance.choice(SCENARIOS)(crashing, f"j{jobs}")
    finally:
        killer.end()
    crashing.stands()
    house.stop()
    audit(house, crashing.answered)
    print(f"random kills: {crashing.killed} in {jobs} jobs, seed {SEED}")
