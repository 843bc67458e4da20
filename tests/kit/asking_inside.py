"""Requests that a sheet sends from inside, and what it was answered."""

import json

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
