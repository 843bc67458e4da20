"""Scores that other people wrote: valid for the daemon, and their first prompt arrives whole."""

import base64
import json
from pathlib import Path

import pytest
from daemon_for_tests import AGENTS

from marianned.instruments.loader import builtin_profiles

SCORES = Path(__file__).parents[2].parent / "shared" / "scores"
NAMES = sorted(path.stem for path in (SCORES / "expected").glob("*.json"))
HTTP = sorted(name for name, profile in builtin_profiles().items() if profile.cli is None)

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not NAMES, reason="the real scores are not beside the project"),
]


@pytest.fixture
def stage(house):
    """A daemon for which every tool, the shell too, is the stand-in that writes down what it gets."""
    tools = house.home / "tools"
    tools.mkdir()
    commands = [profile.cli.command for profile in builtin_profiles().values() if profile.cli is not None]
    for executable in {command.executable for command in commands}:
        (tools / executable).symlink_to(AGENTS / "recorder")
    house.environment["PATH"] = f"{tools}:{house.environment['PATH']}"
    return house.start()


def test_no_score_is_missing():
    assert len(NAMES) == 15


@pytest.mark.parametrize("name", NAMES)
def test_its_first_prompt_arrives_whole(stage, ledger, name):
    path = SCORES / json.loads((SCORES / "expected" / f"{name}.json").read_text())["score"]
    asked = {
        "text": path.read_text(),
        "file": str(path.resolve()),
        "directory": str(path.resolve().parent),
        "submit_directory": str(stage.home),
        "workspace": str(stage.home / "work"),
    }
    found = stage.rpc("score.validate", prompts=True, **asked)
    assert found["valid"], found["problems"]
    assert found["error_count"] == 0
    first = next(sheet for sheet in found["sheets"] if not sheet["dependencies"])
    if first["instrument"] in HTTP:
        pytest.skip("its first sheet is not played by a command")
    number = first["sheet"]
    stage.rpc("job.submit", **asked)
    ledger.wait_for(f"saw {number}")
    seen = json.loads((stage.home / f"seen-{number}.json").read_text())
    given = seen["stdin"] or max(seen["argv"], key=len)
    assert given == first["prompt"]
    read = stage.rpc("log.read", job_id=found["job_name"], sheet=number, attempt=1, stream="prompt")
    assert base64.b64decode(read["data"]).decode() == first["prompt"]
