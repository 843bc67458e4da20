"""Requests from inside an attempt are known as such; by default a sheet may look, pause its own job and submit."""

import json

import pytest
from kit.daemon import gated, score

TELL = (
    "python3 - \"$MARIANNE_SOCKET\" {method} '{params}' > \"$HOME/said-{name}\" 2>&1 <<'END'\n{client}\nEND\n"
)
CLIENT = """
import json, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": sys.argv[2], "params": json.loads(sys.argv[3])}).encode() + b"\\n")
print(line.makefile().readline(), end="")
"""


def ask(name, method, **params):
    return TELL.format(method=method, params=json.dumps(params), name=name, client=CLIENT)


def said(daemon, name):
    return json.loads((daemon.home / f"said-{name}").read_text())


def code(daemon, name):
    told = said(daemon, name)
    return told["error"]["data"]["error_code"] if "error" in told else "done"


@pytest.fixture
def other(daemon, ledger):
    daemon.gate("other")
    daemon.submit(score("other", [gated("other")]))
    ledger.wait_for("start other")
    return "other"


REFUSED = {
    "resume": ("job.resume", {"job_id": "evil"}),
    "cancel": ("job.cancel", {"job_id": "other"}),
    "pause-other": ("job.pause", {"job_id": "other"}),
    "pause-now": ("job.pause", {"job_id": "evil", "now": True}),
    "modify": ("job.modify", {"job_id": "evil", "text": "x", "directory": "/"}),
    "remove": ("job.remove", {"job_id": "other"}),
    "limits": ("instrument.clear_limits", {}),
    "backup": ("backup.write", {"file": "/nowhere/x"}),
    "stop": ("daemon.stop", {}),
    "check": ("instrument.check", {}),
}
ALLOWED = {"status": ("job.status", {"job_id": "other"}), "pause": ("job.pause", {"job_id": "evil"})}


def test_a_sheet_asks_and_history_says_which(daemon, other):
    body = "".join(ask(name, method, **params) for name, (method, params) in {**REFUSED, **ALLOWED}.items())
    daemon.submit(score("evil", [body, "true"]))
    daemon.wait_for("evil", "held", "ended")
    codes = {name: code(daemon, name) for name in (*REFUSED, *ALLOWED)}
    wrong = [name for name in REFUSED if codes[name] not in ("E509", None)] + [
        name for name in ALLOWED if codes[name] != "done"
    ]
    assert not wrong, {name: said(daemon, name) for name in wrong}
    assert codes["resume"] == codes["cancel"] == codes["stop"] == "E509"
    assert "security.sheets_may" in said(daemon, "resume")["error"]["message"]
    status = daemon.status("evil")
    assert status["status"] == "paused"
    assert status["holds"][0]["owner"]["inside"] == "sheet 1 of evil"
    assert daemon.status(other)["status"] == "running"
    asked = [event for event in daemon.journal("evil") if event["caller"] and event["caller"]["inside"]]
    assert {event["caller"]["inside"] for event in asked} == {"sheet 1 of evil"}
    daemon.rpc("job.resume", job_id="evil")
    daemon.wait_for("evil", "completed")
    daemon.gate("other").open()
