"""What tabs cost: bytes to a browser, memory for one that does not read, connections for many."""

import asyncio
import json
import re
import socket
import threading
import zlib
from pathlib import Path

from kit.daemon import DEADLINE
from served_page import answer

from marianne_cli.web import live, tabs
from marianne_cli.web.tabs import rest_after

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


def test_a_browser_is_told_the_same_in_a_fraction_of_the_bytes(daemon, start):
    page = start()
    for number in range(20):
        daemon.submit(WIDE.format(name=f"packed-{number}"), before="1.all")
        daemon.wait_for(f"packed-{number}", "paused")
    cookie = page.enter()
    tabs = [Tab(page, cookie), Tab(page, cookie, packed=True)]
    told = [json.loads(tab.until(b'{"jobs":')[6:])["jobs"] for tab in tabs]
    known = [{row["job_name"]: row for row in rows} for rows in told]
    assert known[0] == known[1]
    assert tabs[1].lines.came * 5 < tabs[1].read
    for tab in tabs:
        tab.close()


def test_the_more_rows_change_the_less_often_they_are_told():
    assert [rest_after(rows) for rows in (0, 1, 40, 100, 200, 10_000)] == [1.0, 1.0, 1.0, 2.5, 5.0, 5.0]


def test_a_tab_that_was_too_slow_for_the_journal_is_told_that_some_of_it_is_missing():
    asyncio.run(slow_for_the_journal())


async def slow_for_the_journal():
    known = live.Live(None, lambda: None)
    tab = tabs.Tab(known, None, read_only=True)
    came, told = asyncio.Queue(), []

    async def send(data):
        kinds = [line[7:] for line in data.splitlines() if line.startswith(b"event: ")]
        told.extend(json.loads(line[6:]) for line in data.splitlines() if b'"events":' in line)
        for kind in kinds:
            came.put_nowait(kind)

    async def until(kind):
        while await came.get() != kind:
            pass

    async with known.watched("a") as kept, asyncio.TaskGroup() as tasks:
        kept.problem = {"message": "it is not read here", "hints": []}
        tasks.create_task(tab.run(send))
        await until(b"hello")
        tab.watch(tabs.Watch(tab.name, job="a", journal=True))
        await until(b"job")
        for number in (1, live.EVENTS_MOST + 2):
            for event in range(len(kept.events) + 1, number + 1):
                kept.heard({"event": event})
            tab.changed()
            await until(b"events")
        tab.end()
    assert [(one["gap"], len(one["events"])) for one in told] == [(False, 1), (True, live.EVENTS_MOST)]
