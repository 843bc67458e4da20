"""job.pause: at the next boundary, once, durably."""

import contextlib
import shutil
import subprocess

import pytest
from kit.daemon import gated, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def three(name="trio"):
    return score(name, [gated(1), plain(2), plain(3)])


def test_pause_with_wait_returns_when_the_sheet_in_flight_has_ended_and_starts_none(daemon, ledger):
    daemon.gate(1)
    daemon.submit(three())
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = waiting.send("job.pause", job_id="trio", wait=True, timeout=30, reason="deploy first")
        pausing = daemon.event("trio", "job.pausing")
        assert ledger.lines() == ["start 1"]
        assert daemon.statuses("trio") == ["running", "pending", "pending"]
        daemon.gate(1).open()
        reply = waiting.reply(asked)
    assert (reply["status"], reply["acknowledged"]) == ("paused", True)
    assert reply["event"] > pausing["event"]
    assert ledger.lines() == ["start 1", "end 1"]
    assert daemon.statuses("trio") == ["completed", "pending", "pending"]
    assert reply["holds"][0]["reason"] == "deploy first"
    assert reply["safe_to"] == {"edit_files": True, "stop_daemon": True, "switch_off": True}
    resumed = daemon.rpc("job.resume", job_id="trio", wait=True)
    assert resumed["acknowledged"]
    assert daemon.wait_for("trio", "ended")["status"] == "completed"
    ledger.once(1, 2, 3)


def test_a_fan_out_paused_in_flight_lets_all_eight_end_and_starts_no_dependent(daemon, ledger):
    for sheet in range(1, 9):
        daemon.gate(sheet)
    daemon.submit(
        score(
            "fan",
            [gated(sheet) for sheet in range(1, 9)] + [plain(9)],
            sheet={"total_items": 2, "fan_out": {1: 8}, "dependencies": {2: [1]}},
            parallel={"enabled": True, "max_concurrent": 8},
        )
    )
    for sheet in range(1, 9):
        ledger.wait_for(f"start {sheet}")
    assert len(daemon.rpc("job.pause", job_id="fan")["in_flight"]) == 8
    for sheet in range(1, 9):
        daemon.gate(sheet).open()
    reply = daemon.wait_for("fan", "paused")
    assert reply["progress"]["completed"] == 8
    ledger.once(*range(1, 9))
    daemon.rpc("job.resume", job_id="fan")
    assert daemon.wait_for("fan", "ended")["status"] == "completed"
    ledger.once(*range(1, 10))


LINE = b'{"jsonrpc":"2.0","id":1,"method":"job.pause","params":{"job_id":"trio","wait":true,"timeout":30}}\n'


@pytest.mark.parametrize("carrier", ["socket", "nc -N -U {}", "socat -t 90 - UNIX-CONNECT:{}"])
def test_one_printed_line_pauses_a_job(daemon, ledger, carrier):
    program = carrier.split()[0]
    if program != "socket" and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    daemon.gate(1)
    daemon.submit(three())
    ledger.wait_for("start 1")
    with contextlib.ExitStack() as stack:
        if program == "socket":
            connection = stack.enter_context(daemon.connect())
            connection.raw(LINE)
            connection.socket.shutdown(1)
        else:
            client = stack.enter_context(
                subprocess.Popen(
                    carrier.format(daemon.socket).split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
        if program != "socket":
            client.stdin.write(LINE)
            client.stdin.close()
        daemon.event("trio", "job.pausing")
        daemon.gate(1).open()
        said = connection._lines.read() if program == "socket" else client.stdout.read()
    assert said.count(b"\n") == 1
    assert b'"status":"paused"' in said
    assert daemon.status("trio")["status"] == "paused"
