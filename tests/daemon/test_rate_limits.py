"""A rate limit is met once and waited for by all jobs of that account; others go on, and time or hand ends it."""

import shutil
import subprocess

import pytest
import yaml
from kit.daemon import AGENTS, score

LATER = ("unshare", "--time", "--boottime", "120")
"""Runs a command two minutes ahead on the clock of this boot."""
REFUSAL = "API Error: status 429, too many requests; retry-after: 2\n"


def profile(name, **more):
    """Return the text of a profile that calls the stand-in by this name."""
    command = {"executable": str(AGENTS / "moody"), "subcommand": name}
    errors = {"rate_limit_patterns": ["too many requests"], "auth_error_patterns": ["invalid api key"]}
    told = {"name": name, "kind": "cli", "cli": {"command": command, "errors": errors}}
    return yaml.safe_dump(told | more)


@pytest.fixture
def stage(house):
    """A daemon that knows the instruments `one` and `two`."""
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "one.yaml").write_text(profile("one", credentials=["ONE_API_KEY"], login="one login"))
    (place / "two.yaml").write_text(profile("two"))
    return house.start()


def asking(job, *instruments, **more):
    """Return a score whose sheets ask these instruments in turn, without a single retry."""
    named = dict(enumerate(instruments, 1))
    return score(job, [f"sheet {n}" for n in named], sheet={"per_sheet_instruments": named}, **more)


def limited(stage, *jobs):
    """Let the account `one` meet a limit in the first of these jobs, while the others want it too."""
    mood = stage.home / "mood-one"
    mood.write_text(REFUSAL)
    for job in jobs:
        stage.submit(asking(job, "one", "two"))
        if job == jobs[0]:
            stage.event(job, "limit.met")
    return mood


def tries(ledger, name):
    return [line for line in ledger.lines() if line.startswith(f"try {name} ")]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*LATER, "true"], capture_output=True, check=False).returncode != 0,
    reason="no time namespace can be made here",
)
def test_a_limit_outlives_the_daemon_and_ends_by_itself_one_sheet_first(stage, ledger):
    mood = limited(stage, "a", "b", "c")
    stage.kill()
    stage.start()
    assert stage.status("c")["waiting"][0]["waiting_for"] == "rate_limit"
    assert stage.rpc("daemon.status")["rate_limits"][0]["waiting"] == 3
    stage.kill()
    mood.unlink()
    stage.start(*LATER)
    for job in ("a", "b", "c"):
        assert stage.wait_for(job, "ended")["status"] == "completed"
    events = [
        e for e in stage.journal() if e["type"] in ("limit.lifted", "attempt.started", "sheet.completed")
    ]
    since = [event["type"] for event in events if event["sheet"] in (None, 1)]
    assert since[:4] == ["attempt.started", "attempt.started", "limit.lifted", "sheet.completed"], since
    assert len(tries(ledger, "one")) == 4
