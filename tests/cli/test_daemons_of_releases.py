"""A client of today with a daemon of an earlier release: it shows what that tells, and misses nothing else."""

import json
from pathlib import Path

import msgspec
import pytest
from kit.replaying import Replaying

from marianne_cli.client import connect
from marianne_cli.main import run
from marianned.protocol import METHODS, PROTOCOL

RELEASED = Path(__file__).parents[1] / "conversations" / f"protocol-{PROTOCOL}.jsonl"
STEPS = [json.loads(line) for line in RELEASED.read_text().splitlines()]
REPLIES = [
    pytest.param(step["method"], step["message"]["result"], id=f"{number}-{step['method']}")
    for number, step in enumerate(STEPS)
    if "result" in step["message"]
]
COMMANDS = [
    "status",
    "status talk",
    "status talk 1",
    "status talk -v",
    "list",
    "list --all",
    "why talk",
    "history talk",
    "revisions talk",
    "diff talk",
    "diff talk 1 2",
    "modify talk -c FILE --plan",
    "modify talk -c FILE -r",
    "run FILE",
    "resume talk",
    "remove talk",
    "instruments",
    "instruments check cli",
    "clear-rate-limits",
]


@pytest.fixture
def daemon(tmp_path):
    with Replaying(tmp_path / "s", RELEASED) as made:
        yield made


@pytest.mark.parametrize(("method", "result"), REPLIES)
def test_a_reply_of_a_release_is_one_of_today(method, result):
    msgspec.convert(result, METHODS[method].result)


@pytest.mark.parametrize("shown", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_shows_what_it_tells(daemon, tmp_path, capsys, command, shown):
    (tmp_path / "score.yaml").write_text(STEPS[1]["params"]["text"])
    arguments = [str(tmp_path / "score.yaml") if word == "FILE" else word for word in command.split()]
    assert run(["--socket", daemon.path, *arguments, *shown]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert said.out or said.err
    if shown:
        assert json.loads(said.out)["success"]
    assert daemon.unanswered == []


def test_the_python_client_reads_it(daemon):
    with connect(daemon.path) as client:
        assert client.status("talk").status == "paused"
        assert client.daemon_status().version == "0.1.0"
