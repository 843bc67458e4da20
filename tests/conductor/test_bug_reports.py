"""`mzt bug-report`: one file with what a report needs, and no secrets."""

import json
import stat
import subprocess
import sys

import pytest
from kit import zygote
from kit.daemon import score

ASKED = "mzt: to write this to 'solo-bug-report.txt' without being asked, add -y\n  mzt bug-report solo -y\n"
GIVEN = "very-secret-9f81"
OF_THE_SHELL = "also-secret-77aa"
OTHERS = [
    {"level": "info", "job": "solo", "message": "of this job"},
    {"level": "info", "job": "other", "message": "of another"},
    {"level": "info", "message": "of none"},
    {"level": "error", "message": "an error of none"},
]


@pytest.fixture
def mzt(house, tmp_path):
    """The command, in a directory of its own, whose user's home is the daemon's."""
    (house.home / "marianned.log").write_text("".join(f"{json.dumps(line)}\n" for line in OTHERS))
    environment = house.environment | {
        "HOME": str(house.home),
        "STATE_DIRECTORY": str(house.home),
        "SLACK_TOKEN": OF_THE_SHELL,
    }

    def run(*arguments, code=0):
        done = zygote.run(
            [sys.executable, "-m", "marianne_cli", "bug-report", *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def failed(daemon):
    body = 'echo "with $API_KEY"; echo told >&2; exit 3'
    daemon.submit(
        score("solo", [body], retry={"max_retries": 0}),
        env={"API_KEY": GIVEN},
        reason=f"now with {OF_THE_SHELL}",
    )
    daemon.wait_for("solo", "failed")
    return daemon


def parts(text):
    return [line.split(":")[0][3:] for line in text.splitlines() if line.startswith("== ")]


def test_it_takes_what_is_known_of_the_job_masked_and_for_its_owner_alone(failed, mzt, tmp_path):
    said = json.loads(mzt("solo", "-y", "-j").stdout)
    file = tmp_path / "solo-bug-report.txt"
    text = file.read_text()
    names = ["versions", "doctor", "daemon", "job", "why", "journal", "log"]
    assert [part["name"] for part in said["parts"]] == parts(text) == names
    assert all(part["lines"] for part in said["parts"])
    assert (said["file"], said["bytes"]) == (str(file), file.stat().st_size)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert GIVEN not in text
    assert OF_THE_SHELL not in text
    assert "now with ***" in text
    assert str(failed.home) not in text
    assert '"~/solo.yaml"' in text
    assert '"exit_code": 3' in text
    assert "echo told" not in text  # the score stays at home
    log = text.partition("== log: ")[2].splitlines()[1:]
    assert [json.loads(line)["message"] for line in log] == ["of this job", "an error of none"]


def test_it_asks_and_overwrites_nothing(failed, mzt, tmp_path):
    refused = mzt("solo", code=2)
    assert refused.stderr.endswith(ASKED)
    assert "  journal " in refused.stderr
    assert not (tmp_path / "solo-bug-report.txt").exists()
    (tmp_path / "mine.txt").write_text("mine")
    mzt("solo", "mine.txt", "-y", code=2)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    mzt("nobody", "-y", code=4)


def test_without_a_daemon_it_takes_the_rest(house, mzt, tmp_path):
    mzt("solo", "-y")
    text = (tmp_path / "solo-bug-report.txt").read_text()
    assert parts(text) == ["versions", "doctor", "daemon", "log"]
    assert "of this job" in text
