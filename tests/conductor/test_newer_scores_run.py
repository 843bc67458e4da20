"""Scores in the manner of today's, in tests/newer_scores, validate and run; agents are stood in for."""

import shutil
from pathlib import Path

import pytest
import yaml
from kit.daemon import AGENTS
from kit.tables import each

SCORES = Path(__file__).parents[1] / "newer_scores"
NAMES = sorted(path.stem for path in SCORES.glob("*.yaml"))
PLAYED = ("claude-code", "gemini-cli", "codex-cli", "opencode", "antigravity", "aider")


def stood_in(name):
    command = {"executable": str(AGENTS / "doing"), "model_flag": "--model"}
    return yaml.safe_dump({"name": name, "kind": "cli", "cli": {"command": command}})


@pytest.fixture
def stage(house):
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    for name in PLAYED:
        (place / f"{name}.yaml").write_text(stood_in(name))
    shutil.copytree(SCORES, house.home / "scores")
    return house.start()


def test_there_are_twenty_two():
    assert len(NAMES) == 22


@each("name", NAMES)
def test_a_newer_score_validates_and_runs(stage, name):
    text = (stage.home / "scores" / f"{name}.yaml").read_text()
    directory = str(stage.home / "scores")
    checked = stage.rpc("score.validate", text=text, directory=directory, submit_directory=directory)
    assert [one for one in checked["problems"] if one["severity"] == "error"] == []
    place = str(stage.home / "workspaces" / name)  # for theirs is in the home of whoever tests
    stage.submit(text, directory=directory, file=f"{directory}/{name}.yaml", workspace=place)
    ended = stage.wait_for(name, "ended")
    assert ended["status"] == "completed"
    assert set(stage.statuses(name)) <= {"completed", "skipped"}
