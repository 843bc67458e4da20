"""What is given as environment is nowhere to be read: not in the log, not in the journal, not in a reply.

That no secret of any test is: kit/secrets.py looks after each daemon.
"""

import json
import sqlite3

import pytest
from kit.daemon import score
from kit.repository import git, make_repository
from kit.secrets import MARK, leaks, secret

pytestmark = pytest.mark.both

SECRET = secret("hunter2")


def test_a_secret_of_the_environment_is_in_no_log_event_or_reply(house):
    house.environment["OWN_API_TOKEN"] = "own-" + SECRET
    house.start()
    house.submit(score("solo", ["test -n $DEPLOY_KEY"]), env={"DEPLOY_KEY": SECRET})
    house.wait_for("solo", "completed")
    replies = [
        house.journal(),
        house.rpc("job.status", job_id="solo", sheets="1"),
        house.rpc("job.history", job_id="solo"),
        house.rpc("job.list"),
        house.rpc("job.revisions", job_id="solo", revision=1),
        house.rpc("job.why", job_id="solo"),
        house.rpc("daemon.status", metrics=True),
    ]
    assert SECRET not in json.dumps(replies)
    house.stop()
    written = (house.state / "marianned.log").read_text()
    assert all(json.loads(line)["message"] for line in written.splitlines())
    assert "has stopped" in written
    assert SECRET not in written + house.log.read_text()
    house.start()


GIVEN = secret("zebra")
OWN = secret("own")
SOON = {"max_retries": 1, "base_delay_seconds": 0.01}


def everything_said(house, job):
    """Return all that the daemon says of a job, but for what its sheets printed."""
    return json.dumps(
        [
            house.journal(),
            house.rpc("job.status", job_id=job, sheets="1"),
            house.rpc("job.history", job_id=job),
            house.rpc("job.list"),
            house.rpc("job.why", job_id=job),
            house.rpc("job.revisions", job_id=job, revision=1),
        ]
    )


def test_what_a_sheet_and_a_check_and_a_hook_print_is_quoted_without_the_secrets(house):
    house.environment["PROVIDER_API_KEY"] = OWN
    house.start()
    says = 'echo "GET https://api/?token=$MYSECRET&k=$PROVIDER_API_KEY" >&2'
    text = score(
        "leaky",
        [says],
        validations=[{"type": "command_succeeds", "command": f"{says}; exit 3"}],
        retry=SOON,
    )
    house.submit(text, env={"MYSECRET": GIVEN})
    house.wait_for("leaky", "failed")
    house.submit(score("bare", [f"{says}; exit 1"], retry=SOON), env={"MYSECRET": GIVEN})
    house.wait_for("bare", "failed")
    hook = [{"type": "run_command", "command": f"{says}; exit 3"}]
    house.submit(score("hooked", ["true"], on_success=hook), env={"MYSECRET": GIVEN})
    house.wait_for("hooked", "completed", "failed")
    for job in ("leaky", "bare", "hooked"):
        said = everything_said(house, job)
        assert GIVEN not in said, said
        assert OWN not in said
        assert "token=***" in said
    house.stop()
    assert GIVEN not in (house.state / "marianned.log").read_text() + house.log.read_text()
    house.start()


def test_a_retry_tells_the_model_no_secret(house):
    house.start()
    place = house.home / ".marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "tee.yaml").write_text(
        "name: tee\nkind: cli\ncli:\n  command: {executable: teller, prompt_via_stdin: true}\n"
        "  output: {format: text}\n"
    )
    house.stop()
    house.install(
        "teller", '#!/bin/sh\ncat >> "$HOME/prompts"\necho "curl: https://x/?token=$MYSECRET" >&2\nexit 1\n'
    )
    house.start()
    text = score("told", ["be brief"], instrument="tee", retry={"max_retries": 1, "base_delay_seconds": 0.01})
    house.submit(text, env={"MYSECRET": GIVEN})
    house.wait_for("told", "failed")
    prompts = (house.home / "prompts").read_text()
    assert "token=***" in prompts
    assert GIVEN not in prompts


def test_checks_skip_commands_and_hooks_get_the_sheets_environment_and_no_more(house):
    house.environment |= {"PROD_DB_PASSWORD": OWN, "ONLY_THIS": "passed-on"}
    place = house.home / ".marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "tight.yaml").write_text(
        "name: tight\nkind: cli\nraw_prompt: true\nscript: shell\ncli:\n"
        "  command: {executable: bash, prompt_via_stdin: false, prompt_flag: -c, required_env: [ONLY_THIS], env: {FROM: profile}}\n"
        "  output: {format: text}\n"
    )
    house.start()
    tell = 'echo "$PROD_DB_PASSWORD/$ONLY_THIS/$FROM/$SET/$GIVEN" >> "$MARIANNE_WORKSPACE/seen"'
    text = score(
        "tight",
        [tell],
        instrument="tight",
        instrument_config={"env": {"SET": "setting"}},
        validations=[{"type": "command_succeeds", "command": tell}],
        sheet={"skip_when_command": {1: {"command": f"{tell}; false"}}},
        on_success=[{"type": "run_command", "command": tell}],
    )
    house.submit(text, env={"GIVEN": "given"})
    house.wait_for("tight", "completed")
    assert (house.home / "tight-work" / "seen").read_text().splitlines() == [
        "/passed-on/profile/setting/given"
    ] * 4


def test_git_runs_no_hook_of_the_repository_and_knows_no_secret(house):
    house.environment["PROD_DB_PASSWORD"] = OWN
    house.start()
    repository = house.home / "repository"
    repository.mkdir()
    make_repository(repository)
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\nenv > "$HOME/hook-ran"\n')
    hook.chmod(0o755)
    git(
        repository,
        "config",
        "filter.told.smudge",
        f"tee {house.home}/filter-saw > /dev/null; env > {house.home}/filter-ran",
    )
    (repository / ".gitattributes").write_text("* filter=told\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-q", "-m", "filtered")
    text = score("isolated", ["true"], isolation={"enabled": True}, workspace=str(repository))
    house.submit(text)
    house.wait_for("isolated", "completed")
    assert not (house.home / "hook-ran").exists()
    assert "PROD_DB_PASSWORD" not in (house.home / "filter-ran").read_text()


def test_the_look_for_secrets_finds_one_wherever_it_may_not_stand(tmp_path):
    (tmp_path / "daemon.log").write_text(f"a line with {GIVEN}\n")
    attempt = tmp_path / "state" / "1-1"
    attempt.mkdir(parents=True)
    for name in ("prompt", "spec.json", "stdout"):
        (attempt / name).write_text(GIVEN)
    (tmp_path / "a-work").mkdir()
    (tmp_path / "a-work" / "own").write_text(MARK)
    with sqlite3.connect(tmp_path / "state" / "marianne.db") as database:
        for table in ("runs", "events"):
            database.execute(f"CREATE TABLE {table} (env, text)")
            database.execute(f"INSERT INTO {table} VALUES (?, ?)", (json.dumps({"A": GIVEN}), "fine"))
    database.close()
    assert leaks(tmp_path) == ["daemon.log", "state/1-1/prompt", "state/marianne.db: events.env"]
