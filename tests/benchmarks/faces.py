"""What the page and `mzt top` cost while much happens: python tests/benchmarks/faces.py [--json]. A run takes some minutes.

A daemon has 100 jobs. One of them is wide: 1,000 of its sheets have failed, as many run as `--running` says (each a
shell that waits at a gate, with its supervisor), 1,000 wait for one of those; the gate lets two go a second.
The other 99 stand in a sheet each, and are paused and resumed, so that `--events` events a minute pass in all. One
watcher after the other looks on for `--seconds`: nobody (before and after the others), tabs of one `mzt dashboard`,
and `mzt top` on a terminal of its own. Told of each: the daemon's processor time and the dashboard's, as shares of one
core; bytes to the tab, as browsers take them (gzip); memory the dashboard has gained.

Then keys and clicks, each in ms by the clock: on the page in Chromium from the event to the frame that shows what it
did (30 s: it never did), in `mzt top` from the byte on its terminal to the text that comes. Last a restart of the daemon while a tab and
`mzt top` look on: how long until each says so and is live again, and whether what they know then is what the daemon tells.
"""

import argparse
import fcntl
import importlib.util
import json
import os
import pty
import re
import select
import shutil
import statistics
import struct
import sys
import termios
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from kit.daemon import DEADLINE, Daemon
from served_page import Dashboard
from test_costs_of_tabs import Follower, Tab, memory
from wide import spent

JOBS = 99
FAILED = WAITING = 1_000
ENDS_A_SECOND = 2
HANDS = 6
CHROMIUM = shutil.which("chromium")
KEY_ROUNDS = 5
ALONE_SECONDS = 0.5
BODY = f'if [ "$MARIANNE_INSTANCE" -le {FAILED} ]; then exit 3; fi; read _ < "$HOME/gate-wide"'


def scores(running):
    """Yield the scores of all jobs, the wide one first."""
    common = {
        "instrument": "cli",
        "instrument_config": {"timeout_seconds": 7200},
        "retry": {"max_retries": 0},
    }
    yield {
        "name": "wide",
        "workspace": "./wide",
        "sheet": {"size": 1, "total_items": 1, "fan_out": {1: FAILED + running + WAITING}},
        "parallel": {"enabled": True, "max_concurrent": running, "fail_fast": False},
        "prompt": {"template": BODY},
        **common,
    }
    for number in range(JOBS):
        yield {
            "name": f"job-{number}",
            "workspace": f"./job-{number}",
            "sheet": {"size": 1, "total_items": 2},
            "prompt": {"template": 'read _ < "$HOME/gate-others"'},
            **common,
        }


def begin(daemon, running):
    """Start all jobs; returns when the wide one has failed and runs as much as it should."""
    daemon.gate("wide")
    daemon.gate("others")
    for score in scores(running):
        daemon.submit(yaml.safe_dump(score))
    ends = time.monotonic() + 600
    while (counts := Counter(sheets_of(daemon).values()))["running"] < running or counts["failed"] < FAILED:
        assert time.monotonic() < ends, counts
        time.sleep(2)


def sheets_of(daemon):
    """Return the status of each sheet of the wide job."""
    found = {}
    while page := daemon.status("wide", offset=len(found), limit=1000)["sheets"]:
        found |= {one["sheet"]: one["status"] for one in page}
    return found


