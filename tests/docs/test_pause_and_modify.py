"""The reference page of pause and modify: each of its commands, typed as it stands, on a job in its first sheet."""

import json
import subprocess
import sys

import examples
import pages
import pytest
from kit import zygote
from kit.daemon import DEADLINE, gated, plain, score

from marianne_cli.tree.group import mzt

pytestmark = pytest.mark.one_daemon

PAGE = pages.examples(pages.text_of("docs/reference/pause-and-modify.md"))
COMES_TO = {
    "mzt pause my-job": ("paused", [1], 1),
    "mzt pause my-job --wait --timeout 30": ("paused", [1], 1),
    "mzt pause my-job --json": ("paused", [1], 1),
    "mzt pause my-job --force": ("cancelled", [], 1),
    "mzt modify my-job --config updated.yaml": ("paused", [1], 2),
    "mzt modify my-job -c new-config.yaml --resume": ("completed", [1, 2, 3, 4], 2),
    "mzt modify my-job -c updated.yaml -r --wait": ("completed", [1, 2, 3, 4], 2),
}
"""What each comes to: the job's status, the sheets that have run, the revision in force."""

OF_ALL = {"--quiet", "--verbose", "--no-pager", "--help"}
"""Options that every command has, or every one that prints a lot."""


@pytest.fixture
def house(in_turn):
    return in_turn.start()


def typed(house, command):
    _, *words = command.split()
    return zygote.Popen(
        [sys.executable, "-m", "marianne_cli", *words],
        cwd=house.home,
        env=house.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", ["pause", "modify"])
def test_the_page_tells_every_option_of_the_command(name):
    text = pages.text_of("docs/reference/pause-and-modify.md")
    command = mzt.get_command(mzt.make_context("mzt", [], resilient_parsing=True), name)
    section = text.partition(f"## `mzt {name} ")[2].partition("\n## ")[0]
    long = [
        next(word for word in reversed(one.opts) if word.startswith("--"))
        for one in command.params
        if one.opts[0][0] == "-"
    ]
    own = [word for word in long if word not in OF_ALL]
    assert [word for word in own if f"`{word}" not in section] == []


def test_the_page_shows_these_commands():
    assert [example.command for example in PAGE] == list(COMES_TO)


@pytest.mark.parametrize("example", PAGE, ids=[example.command for example in PAGE])
def test_the_command_prints_and_does_what_the_page_says(example, house):
    status, ran, revision = COMES_TO[example.command]
    checked = {"validations": [{"type": "command_succeeds", "command": "true"}]}
    new = score("my-job", [gated(1), plain(2), plain(3), plain(4)], **checked)
    for name in ("updated.yaml", "new-config.yaml"):
        (house.home / name).write_text(new)
    house.gate(1)
    house.submit(score("my-job", [gated(1), plain(2), plain(3)], **checked))
    house.ledger.wait_for("start 1")
    mzt = typed(house, example.command)
    if "--wait" in example.command:
        house.event("my-job", "job.pausing")
        assert mzt.poll() is None
        house.gate(1).open()
    stdout, stderr = mzt.communicate(timeout=DEADLINE)
    assert (mzt.returncode, stderr) == (0, "")
    if "--json" in example.command:
        reply = json.loads(stdout)
        assert (reply["status"], reply["acknowledged"], reply["in_flight"][0]["sheet"]) == (
            "pausing",
            False,
            1,
        )
        assert stdout.startswith(example.output.strip().removesuffix(" …"))
    else:
        assert examples.same(stdout) == examples.same(example.output)
    if "--force" in example.command:
        house.wait_for("my-job", status)  # before it could end by itself
    house.gate(1).open()
    assert house.wait_for("my-job", status)["revision"] == revision
    assert [line for line in house.ledger.lines() if line.startswith("end")] == [
        f"end {sheet}" for sheet in ran
    ]
