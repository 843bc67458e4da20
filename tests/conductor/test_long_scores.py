"""A score that would take without end is refused within its limit, and others are answered meanwhile as at rest."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.daemon import Refused, plain, score

from marianned import workers

LIMIT = 1.0
TEMPLATES = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'a' | center(1900000000) }}",
]
WORDS = {
    f"'/bad.yaml' can't be checked: it {words}" for words in ("takes over 1 s", "needs over 2 GiB of memory")
}


def refusal(daemon, template):
    """Have a score with this template validated, and refused; return the words."""
    text = score("bad", ["true"], prompt={"template": template})
    with pytest.raises(Refused) as refused:
        daemon.rpc("score.validate", text=text, file="/bad.yaml", directory="/", submit_directory="/")
    return refused.value.message


def seconds(daemon, job):
    before = time.monotonic()
    daemon.status(job)
    return time.monotonic() - before


def test_scores_that_take_long_are_refused_and_others_are_answered_meanwhile(daemon, monkeypatch):
    monkeypatch.setattr(workers, "LIMIT_SECONDS", LIMIT)
    daemon.submit(score("good", [plain(1)]))
    daemon.wait_for("good", "ended")
    at_rest = statistics.median(seconds(daemon, "good") for _ in range(20))
    with ThreadPoolExecutor(len(TEMPLATES)) as pool:
        waiting = [pool.submit(refusal, daemon, text) for text in TEMPLATES]
        meanwhile = [seconds(daemon, "good")]
        while not all(future.done() for future in waiting):
            meanwhile.append(seconds(daemon, "good"))
            time.sleep(0.05)  # between two looks, not for anything
    assert {future.result() for future in waiting} <= WORDS
    assert statistics.median(meanwhile) < max(0.05, 20 * at_rest)
