"""A daemon of an earlier release, as far as it is on record: what it takes, and what it answered then."""

import json
import socket
import threading
from contextlib import suppress


class Replaying:
    """Answers at `path` what the file `conversation` has for a method.

    `takes` has the params of each method of that release; others are refused, as it refused them. What it
    takes and the conversation has not is in `unanswered`.
    """

    def __init__(self, path, conversation, takes):
        self.path = str(path)
        self.unanswered = []
        self._takes = json.loads(takes.read_text())
        self._replies = {}
        for line in conversation.read_text().splitlines():
            step = json.loads(line)
            if "result" in step["message"]:
                self._replies.setdefault(step["method"], step["message"]["result"])
        self._lines = []
        self._threads = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()

    def __enter__(self):
        self._begin(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)

    def _begin(self, work, *given):
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self._lines.append(line)
                self._begin(self._serve, line)

    def _serve(self, line):
        rest = b""
        with line, suppress(OSError):
            while data := line.recv(1 << 20):
                *texts, rest = (rest + data).split(b"\n")
                told = [self._told(json.loads(text)) for text in texts]
                told.sort(
                    key=lambda one: "result" in one
                )  # what it does not know it refuses before it greets
                line.sendall(b"".join(json.dumps(one).encode() + b"\n" for one in told))

    def _told(self, asked):
        return {"jsonrpc": "2.0", "id": asked["id"], **self._answer(asked["method"], asked["params"])}

    def _answer(self, method, params):
        if method not in self._takes:
            return _refused(-32601, f"no method '{method}'; did you mean 'job.status'?", "mzt rpc")
        for name in params.keys() - set(self._takes[method]):
            said = f"params.{name}: {method} takes no such name"
            return _refused(-32602, said, f"mzt rpc {method} --schema")
        if method not in self._replies:
            self.unanswered.append(method)
            return _refused(-32603, "nothing of that is on record", "mzt doctor")
        return {"result": self._replies[method]}


def _refused(code, message, hint):
    return {"error": {"code": code, "message": message, "data": {"error_code": "E510", "hints": [hint]}}}
