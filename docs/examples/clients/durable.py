"""Give a job a new score and follow it to its end, over restarts of the daemon: Python alone.

The change has a key: it is repeated until it is answered, and takes effect once. The events are asked for
after the last one seen: none is missed, none comes twice.
"""

import json
import os
import socket
import sys
import time
import uuid
from pathlib import Path

job, score = sys.argv[1], Path(sys.argv[2])
state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")


def place():
    return os.environ.get("MARIANNE_SOCKET") or json.loads((state / "marianne/lock").read_text())["socket"]


def messages(method, params):
    """Ask on a connection of its own; yield all that comes, the reply first."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place())
        with connection.makefile("rw") as lines:
            lines.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
            lines.flush()
            yield from map(json.loads, lines)


def tried(method, params):
    """As `messages`, but for a daemon that is away: then it is asked again."""
    while True:
        try:
            for message in messages(method, params):
                yield sys.exit(message["error"]["message"]) if "error" in message else message
        except (OSError, ValueError):  # it is away; its lock file or its last line may be cut short
            pass
        time.sleep(0.2)


change = {"job_id": job, "text": score.read_text(), "directory": str(score.resolve().parent), "resume": True}
change["key"] = str(uuid.uuid4())
done = next(tried("job.modify", change))["result"]
print(done["message"], flush=True)

params = {"job_id": job, "after": done["event"]}
for message in tried("events.subscribe", params):
    if message.get("method") == "stream.item":
        event = message["params"]["item"]
        params["after"] = event["event"]
        print(event["event"], event["type"], event["text"], flush=True)
        if event["type"] in ("job.completed", "job.failed", "job.cancelled"):
            break
