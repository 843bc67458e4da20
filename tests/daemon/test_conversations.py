"""Conversations as they were recorded with each release still work: no key is gone, no type another.

MARIANNE_RECORD=1 writes the present one anew; those of releases stay as they are (tests/conversations/record.py).
"""

import json
import os
from pathlib import Path

import pytest
import yaml
from kit.daemon import DEADLINE, plain, score

from marianned.protocol import METHODS, PROTOCOL

DIRECTORY = Path(__file__).parents[1] / "conversations"
PRESENT = DIRECTORY / "present.jsonl"
FILES = sorted(DIRECTORY.glob("*.jsonl"))
SAME = {
    "status",
    "error_code",
    "code",
    "type",
    "reached",
    "then",
    "stream",
    "reason",
    "action",
    "valid",
    "method",
}
"""Keys whose values are words of the protocol; of the others the type must be the same."""
SCORE = score("talk", [plain(1), plain(2), plain(3)])
OTHER = score("talk", [plain(1), plain(2), "echo three"])

FILED = {"text": SCORE, "directory": "HOME", "file": "HOME/talk.yaml", "submit_directory": "HOME"}
JOB = {"job_id": "talk"}
ASKED = [
    ("daemon.hello", {"name": "recorded", "protocol": PROTOCOL}),
    ("score.validate", FILED | {"explain": True}),
    (
        "job.submit",
        FILED | {"before": "2", "key": "one", "reason": "why not", "env": {"A": "1"}, "umask": 18},
    ),
    ("job.wait", JOB | {"words": ["paused"], "timeout": DEADLINE}),
    (
        "job.submit",
        FILED | {"before": "2", "key": "one", "reason": "why not", "env": {"A": "1"}, "umask": 18},
    ),
    ("job.status", JOB | {"sheets": "1", "offset": 0, "limit": 10}),
    ("job.graph", JOB),
    ("job.list", {"runs": True, "statuses": ["held"], "limit": 10}),
    ("job.why", JOB),
    ("job.pause", JOB | {"wait": True, "timeout": 5, "reason": "lunch", "key": "two"}),
    ("job.modify", JOB | {"text": OTHER, "directory": "HOME", "plan": True}),
    ("job.modify", JOB | {"text": OTHER, "directory": "HOME", "expect": 1, "key": "three"}),
    ("job.revisions", JOB | {"revision": 1}),
    ("log.read", JOB | {"sheet": 1, "stream": "stdout", "offset": 0, "limit": 100}),
    ("log.search", JOB | {"sheet": 1, "text": "start"}),
    ("log.follow", JOB | {"sheet": 1, "offset": 0}),
    ("job.pause", JOB | {"clear": True}),
    ("job.resume", JOB | {"wait": True, "timeout": DEADLINE}),
    ("job.wait", JOB | {"words": ["ended"], "after": 1, "timeout": DEADLINE}),
    ("job.history", JOB | {"limit": 3}),
    ("job.attempts", JOB | {"limit": 3}),
    ("events.read", {"after": 0, "limit": 2}),
    ("events.subscribe", {"after": 0, "job_id": "talk"}),
    ("stream.cancel", {"stream": 2}),
    ("job.pause", JOB),
    ("job.pause", {"job_id": "nobody"}),
    ("job.pause", {"job": "talk"}),
    ("job.explode", {}),
    ("job.resume", JOB | {"from": "3", "plan": True}),
    ("job.retry", JOB),
    ("job.cancel", JOB | {"wait": True}),
    ("job.remove", JOB | {"key": "four"}),
    ("backup.write", {"file": "HOME/copy.db"}),
    ("instrument.list", {}),
    ("instrument.check", {"name": "cli"}),
    ("instrument.clear_limits", {}),
    ("daemon.reload", {}),
    ("daemon.status", {}),
    ("daemon.stop", {"mode": "stay"}),
]


def placed(value, home):
    return json.loads(json.dumps(value).replace("HOME", str(home)))


def converse(daemon, asked):
    """Ask one after the other on one connection; return each reply, and the first item of what is a stream."""
    told = []
    with daemon.connect() as line:
        for method, params in asked:
            identity = line.send(method, **placed(params, daemon.home))
            message = line.message()
            while message.get("id") != identity:
                message = line.message()
            item = None
            if method in {"log.follow", "events.subscribe"}:
                item = line.message()
            told.append({"method": method, "params": params, "message": message, "item": item})
    return told


def lacks(recorded, now, place=""):
    """Yield what a recorded value has that the present one has not."""
    if recorded is None or (now is None and place.rpartition(".")[2] not in SAME):
        return
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key, value in recorded.items():
            if key not in now:
                yield f"{place}.{key} is gone"
            else:
                yield from lacks(value, now[key], f"{place}.{key}")
    elif isinstance(recorded, list) and isinstance(now, list):
        for one, other in zip(recorded[:1], now[:1], strict=False):
            yield from lacks(one, other, f"{place}[]")
    elif kind(recorded) != kind(now) or (place.rpartition(".")[2] in SAME and recorded != now):
        yield f"{place} was {recorded!r}, and is {now!r}"


def kind(value):
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def write(file, told, home):
    """Write a conversation, a step a line; the home is `HOME` in it."""
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told)
    file.write_text(text.replace(str(home), "HOME"))


def test_the_conversation_of_the_present_version_is_recorded(daemon):
    if os.environ.get("MARIANNE_RECORD"):
        (daemon.home / "talk.yaml").write_text(SCORE)
        write(PRESENT, converse(daemon, ASKED), daemon.home)
        return
    asked = {json.loads(line)["method"] for line in PRESENT.read_text().splitlines()}
    assert asked >= set(METHODS)
    assert yaml.safe_load(SCORE)["name"] == "talk"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_conversation_still_works(daemon, file):
    (daemon.home / "talk.yaml").write_text(SCORE)
    steps = [json.loads(line) for line in file.read_text().splitlines()]
    now = converse(daemon, [(step["method"], step["params"]) for step in steps])
    lost = [
        f"{step['method']}: {what}"
        for step, told in zip(steps, now, strict=True)
        for part in ("message", "item")
        for what in lacks(step[part], told[part])
    ]
    assert lost == []