class Load:
    """What happens: sheets of the wide job end, others are paused and resumed, so many events a minute in all."""

    def __init__(self, daemon, events):
        self._daemon, self._rate = daemon, events / 60
        self._over = threading.Event()

    def __enter__(self):
        self.begun, self.first = time.monotonic(), self._daemon.rpc("daemon.hello")["event"]
        self._threads = [threading.Thread(target=self._end_sheets)]
        self._threads += [threading.Thread(target=self._turn, args=(hand,)) for hand in range(HANDS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()
        seconds = time.monotonic() - self.begun
        self.events_a_minute = round((self._daemon.rpc("daemon.hello")["event"] - self.first) / seconds * 60)

    def _end_sheets(self):
        while not self._over.wait(1 / ENDS_A_SECOND):
            self._daemon.gates["wide"].open()

    def _turn(self, hand):
        """Pause and resume every so many-th job in turn, as long as what this hand has done is behind its share."""
        with self._daemon.connect() as connection:
            done, turn = 0, hand
            while not self._over.is_set():
                due = self.begun + done * HANDS / self._rate
                if self._over.wait(max(0, due - time.monotonic())):
                    return
                for word in ("job.pause", "job.resume"):
                    connection.rpc(word, job_id=f"job-{turn % JOBS}")
                    done += 1
                turn += HANDS


# --- watchers -------------------------------------------------------------------------------------------------


class Terminal:
    """`mzt top` on a terminal of its own; what it draws is read all the time, without its escapes."""

    def __init__(self, daemon, *words, columns=140, rows=45):
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            os.chdir(daemon.home)
            os.execve(
                sys.executable,
                [sys.executable, "-m", "marianne_cli", "top", *words],
                daemon.environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor"},
            )
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._escaped = 0.0

    def until(self, *texts, deadline=DEADLINE):
        """Read until one of the texts comes; return when that was."""
        ends, seen = time.monotonic() + deadline, b""
        while True:
            ready, _, _ = select.select([self._terminal], [], [], max(0, ends - time.monotonic()))
            assert ready, f"{texts} do not come: {seen[-2000:]}"
            seen = seen[-4000:] + os.read(self._terminal, 65536)
            drawn = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen)
            if any(text.encode() in drawn for text in texts):
                return time.monotonic()

    def quiet(self):
        """Read away what has been drawn by now."""
        while select.select([self._terminal], [], [], 0.02)[0]:
            os.read(self._terminal, 65536)

    def press(self, key, text):
        """Return how long after a key a text comes, in ms.

        A key that comes close behind an Esc is another key for a terminal, with Alt.
        """
        if (left := self._escaped + ALONE_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        self._escaped = time.monotonic() if key == "\x1b" else 0.0
        self.quiet()
        begun = time.monotonic()
        os.write(self._terminal, key.encode())
        return (self.until(text) - begun) * 1000

    @contextmanager
    def read_away(self):
        """Read what it draws while the block runs."""
        over = threading.Event()

        def read():
            while not over.is_set():
                if select.select([self._terminal], [], [], 0.1)[0]:
                    os.read(self._terminal, 65536)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self):
        os.write(self._terminal, b"\x03")
        with suppress(OSError):
            while os.read(self._terminal, 65536):
                pass
        os.waitpid(self.pid, 0)
        os.close(self._terminal)


@contextmanager
def stuck(page):
    """Four tabs that look at the wide job and read nothing."""
    cookie = page.enter()
    tabs = [Tab(page, cookie, buffer=2048) for _ in range(4)]
    for tab in tabs:
        asked = {"stream": tab.name, "job": "wide", "journal": True, "log": None}
        assert page.post("/watch", asked, ("Cookie", cookie)).status == 204
    yield None
    for tab in tabs:
        tab.close()


@contextmanager
def follower(page, **watched):
    made = Follower(page, **watched)
    yield made
    made.close()


@contextmanager
def on_a_terminal(daemon):
    made = Terminal(daemon, "wide")
    made.until("running since")
    with made.read_away():
        yield made
    made.close()


@contextmanager
def nobody():
    yield None


def watchers(daemon, page):
    """Return how each kind of watcher is begun and ended."""
    return {
        "nobody": nobody,
        "a tab with the list": lambda: follower(page),
        "a tab with the wide job": lambda: follower(page, job="wide"),
        "a tab with its journal": lambda: follower(page, job="wide", journal=True),
        "four tabs that read nothing": lambda: stuck(page),
        "mzt top with the wide job": lambda: on_a_terminal(daemon),
        "nobody, again": nobody,
    }


def looked_on(daemon, page, watch, seconds, events):
    """Let one watcher look on; return what it cost."""
    held = memory(page.process)
    with watch() as watcher, Load(daemon, events) as load:
        time.sleep(2)  # what it is told at first is no part of what it costs
        of_daemon, of_page, before = spent(daemon.process.pid), spent(page.process.pid), time.monotonic()
        came = watcher.came if isinstance(watcher, Follower) else 0
        own = spent(watcher.pid) if isinstance(watcher, Terminal) else 0
        time.sleep(seconds)
        passed = time.monotonic() - before
        told = {
            "daemon_percent": round((spent(daemon.process.pid) - of_daemon) / passed / 10, 1),
            "page_percent": round((spent(page.process.pid) - of_page) / passed / 10, 1),
            "kb_a_minute": None,
            "gained_kib": memory(page.process) - held,
        }
        if isinstance(watcher, Follower):
            told["kb_a_minute"] = round((watcher.came - came) / passed * 60 / 1000, 1)
        if isinstance(watcher, Terminal):
            told["own_percent"] = round((spent(watcher.pid) - own) / passed / 10, 1)
    told["events_a_minute"] = load.events_a_minute
    return told


def at_rest(page, seconds):
    """Return what a tab with the list and one with the wide job are sent while nothing happens, in KB a minute."""
    with follower(page) as quiet, follower(page, job="wide") as watching:
        time.sleep(2)
        before = quiet.came, watching.came
        time.sleep(seconds)
        return {
            "list_kb_a_minute": round((quiet.came - before[0]) / seconds * 60 / 1000, 2),
            "wide_kb_a_minute": round((watching.came - before[1]) / seconds * 60 / 1000, 2),
        }


# --- keys and clicks ------------------------------------------------------------------------------------------

TIMED = """([kind, wanted]) => {
    window.timed = new Promise(done => addEventListener(kind, event => {
        const look = () => {
            const passed = performance.now() - event.timeStamp;
            return document.querySelector(wanted) || passed > 30_000 ? done(passed) : requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, { once: true, capture: true }));
}"""
KEYS = (
    ("2, all output", "2", '[data-tab="output"][aria-current=page]'),
    ("3, the timeline", "3", '[data-tab="timeline"][aria-current=page]'),
    ("4, the journal", "4", '[data-tab="journal"][aria-current=page]'),
    ("1, the graph, unfolded", "1", '[data-tab="graph"][aria-current=page]'),
    ("?, the keys", "?", "dialog[open]"),
    ("Esc", "Escape", "body:not(:has(dialog))"),
)


def on_the_page(page, told):
    """Press keys and click in Chromium; add the times of each kind to `told`, in ms."""
    from playwright.sync_api import sync_playwright

    def timed(what, wanted, act, kind="keydown"):
        shown.evaluate(TIMED, [kind, wanted])
        act()
        told.setdefault(f"page: {what}", []).append(shown.evaluate("window.timed"))

    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-gpu-watchdog"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        shown = browser.new_page(viewport={"width": 1400, "height": 900})
        shown.set_default_timeout(DEADLINE * 1000)
        shown.goto(page.new_address())
        shown.click('[data-job="wide"]')
        shown.wait_for_selector("[data-stage]")
        timed("a click unfolds all its sheets", "[data-sheet]", lambda: shown.click(".fold"), "click")
        shown.wait_for_selector("[data-sheet]")
        for turn in range(KEY_ROUNDS):
            for what, key, wanted in KEYS:
                timed(what, wanted, lambda key=key: shown.keyboard.press(key))
            sheet = FAILED + 10 * turn + 1
            timed(
                "a click on a sheet",
                f'.panel[aria-label="Sheet {sheet}"]',
                lambda sheet=sheet: shown.click(f'[data-sheet="{sheet}"]'),
                "click",
            )
            timed("Esc closes it", "body:not(:has(.panel))", lambda: shown.keyboard.press("Escape"))
            for word, status in (("pause", "pausing"), ("resume", "running")):
                timed(
                    f"{word}, until it is so",
                    f".job-head .pill.s-{status}",
                    lambda word=word: shown.click(f'.job-head [data-offer="{word}"]'),
                    "click",
                )
        browser.close()


def in_top(daemon, told):
    """Press keys in `mzt top`; add the times of each kind to `told`, in ms."""
    top = Terminal(daemon, "wide")
    try:
        top.until("running since")
        for _ in range(KEY_ROUNDS):
            for what, key, text in (
                ("?, the keys", "?", "The keys of mzt top"),
                ("Esc", "\x1b", "running since"),
                ("2, attempts", "2", "OUTCOME"),
                ("3, why", "3", "failed"),
                ("1, output", "1", "attempt"),
            ):
                told[f"top: {what}"] = [*told.get(f"top: {what}", []), top.press(key, text)]
    finally:
        top.close()


def nothing_to_show_it_in():
    """Return why there is no browser here; null: there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return None if CHROMIUM else "there is no chromium"


# --- a restart ------------------------------------------------------------------------------------------------


def restarted(daemon, page, events):
    """Restart the daemon under a tab and `mzt top`; return how long each took, and what they know wrongly."""
    with follower(page, job="wide", journal=True) as tab:
        top = Terminal(daemon, "wide")
        top.until("running since")
        with Load(daemon, events), top.read_away():
            time.sleep(3)
        begun = time.monotonic()
        daemon.stop()
        stopped = time.monotonic()
        told = {"stop_ms": round((stopped - begun) * 1000)}
        top.until("no daemon answers", "nobody answers")
        told["top_says_so_ms"] = round((time.monotonic() - begun) * 1000)
        tab.until(lambda: not tab.changes[-1][0])
        told["tab_says_so_ms"] = round((tab.changes[-1][1] - begun) * 1000)
        daemon.start()
        ready = time.monotonic()
        told["start_ms"] = round((ready - stopped) * 1000)
        told["top_is_live_ms"] = round((top.until("slots ") - ready) * 1000)
        tab.until(lambda: tab.changes[-1][0])
        told["tab_is_live_ms"] = round((tab.changes[-1][1] - ready) * 1000)
        with Load(daemon, events), top.read_away():
            time.sleep(3)
        top.close()
        time.sleep(6)  # the rarest that rows are told
        told["rows_wrong"], told["sheets_wrong"] = differing(daemon, tab)
        first, last = tab.events[0], tab.events[-1]
        read, after = [], first - 1
        while after < last:
            page_of = daemon.rpc("events.read", job_id="wide", after=after)["events"]
            if not page_of:
                break
            read += [event["event"] for event in page_of if event["event"] <= last]
            after = page_of[-1]["event"]
        told["events_told"], told["events_lost"] = len(tab.events), len(set(read) - set(tab.events))
        told["events_twice"] = len(tab.events) - len(set(tab.events))
        told["gap_was_told"] = tab.gap
    return told


def differing(daemon, tab):
    """Return how many rows and sheets a tab knows otherwise than the daemon tells them."""
    rows = sum(
        (tab.rows.get(name, {}).get("status"), tab.rows.get(name, {}).get("progress"))
        != ((now := daemon.status(name, limit=1))["status"], now["progress"])
        for name in ["wide", *(f"job-{number}" for number in range(JOBS))]
    )
    sheets = sum(tab.sheets.get(number) != status for number, status in sheets_of(daemon).items())
    return rows, sheets


# --- all of it ------------------------------------------------------------------------------------------------


def measure(asked, figures):
    """Fill in the figures, as far as one comes."""
    daemon = Daemon(executed=True)
    daemon.configure(f"max_attempts = {asked.running + JOBS + 10}\n")
    daemon.start()
    try:
        begin(daemon, asked.running)
        page = Dashboard(daemon)
        try:
            figures["at rest"] = at_rest(page, asked.seconds)
            for what, watch in watchers(daemon, page).items():
                figures["watchers"][what] = looked_on(daemon, page, watch, asked.seconds, asked.events)
            figures["restart"] = restarted(daemon, page, asked.events)
            with Load(daemon, asked.events):
                in_top(daemon, figures["keys"])
                if why := nothing_to_show_it_in():
                    figures["left out"].append(f"keys and clicks on the page: {why}")
                else:
                    on_the_page(page, figures["keys"])
        finally:
            page.stop()
    finally:
        daemon.close()


def shown(figures):
    """Print the figures as tables."""
    print(f"{figures['running']} sheets run, {FAILED} have failed; load {figures['load']:.1f} at the start")
    print("at rest:", *(f"{name} {value}" for name, value in figures["at rest"].items()), sep="  ")
    names = ("daemon_percent", "page_percent", "own_percent", "kb_a_minute", "gained_kib", "events_a_minute")
    print("".ljust(30), *(name.rjust(16) for name in names))
    for what, told in figures["watchers"].items():
        print(
            what.ljust(30), *(f"{told.get(name) if told.get(name) is not None else '':>16}" for name in names)
        )
    for what, times in figures["keys"].items():
        print(what.ljust(40), f"median {statistics.median(times):>6.0f} ms   most {max(times):>6.0f} ms")
    for what in figures["left out"]:
        print("left out:", what)
    print("restart:", *(f"{name} {value}" for name, value in figures["restart"].items()), sep="  ")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--running", type=int, default=100)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--events", type=int, default=10_000)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    figures = {"load": os.getloadavg()[0], "running": asked.running, "at rest": {}, "watchers": {}}
    figures |= {"restart": {}, "keys": {}, "left out": []}
    try:
        measure(asked, figures)
    finally:
        if asked.json:
            print(json.dumps(figures, indent=2))
        else:
            shown(figures)


if __name__ == "__main__":
    main()
