"""A message goes where it was meant to go, as text, and its secrets with it and nowhere else."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.tables import each

from marianned.notifications import Undelivered, send
from marianned.protocol import Event
from marianned.score.expanded import Notification

TEXT = "sheet 1: <!channel> approve: <https://evil.example/login|open the pull request> & go"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.heard.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815  the standard library's name

    def log_message(self, *_):
        pass


@contextmanager
def listening(status=200, location=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.heard, server.status, server.location = [], status, location
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def event():
    fields = dict.fromkeys(Event.__struct_fields__)
    given = {
        "event": 1,
        "recorded_at": "2026-01-01T00:00:00.000Z",
        "type": "job.failed",
        "job_id": "a",
        "text": TEXT,
    }
    return Event(**fields | given)


@each("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status):
    with listening() as other, listening(status, f"{other.url}/stolen") as server:
        headers = {"Authorization": "Bearer ${HOOK_TOKEN}", "X-Api-Key": "${HOOK_TOKEN}"}
        wanted = Notification(
            type="webhook", on_events=(), url=f"{server.url}/told", headers=headers, timeout_seconds=10
        )
        with pytest.raises(Undelivered) as refused:
            send(wanted, event(), b"{}", {"HOOK_TOKEN": "hook-secret-42"})
        assert not refused.value.again
        assert len(server.heard) == 1
        assert other.heard == []


def test_slack_gets_text_and_no_markup():
    with listening() as server:
        wanted = Notification(type="slack", on_events=(), url=server.url, timeout_seconds=10)
        send(wanted, event(), b"{}", {})
        told = json.loads(server.heard[0][2])["text"]
    assert "<" not in told
    assert ">" not in told
    assert "&lt;!channel&gt;" in told
    assert "&amp; go" in told
