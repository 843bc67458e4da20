"""The example clients pause with wait, resume and follow events, each in less than 30 lines."""

import shutil
import subprocess
import sys

import pages
import pytest
from kit.daemon import DEADLINE, Daemon, gated, score

CLIENTS = pages.ROOT / "docs" / "examples" / "clients"
COMMANDS = {
    "nc.sh": ["sh"],
    "socat.sh": ["sh"],
    "client.py": [sys.executable],
    "client.js": ["node"],
}
NEEDS = {"nc.sh": "nc", "socat.sh": "socat", "client.py": "sh", "client.js": "node"}


@pytest.fixture(scope="module")
def served():
    made = Daemon().start()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_client_pauses_with_wait_resumes_and_follows(served, name):
    if shutil.which(NEEDS[name]) is None:
        pytest.skip(f"'{NEEDS[name]}' is not installed")
    assert len((CLIENTS / name).read_text().splitlines()) < 30
    job = name.replace(".", "-")
    gates = [served.gate(f"{job}-{sheet}") for sheet in (1, 2)]
    served.submit(score(job, [gated(f"{job}-1"), gated(f"{job}-2")]))
    served.ledger.wait_for(f"start {job}-1")
    with subprocess.Popen(
        [*COMMANDS[name], str(CLIENTS / name), job],
        env=without_a_place(served) | {"TMPDIR": str(served.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        served.event(job, "job.pausing")
        gates[0].open()
        served.event(job, "job.running", after=served.event(job, "job.paused")["event"])
        gates[1].open()
        told, complaints = client.communicate(timeout=DEADLINE)
    assert client.returncode == 0, complaints
    assert f"{job}: paused; 1 of 2 sheets done" in told
    assert "goes on with sheet 2" in told
    assert told.rindex("job.completed") > told.index("sheet.completed")


def without_a_place(served):
    """Return the environment of somebody who has set no MARIANNE_SOCKET: the lock file says where it is."""
    return {name: value for name, value in served.environment.items() if name != "MARIANNE_SOCKET"}


def test_the_durable_client_modifies_once_and_follows_over_a_restart(served):
    gates = [served.gate(f"durable-{sheet}") for sheet in (1, 2)]
    served.submit(score("durable", [gated("durable-1"), gated("durable-2")]))
    served.ledger.wait_for("start durable-1")
    (served.home / "new.yaml").write_text(score("durable", [gated("durable-1"), gated("durable-2"), "true"]))
    with subprocess.Popen(
        [sys.executable, str(CLIENTS / "durable.py"), "durable", "new.yaml"],
        cwd=served.home,
        env=without_a_place(served),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        first = client.stdout.readline()
        gates[0].open()
        served.ledger.wait_for("start durable-2")
        served.stop()
        served.start()
        gates[1].open()
        told, complaints = client.communicate(timeout=DEADLINE)
    assert client.returncode == 0, complaints
    assert first.startswith("durable: ")
    numbers = [int(line.split()[0]) for line in told.splitlines()]
    journal = [event for event in served.journal("durable") if event["event"] >= numbers[0]]
    assert numbers == [event["event"] for event in journal]
    assert [
        revision["revision"] for revision in served.rpc("job.revisions", job_id="durable")["revisions"]
    ] == [1, 2]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_client_fails_where_there_is_no_such_job(served, name):
    if shutil.which(NEEDS[name]) is None:
        pytest.skip(f"'{NEEDS[name]}' is not installed")
    done = subprocess.run(
        [*COMMANDS[name], str(CLIENTS / name), "nobody"],
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert "no job 'nobody'" in done.stdout + done.stderr


def test_every_example_client_is_tested_and_shown():
    assert {file.name for file in CLIENTS.iterdir()} == {*COMMANDS, "durable.py"}
    page = pages.text_of("docs/how-to/script-it.md")
    assert all(f"../examples/clients/{name}" in page for name in (*COMMANDS, "durable.py"))
