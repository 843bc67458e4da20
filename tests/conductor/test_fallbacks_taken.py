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


def test_over_a_missing_tool_and_refused_credentials_to_one_that_answers(stage, ledger):
    (stage.home / "mood-one").write_text("401: invalid API key\n")
    stage.submit(chained("gone", "one", "two"))
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    assert played(stage) == [("gone", "failed"), ("one", "failed"), ("two", "succeeded")]
    first, second = moves(stage)
    assert first.startswith("sheet 1: goes on with one instead of gone: ")
    assert second.startswith("sheet 1: goes on with two instead of one: ")
    assert stage.status("chained")["sheets"][0]["instrument"] == "two"
    assert [line for line in ledger.lines() if line.startswith("try ")] == [
        "try one chained",
        "try two chained",
    ]


def test_a_limited_sheet_waits_rather_than_moves_to_a_tool_that_is_not_installed(stage, ledger):
    (stage.home / "mood-one").write_text("rate limit reached\n")
    stage.submit(chained("one", "gone"))
    stage.event("chained", "sheet.waiting")
    sheet = stage.status("chained")["sheets"][0]
    assert (sheet["status"], sheet["waiting_for"], sheet["instrument"]) == ("waiting", "rate_limit", "one")
    assert played(stage) == [("one", "rate_limited")]
    assert moves(stage) == []
