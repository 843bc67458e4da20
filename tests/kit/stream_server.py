"""A daemon of which only a journal's stream is there, so that a test sees what a client's leaving does to it."""

import contextlib
import json
import select
import socket
import threading

HELLO = {"version": "1.0.2", "protocol": 1, "pid": 812, "features": [], "ready": True, "event": 0}
STALLED_SECONDS = 1.0


class StreamServer:
    """Each subscriber is sent so many items; `left` is set when one goes or cancels its stream.

    `stalled` is set when a subscriber takes no more.
    """

    def __init__(self, path, *, items, stalled=None):
        self.path = str(path)
        self.left = threading.Event()
        self.stalled = stalled or threading.Event()
        self.sent = 0
        self._items = items
        self._threads = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)

    def _start(self, work, *given):
        self._threads.append(threading.Thread(target=work, args=given))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, connection):
        streaming = False
        with connection, contextlib.suppress(OSError):
            for line in connection.makefile("rb"):
                asked = json.loads(line)
                method, identity = asked["method"], asked["id"]
                if method == "daemon.hello":
                    self._reply(connection, identity, HELLO)
                elif method == "events.subscribe":
                    streaming = True
                    self._reply(connection, identity, {"stream": 1, "event": 0})
                    self._start(self._flood, connection)
                elif method == "stream.cancel":
                    self.left.set()
                    self._reply(connection, identity, {"event": 0})
                else:
                    self._reply(connection, identity, {"jobs": [], "event": 0, "total": 0})
        if streaming:
            self.left.set()

    def _reply(self, connection, identity, result):
        connection.sendall(json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}).encode() + b"\n")

    def _flood(self, connection):
        with contextlib.suppress(OSError, ValueError):  # the subscriber has left
            for number in range(1, self._items + 1):
                rest = self._item(number)
                while rest:
                    if not select.select([], [connection], [], STALLED_SECONDS)[1]:
                        self.stalled.set()
                        return
                    with contextlib.suppress(BlockingIOError):
                        count = connection.send(rest, socket.MSG_DONTWAIT)
                        self.sent += count
                        rest = rest[count:]

    def _item(self, number):
        event = {"event": number, "recorded_at": "2026-01-01T00:00:00Z", "type": "job.queued"}
        params = {"stream": 1, "item": {**event, "text": "x" * 200}}
        return json.dumps({"jsonrpc": "2.0", "method": "stream.item", "params": params}).encode() + b"\n"
