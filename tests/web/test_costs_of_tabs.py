"""What tabs cost: bytes to a browser, memory for one that does not read, connections for many."""

import json
import re
import socket
import threading
from pathlib import Path

from kit.daemon import DEADLINE
from served_page import answer

SHEETS = 120
WIDE = f"""\
name: {{name}}
workspace: ./wide-work
instrument: cli
sheet: {{{{size: 1, total_items: 1, fan_out: {{{{1: {SHEETS}}}}}}}}}
parallel: {{{{enabled: true, max_concurrent: 16}}}}
retry: {{{{max_retries: 0}}}}
prompt: {{{{template: "true"}}}}
"""


class Tab:
    """A stream, read by a thread or not at all."""

    def __init__(self, page, cookie, *, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", page.port))
        self.socket.sendall(f"GET /stream HTTP/1.1\r\nHost: {page.host}\r\nCookie: {cookie}\r\n\r\n".encode())
        self.lines = self.socket.makefile("rb")
        assert b" 200 " in self.lines.readline()
        self.read = 0
        self.name = json.loads(self.until(b'"stream"')[6:])["stream"]

    def until(self, word):
        """Read until a line has the word; return it."""
        while word not in (line := self.lines.readline()):
            assert line, "the stream has ended"
            self.read += len(line)
        self.read += len(line)
        return line

    def close(self):
        self.lines.close()
        self.socket.close()


def memory(process):
    """Return what a process holds of its own, in KiB."""
    told = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", told)[1])


def test_a_tab_that_does_not_read_costs_little_and_those_that_read_are_told_little(daemon, start):
    page = start()
    cookie = page.enter()
    quiet, watching = Tab(page, cookie), Tab(page, cookie)
    stuck = [Tab(page, cookie, buffer=2048) for _ in range(4)]
    daemon.submit(WIDE.format(name="wide-0"), before="1.all")
    daemon.wait_for("wide-0", "paused")
    for tab in (watching, *stuck):
        asked = {"stream": tab.name, "job": "wide-0", "log": None}
        assert page.post("/watch", asked, ("Cookie", cookie)).status == 204
    watching.until(b'"wide-0","sheets"')
    before = memory(page.process)
    quiet.until(b'"wide-0"')
    quiet.read = watching.read = 0
    ended = {}

    def reads(tab, word):
        ended[tab] = json.loads(tab.until(word)[6:])

    readers = [
        threading.Thread(target=reads, args=(quiet, b'"job_name":"wide-0","run":1,"status":"completed"')),
        threading.Thread(target=reads, args=(watching, b'"status":"completed","message"')),
    ]
    for reader in readers:
        reader.start()
    daemon.rpc("job.resume", job_id="wide-0")
    daemon.wait_for("wide-0", "completed")
    for reader in readers:
        reader.join(DEADLINE)
    assert set(ended) == {quiet, watching}
    assert quiet.read < 60_000, "a change of the list is told once a second"
    assert watching.read < SHEETS * 1_000 + 60_000
    assert memory(page.process) - before < 8 * 1024
    assert page.ask(cookie, "job.status", job_id="wide-0", limit=1).status == 200
    for tab in (quiet, watching, *stuck):
        tab.close()


def test_a_ninth_tab_is_refused_until_one_has_gone(start):
    page = start()
    cookie = page.enter()
    tabs = [Tab(page, cookie) for _ in range(8)]
    try:
        assert page.request("GET", "/stream", [("Cookie", cookie)]).status == 503
        assert page.ask(cookie, "daemon.status").status == 200
    finally:
        for tab in tabs:
            tab.close()
    with page.connect() as connected:
        connected.sendall(f"GET / HTTP/1.1\r\nHost: {page.host}\r\nConnection: close\r\n\r\n".encode())
        assert answer(connected).status == 200
