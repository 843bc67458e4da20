"""Scores that other people wrote run to their ends, all in one daemon, with agents that do as they are told."""

import base64

import pytest
from kit.daemon import AGENTS, Daemon
from kit.real_scores import MARKS, NAMES, asked, validated

from marianned.instruments.loader import builtin_profiles

HTTP = sorted(name for name, profile in builtin_profiles().items() if profile.cli is None)

pytestmark = MARKS


@pytest.fixture(scope="module")
def stage():
    """A daemon with all of them under way; `validated` holds what it said of each."""
    house = Daemon()
    try:
        tools = house.home / "tools"
        tools.mkdir()
        for name in ("claude", "gemini", "opencode", "bash"):
            (tools / name).symlink_to(AGENTS / "obliging")
        house.environment["PATH"] = f"{tools}:{house.environment['PATH']}"
        house.start()
        house.validated = {name: submit(house, name) for name in NAMES}
        yield house
    finally:
        house.close()


def submit(house, name):
    params = asked(house, name)
    found = validated(house, **params)
    for sheet in found["sheets"]:
        if sheet["raw_prompt"]:
            wanted = house.home / "wanted" / f"{found['job_name']}-{sheet['sheet']}"
            wanted.parent.mkdir(exist_ok=True)
            checks = [
                f"1. the file {check['path']} exists\n" for check in sheet["validations"] if "path" in check
            ]
            wanted.write_text("".join(checks))
    house.rpc("job.submit", **params)
    return found


def test_no_score_is_missing():
    assert len(NAMES) == 15


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_to_its_end(stage, name):
    job = stage.validated[name]["job_name"]
    ended = stage.wait_for(job, "ended")
    sheets = stage.status(job)["sheets"]
    assert ended["status"] == "completed", [(s["sheet"], s["status"], s["error_message"]) for s in sheets]
    assert {sheet["attempt_count"] for sheet in sheets if sheet["status"] == "completed"} == {1}


@pytest.mark.parametrize("name", NAMES)
def test_its_first_prompt_arrives_whole(stage, name):
    found = stage.validated[name]
    first = next(sheet for sheet in found["sheets"] if not sheet["dependencies"])
    assert first["instrument"] not in HTTP
    number = first["sheet"]
    stage.wait_for(found["job_name"], "ended")
    given = (stage.home / "prompts" / f"{found['job_name']}-{number}").read_text()
    assert given == first["prompt"]
    read = stage.rpc("log.read", job_id=found["job_name"], sheet=number, attempt=1, stream="prompt")
    assert base64.b64decode(read["data"]).decode() == first["prompt"]
