"""A sheet goes on with the next instrument of its chain, once, over a pause and a crash."""

import pytest
import yaml
from kit.daemon import AGENTS, score


def profile(name, executable):
    """Return the text of a profile that calls this executable with its own name."""
    command = {"executable": executable, "subcommand": name}
    errors = {"auth_error_patterns": ["invalid api key"]}
    return yaml.safe_dump({"name": name, "kind": "cli", "cli": {"command": command, "errors": errors}})


@pytest.fixture
def stage(house):
    """A daemon that knows `gone`, which is not installed, and `one` and `two`, which are."""
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "gone.yaml").write_text(profile("gone", str(house.home / "no-such-tool")))
    for name in ("one", "two"):
        (place / f"{name}.yaml").write_text(profile(name, str(AGENTS / "moody")))
    return house.start()


def chained(*names):
    return score("chained", ["who is it?"]).replace(
        "instrument: cli", f"instrument: {names[0]}\ninstrument_fallbacks: {list(names[1:])}"
    )


def played(stage):
    return [(one["instrument"], one["outcome"]) for one in stage.attempts("chained", 1)]


def moves(stage):
    return [event["text"] for event in stage.journal() if event["type"] == "sheet.fallback"]


def test_where_it_has_come_to_outlives_a_pause_and_a_kill(stage, ledger):
    (stage.home / "mood-two").write_text("the first answer is always wrong\n")
    text = chained("gone", "two").replace("max_retries: 0", "max_retries: 1\n  base_delay_seconds: 1")
    stage.submit(text)
    ledger.wait_for("try two chained")
    stage.rpc("job.pause", job_id="chained", wait=True)
    stage.kill()
    (stage.home / "mood-two").unlink()
    stage.start()
    assert stage.status("chained")["status"] == "paused"
    assert stage.status("chained")["sheets"][0]["instrument"] == "two"
    stage.rpc("job.resume", job_id="chained")
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    assert played(stage) == [("gone", "failed"), ("two", "failed"), ("two", "succeeded")]
    assert len(moves(stage)) == 1
