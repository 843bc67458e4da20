"""A client of today with a daemon of an earlier release.

It asks nothing that the daemon does not know unless that is what was asked for, and shows what it tells.
"""

import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from kit.replaying import Replaying

from marianne_cli.client import connect, session
from marianne_cli.main import run
from marianned import __version__
from marianned.errors import BadRequest
from marianned.protocol import METHODS

DIRECTORY = Path(__file__).parents[1] / "conversations"
RELEASES = [file.name.removesuffix(".params.json") for file in sorted(DIRECTORY.glob("*.params.json"))]
STEPS = {
    release: [json.loads(line) for line in (DIRECTORY / f"{release}.jsonl").read_text().splitlines()]
    for release in RELEASES
}
REPLIES = [
    pytest.param(step["method"], step["message"]["result"], id=f"{release}-{number}-{step['method']}")
    for release, steps in STEPS.items()
    for number, step in enumerate(steps)
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
    "pause talk",
    "pause talk --wait --reason lunch",
    "resume talk",
    "resume talk --wait",
    "resume talk --from 2 --plan",
    "resume talk -c FILE",
    "wait talk",
    "remove talk -y",
    "remove talk --older-than 2d -y",
    "logs talk",
    "validate FILE",
    "version",
    "rpc daemon.status",
    "instruments",
    "instruments check cli",
    "clear-rate-limits",
]

LATER = {
    "0.1.0": ["retry talk", "report", "resume talk --only 2", "run FILE --label x"],
}
"""What asks for something that a release did not have."""


@pytest.fixture(params=RELEASES)
def release(request):
    return request.param


@pytest.fixture
def daemon(tmp_path, release):
    takes = DIRECTORY / f"{release}.params.json"
    with Replaying(tmp_path / "s", DIRECTORY / f"{release}.jsonl", takes) as made:
        yield made


@pytest.mark.parametrize(("method", "result"), REPLIES)
def test_a_reply_of_a_release_is_one_of_today(method, result):
    msgspec.convert(result, METHODS[method].result)


@pytest.mark.parametrize("shown", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_shows_what_it_tells(daemon, release, tmp_path, capsys, command, shown):
    asked = _arguments(daemon, release, tmp_path, command)
    assert run([*asked, *shown]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert said.out or said.err or command == "logs talk"
    if shown and not command.startswith("rpc"):
        assert all(json.loads(line).get("success", True) for line in said.out.splitlines())
    assert daemon.unanswered == []


@pytest.mark.parametrize(
    ("release", "command"),
    [(name, one) for name, those in LATER.items() for one in those],
    indirect=["release"],
)
def test_what_came_later_is_refused_with_what_to_type(daemon, release, tmp_path, capsys, command):
    assert run(_arguments(daemon, release, tmp_path, command)) == 4
    said = capsys.readouterr().err
    apart = f"the daemon that runs is older than this program: {release}, not {__version__}"
    assert f"; {apart} (E510)\n  mzt restart\n" in said
    assert "mzt rpc" not in said


def test_the_python_client_hears_the_same(daemon, release):
    if "job.retry" in json.loads((DIRECTORY / f"{release}.params.json").read_text()):
        return
    with connect(daemon.path) as client, pytest.raises(BadRequest) as refused:
        client.retry("talk")
    assert str(refused.value) == refused.value.message
    assert str(refused.value).endswith(f"is older than this program: {release}, not {__version__}")
    assert refused.value.hints == ["mzt restart"]


def test_a_connection_that_only_looks_is_refused_by_one_that_knows_none(daemon, release):
    if "read_only" in json.loads((DIRECTORY / f"{release}.params.json").read_text())["daemon.hello"]:
        return
    with (
        connect(daemon.path, read_only=True) as client,
        pytest.raises(BadRequest, match=r"the daemon that runs is older than this program") as refused,
    ):
        client.daemon_status()
    assert refused.value.hints == ["mzt restart"]


def _arguments(daemon, release, tmp_path, command):
    (tmp_path / "score.yaml").write_text(STEPS[release][1]["params"]["text"])
    arguments = [str(tmp_path / "score.yaml") if word == "FILE" else word for word in command.split()]
    return ["--socket", daemon.path, *arguments]


def test_the_python_client_reads_it(daemon, release):
    with connect(daemon.path) as client:
        assert client.status("talk").status == "paused"
        assert client.daemon_status().version == release


def test_what_says_nothing_is_the_default_of_each_param():
    """What `mzt` leaves out, since an older daemon may not know of it, is what is meant without it."""
    other = set()
    for name, method in METHODS.items():
        for field in msgspec.structs.fields(method.params):
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            for nothing in (None, False, {}, []):
                with suppress(msgspec.ValidationError):
                    msgspec.convert(nothing, field.type)
                    if (type(default), default) != (type(nothing), nothing):
                        other.add((name, field.encode_name))
    assert {param for _, param in other} == set(session.MEANT_WHEN_EMPTY)
