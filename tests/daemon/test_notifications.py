"""People are told what a score asks to tell them, behind the commit; whoever does not listen delays nobody."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.daemon import DEADLINE, gated, plain, score
from kit.secrets import MARK, secret

pytestmark = pytest.mark.one_daemon

TOKEN = secret("told")

EVERY = [
    "job_start",
    "sheet_start",
    "sheet_complete",
    "sheet_failed",
    "job_complete",
    "job_failed",
    "job_paused",
]


class Listener(ThreadingHTTPServer):
    """Takes what is posted; answers by the statuses given to it, then with 200."""

    def __init__(self):
        self.heard = queue.SimpleQueue()
        self.statuses = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/told"

    def next(self):
        """Return the next message: its headers, and what its JSON says, no secret."""
        headers, body = self.heard.get(timeout=DEADLINE)
        assert MARK not in json.dumps(body)
        return headers, body


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.put((dict(self.headers), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def listener():
    with Listener() as made:
        serving = threading.Thread(target=made.serve_forever)
        serving.start()
        yield made
        made.shutdown()
        serving.join()


def test_a_webhook_hears_the_whole_life_of_a_job_once_and_with_its_headers(daemon, listener, ledger):
    to = {"url": listener.url, "headers": {"Authorization": "Bearer ${TOLD_TOKEN}"}}
    told = [{"type": "webhook", "on_events": EVERY, "config": to}]
    text = score("told", [plain(1), gated(2), "exit 3"], notifications=told)
    gate = daemon.gate(2)
    daemon.submit(text, env={"TOLD_TOKEN": TOKEN})
    ledger.wait_for("start 2")
    daemon.rpc("job.pause", job_id="told")
    gate.open()
    daemon.wait_for("told", "paused")
    daemon.rpc("job.resume", job_id="told")
    daemon.wait_for("told", "failed")
    heard = [listener.next() for _ in range(9)]
    assert {headers["Authorization"] for headers, _ in heard} == {f"Bearer {TOKEN}"}
    told = sorted((body for _, body in heard), key=lambda body: body["event"])
    assert [(body["type"], body["sheet"]) for body in told] == [
        ("attempt.started", 1),
        ("job.running", None),
        ("sheet.completed", 1),
        ("attempt.started", 2),
        ("sheet.completed", 2),
        ("job.paused", None),
        ("attempt.started", 3),
        ("sheet.failed", 3),
        ("job.failed", None),
    ]
    assert [body for body in told if body["job_id"] != "told"] == []
    journal = {event["event"]: event for event in daemon.journal()}
    assert [journal[body["event"]] for body in told] == told


def test_slack_is_told_a_line_and_a_failure_of_theirs_is_tried_again(daemon, listener):
    listener.statuses += [500, 429]
    to = [{"type": "slack", "config": {"webhook_url_env": "SLACK_URL"}}]
    daemon.submit(score("told", [plain(1)], notifications=to), env={"SLACK_URL": listener.url})
    assert daemon.wait_for("told", "ended")["status"] == "completed"
    bodies = [listener.next()[1] for _ in range(3)]
    assert bodies == [{"text": "Marianne, told: completed"}] * 3


def test_nobody_waits_for_one_who_refuses_is_not_there_or_never_answers(daemon, listener):
    listener.statuses += [404]
    gone = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    silent = f"http://127.0.0.1:{gone.server_port}/x?key=s3cret"
    told = [
        {"type": "webhook", "config": {"url": listener.url}},
        {"type": "webhook", "config": {"url": silent, "timeout": 300}},  # takes connections, reads nothing
        {"type": "webhook", "config": {"url": "file:///etc/passwd"}},
        {"type": "webhook", "config": {"url_env": "NOT_SET"}},
        {"type": "desktop"},
    ]
    with gone:
        daemon.submit(score("told", [plain(1)], notifications=told))
        assert daemon.wait_for("told", "ended")["status"] == "completed"
        listener.next()
        assert daemon.rpc("daemon.hello")["ready"]
        daemon.stop()
    log = daemon.log.read_text()
    assert "s3cret" not in log
    assert listener.heard.empty(), "a refusal is not tried again"
