"""What tabs cost: bytes to a browser, memory for one that does not read, connections for many."""

import asyncio
import json
import re
import socket
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

from kit.daemon import DEADLINE, Daemon, gated, plain, score
from served_page import Dashboard, answer

from marianne_cli.web import live, tabs
from marianne_cli.web.tabs import rows_interval

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


class Unpacked:
    """The lines of a stream out of the gzip that they came in; `came` counts its bytes."""

    def __init__(self, file):
        self._file = file
        self._unzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._lines = []
        self._rest = b""
        self.came = 0

    def readline(self):
        while not self._lines:
            size = int(self._file.readline() or b"0", 16)
            if not size:
                return b""
            *lines, self._rest = (self._rest + self._unzip.decompress(self._file.read(size))).split(b"\n")
            self._file.readline()
            self._lines += [line + b"\n" for line in lines]
            self.came += size
        return self._lines.pop(0)

    def __iter__(self):
        return iter(self.readline, b"")

    def close(self):
        self._file.close()


class Tab:
    """A stream, read by a thread or not at all; `packed`: as browsers take it."""

    def __init__(self, page, cookie, *, buffer=None, packed=False):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", page.port))
        packing = "Accept-Encoding: gzip, deflate, br\r\n" if packed else ""
        self.socket.sendall(
            f"GET /stream HTTP/1.1\r\nHost: {page.host}\r\nCookie: {cookie}\r\n{packing}\r\n".encode()
        )
        self.lines = self.socket.makefile("rb")
        assert b" 200 " in self.lines.readline()
        if packed:
            headers = b"".join(iter(self.lines.readline, b"\r\n"))
            assert b"content-encoding: gzip" in headers
            self.lines = Unpacked(self.lines)
        self.read = 0
        self.name = json.loads(self.until(b'"stream"')[6:])["stream"]

    def until(self, word):
        """Read until a line has the word; return it."""
        while word not in (line := self.lines.readline()):
            assert line, "the stream has ended"
            self.read += len(line)
        self.read += len(line)
        return line

    def hang_up(self):
        """End it for both sides: who reads it comes to its end, in whatever thread."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def close(self):
        """Leave; the last of the two that is closed is what the server sees."""
        self.lines.close()
        self.socket.close()


class Follower:
    """A tab that a thread reads as the page does: what it knows of rows, sheets and events.

    `until` waits for what it knows; `changes` has each change of whether the daemon answers, and when it was told.
    """

    def __init__(self, page, job=None, *, journal=False):
        cookie = page.enter()
        self.tab = Tab(page, cookie, packed=True)
        self.tab.socket.settimeout(None)
        self.rows, self.sheets, self.events = {}, {}, []
        self.changes, self.gap = [], False
        self._news = threading.Condition()
        if job is not None:
            asked = {"stream": self.tab.name, "job": job, "journal": journal, "log": None}
            assert page.post("/watch", asked, ("Cookie", cookie)).status == 204
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.until(lambda: self.rows and (job is None or self.sheets))

    @property
    def came(self):
        """Bytes that have come, packed."""
        return self.tab.lines.came

    def until(self, is_so):
        """Wait until what is known is as it should be."""
        with self._news:
            assert self._news.wait_for(is_so, DEADLINE), (self.rows, self.sheets, self.events, self.changes)

    def _read(self):
        kind = ""
        with suppress(OSError, ValueError):
            for line in self.tab.lines:
                if line.startswith(b"event: "):
                    kind = line[7:-1].decode()
                elif line.startswith(b"data: "):
                    with self._news:
                        self._take(kind, json.loads(line[6:]))
                        self._news.notify_all()

    def _take(self, kind, told):
        if kind == "jobs":
            for name in told["gone"]:
                self.rows.pop(name, None)
            self.rows |= {row["job_name"]: row for row in told["jobs"]}
        elif kind == "sheets":
            self.sheets |= {sheet[0]: sheet[1] for sheet in told["sheets"]}
        elif kind == "events":
            self.gap |= told["gap"]
            self.events += [event["event"] for event in told["events"]]
        elif kind == "daemon" and told["up"] != (self.changes[-1][0] if self.changes else None):
            self.changes.append((told["up"], time.monotonic()))

    def close(self):
        self.tab.hang_up()
        self._thread.join(DEADLINE)
        self.tab.close()


def memory(process):
    """Return what a process holds of its own, in KiB."""
    told = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", told)[1])


def test_a_tab_that_does_not_read_costs_little_and_those_that_read_are_told_little(daemon, start):
    page = start()
    cookie = page.enter()
    quiet, watching = Tab(page, cookie), Tab(page, cookie)
    others = page.enter()
    stuck = [Tab(page, others, buffer=2048) for _ in range(4)]
    daemon.submit(WIDE.format(name="wide-0"), before="1.all")
    daemon.wait_for("wide-0", "paused")
    for tab in (watching, *stuck):
        asked = {"stream": tab.name, "job": "wide-0", "log": None}
        assert page.post("/watch", asked, ("Cookie", others if tab in stuck else cookie)).status == 204
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


def test_a_tab_misses_nothing_over_a_restart_of_the_daemon_and_knows_what_is_so():
    daemon = Daemon()
    try:
        gate = daemon.start().gate("over")
        daemon.submit(score("over", [plain("before"), gated("over"), plain("after"), "exit 3"]))
        daemon.ledger.wait_for("start over")
        page = Dashboard(daemon)
        tab = Follower(page, "over", journal=True)
        try:
            daemon.rpc("job.pause", job_id="over", before="4")
            tab.until(lambda: tab.events)
            daemon.stop()
            tab.until(lambda: [up for up, _ in tab.changes][-2:] == [True, False])
            gate.open()
            daemon.ledger.wait_for("end over")
            daemon.start()
            daemon.wait_for("over", "paused")
            daemon.rpc("job.resume", job_id="over")
            daemon.wait_for("over", "failed")
            journal = [event["event"] for event in daemon.journal("over")]
            tab.until(lambda: tab.events[-1] == journal[-1] and tab.rows["over"]["status"] == "failed")
            assert tab.events == journal[journal.index(tab.events[0]) :], "each once, in order"
            assert not tab.gap
            assert [up for up, _ in tab.changes][-3:] == [True, False, True]
            tab.until(lambda: list(tab.sheets.values()) == daemon.statuses("over"))
        finally:
            tab.close()
            page.stop()
    finally:
        daemon.close()


def test_a_job_that_was_removed_leaves_the_list_of_a_tab(daemon, start):
    page = start()
    daemon.submit(score("soon-gone", ["true"]))
    daemon.wait_for("soon-gone", "completed")
    tab = Follower(page, job="soon-gone")
    try:
        tab.until(lambda: "soon-gone" in tab.rows)
        daemon.rpc("job.remove", job_id="soon-gone")
        tab.until(lambda: "soon-gone" not in tab.rows)
    finally:
        tab.close()


def test_a_fifth_tab_of_a_browser_and_a_ninth_of_all_are_refused_until_one_has_gone(start):
    page = start()
    cookie, other, third = page.enter(), page.enter(), page.enter()
    tabs = [Tab(page, cookie) for _ in range(4)]
    try:
        assert page.request("GET", "/stream", [("Cookie", cookie)]).status == 503
        tabs += [Tab(page, other) for _ in range(4)]
        assert page.request("GET", "/stream", [("Cookie", third)]).status == 503
        assert page.ask(cookie, "daemon.status").status == 200
    finally:
        for tab in tabs:
            tab.close()
    with page.connect() as connected:
        connected.sendall(f"GET / HTTP/1.1\r\nHost: {page.host}\r\nConnection: close\r\n\r\n".encode())
        assert answer(connected).status == 200


def test_a_browser_is_told_the_same_in_a_fraction_of_the_bytes(daemon, start):
    page = start()
    for number in range(20):
        daemon.submit(WIDE.format(name=f"packed-{number}"), before="1.all")
        daemon.wait_for(f"packed-{number}", "paused")
    knows = Follower(page)  # the page may hear of it a moment later
    knows.until(
        lambda: sum(row["status"] == "paused" for name, row in knows.rows.items() if "packed" in name) == 20
    )
    knows.close()
    cookie = page.enter()
    tabs = [Tab(page, cookie), Tab(page, cookie, packed=True)]
    told = [json.loads(tab.until(b'{"jobs":')[6:])["jobs"] for tab in tabs]
    known = [{row["job_name"]: row for row in rows} for rows in told]
    assert known[0] == known[1]
    assert tabs[1].lines.came * 5 < tabs[1].read
    for tab in tabs:
        tab.close()


def test_the_more_rows_change_the_less_often_they_are_told():
    assert [rows_interval(rows) for rows in (0, 1, 40, 100, 200, 10_000)] == [1.0, 1.0, 1.0, 2.5, 5.0, 5.0]


def test_a_tab_that_was_too_slow_for_the_journal_is_told_that_some_of_it_is_missing():
    asyncio.run(slow_for_the_journal())


async def slow_for_the_journal():
    known = live.LiveState(None, lambda: None)
    tab = tabs.Tab(known, None, browser=1, read_only=True)
    came, told = asyncio.Queue(), []

    async def send(data):
        kinds = [line[7:] for line in data.splitlines() if line.startswith(b"event: ")]
        told.extend(json.loads(line[6:]) for line in data.splitlines() if b'"events":' in line)
        for kind in kinds:
            came.put_nowait(kind)

    async def until(kind):
        while await came.get() != kind:
            pass

    async with known.watch_job("a") as kept, asyncio.TaskGroup() as tasks:
        kept.problem = {"message": "it is not read here", "hints": []}
        tasks.create_task(tab.run(send))
        await until(b"hello")
        tab.watch(tabs.TabSubscription(tab.name, job="a", journal=True))
        await until(b"job")
        for number in (1, live.EVENTS_MOST + 2):
            for event in range(len(kept.events) + 1, number + 1):
                kept.add_event({"event": event})
            tab.wake()
            await until(b"events")
        tab.end()
    assert [(one["gap"], len(one["events"])) for one in told] == [(False, 1), (True, live.EVENTS_MOST)]
