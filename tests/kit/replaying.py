"""A daemon of an earlier release, as far as a recorded conversation goes: a method is answered as it was then."""

import json
import socket
import threading
from contextlib import suppress


class Replaying:
    """Answers at `path` what the file `conversation` has; what it has not is an internal error there."""

    def __init__(self, path, conversation):
        self.path = str(path)
        self.unanswered = []
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
        with line, line.makefile("rwb") as stream, suppress(OSError):
            for text in stream:
                asked = json.loads(text)
                reply = self._replies.get(asked["method"])
                if reply is None:
                    self.unanswered.append(asked["method"])
                    error = {"code": -32601, "message": "unknown", "data": {"error_code": "E510"}}
                    told = {"jsonrpc": "2.0", "id": asked["id"], "error": error}
                else:
                    told = {"jsonrpc": "2.0", "id": asked["id"], "result": reply}
                stream.write(json.dumps(told).encode() + b"\n")
                stream.flush()
