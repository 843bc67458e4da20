"""Pause a job and wait until it is paused, let it go on, follow its events to its end: Python alone."""

import json
import os
import socket
import sys
from pathlib import Path

job = sys.argv[1]
lock = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "marianne/lock"
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.environ.get("MARIANNE_SOCKET") or json.loads(lock.read_text())["socket"])
    lines = connection.makefile("rw")

    def ask(method, **params):
        lines.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        lines.flush()
        reply = json.loads(lines.readline())
        return reply["result"] if "result" in reply else sys.exit(reply["error"]["message"])

    print(ask("job.pause", job_id=job, wait=True, timeout=30)["message"])
    resumed = ask("job.resume", job_id=job)
    print(resumed["message"])
    ask("events.subscribe", job_id=job, after=resumed["event"])
    for line in lines:
        event = json.loads(line)["params"]["item"]
        print(event["event"], event["type"], event["text"])
        if event["type"] in ("job.completed", "job.failed", "job.cancelled"):
            break
