"""The examples that we ship: valid without a warning, and each runs to its end with agents that do as they are told."""

import subprocess
from pathlib import Path

import pytest
from kit.daemon import AGENTS, Daemon

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.yaml"))
VARIABLES = {
    "checks": {"REPOSITORY": "."},
    "release": {"VERSION": "1.4.0"},
}
FILES = {
    "README.md": "# It\n",
    "ISSUE.md": "It is wrong.\n",
    "QUESTION.md": "Is it?\n",
    "TASK.md": "Make it.\n",
    "tests/__init__.py": "",
    "tests/test_it.py": "import unittest\n\n\nclass It(unittest.TestCase):\n    def test_it(self):\n        pass\n",
}


@pytest.fixture(scope="module")
def stage():
    """A daemon whose agents are stand-ins, with all examples under way, each in a repository of its own."""
    house = Daemon()
    try:
        tools = house.home / "tools"
        tools.mkdir()
        for name in ("claude", "gemini", "codex"):
            (tools / name).symlink_to(AGENTS / "obliging")
        house.environment["PATH"] = f"{tools}:{house.environment['PATH']}"
        (house.home / ".gitconfig").write_text("[user]\nname = n\nemail = n@example.org\n")
        house.start()
        for example in EXAMPLES:
            submit(house, example)
        yield house
    finally:
        house.close()


def submit(house, example):
    repository = house.home / "repositories" / example.stem
    for name, text in FILES.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *command], cwd=repository, env=house.environment, check=True)
    file = repository / example.name
    file.write_text(example.read_text())
    asked = {
        "text": file.read_text(), "file": str(file), "directory": str(repository),
        "submit_directory": str(repository),
    }  # fmt: skip
    found = house.rpc("score.validate", **asked)
    assert found["problems"] == []
    variables = VARIABLES.get(example.stem, {})
    if "REPOSITORY" in variables:
        variables = {"REPOSITORY": str(repository)}
    house.rpc("job.submit", env=variables, **asked)


def test_there_are_at_least_six():
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_to_its_end(stage, example):
    ended = stage.wait_for(example.stem, "ended")
    problems = [(sheet["sheet"], sheet["error_message"]) for sheet in stage.status(example.stem)["sheets"]]
    assert ended["status"] == "completed", problems
