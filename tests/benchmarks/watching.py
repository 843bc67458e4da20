"""What it costs to be watched: python tests/benchmarks/watching.py [--sheets N] [--json]. Processor time, in one run.

A job of many sheets, 16 at once, each of which prints four lines in two seconds, runs once for each kind of
watcher, and then one whose sheets do nothing, so that events come as fast as they can. Watchers are tabs of one
`mzt dashboard`: with the list, with the job, and one with the job that reads nothing. What is told of each: the
daemon's time and the dashboard's, as shares of one core while the job ran and a sheet; bytes to the tab and
events a minute; memory that the dashboard has gained. Other work on the machine makes the job slower, and with
it the shares smaller; what a sheet costs it moves least.
"""

import argparse
import json
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from kit.daemon import Daemon
from served_page import Dashboard
from test_costs_of_tabs import Tab, memory
from wide import spent

PRINTING = "for i in 1 2 3 4; do echo line $i; sleep 0.5; done"
WATCHERS = ("nobody", "a tab with the list", "a tab with the job", "a tab that reads nothing")


def score(name, sheets, command):
    return yaml.safe_dump(
        {
            "name": name,
            "workspace": f"./{name}",
            "instrument": "cli",
            "sheet": {"size": 1, "total_items": 1, "fan_out": {1: sheets}},
            "parallel": {"enabled": True, "max_concurrent": 16},
            "retry": {"max_retries": 0},
            "prompt": {"template": command},
        }
    )


class Watching:
    """One watcher, from its beginning to its end."""

    def __init__(self, page, kind, job):
        self.read = 0
        self._tab = self._reader = None
        if kind == "nobody":
            return
        cookie = page.enter()
        self._tab = Tab(page, cookie, buffer=2048 if kind == WATCHERS[3] else None)
        if kind != WATCHERS[1]:
            asked = {"stream": self._tab.name, "job": job, "log": None}
            assert page.post("/watch", asked, ("Cookie", cookie)).status == 204
        if kind != WATCHERS[3]:
            self._tab.socket.settimeout(None)
            self._reader = threading.Thread(target=self._follow, daemon=True)
            self._reader.start()

    def _follow(self):
        with suppress(OSError, ValueError):
            for line in self._tab.lines:
                self.read += len(line)

    def close(self):
        if self._tab is not None:
            self._tab.hang_up()
            if self._reader is not None:
                self._reader.join()
            self._tab.close()


def measured(daemon, page, kind, name, sheets, command):
    """Run a job under a watcher; return what it cost."""
    daemon.submit(score(name, sheets, command), before="1.all")
    daemon.wait_for(name, "paused")
    watching = Watching(page, kind, name)
    of_daemon, of_page = daemon.process.pid, page.process.pid
    held = memory(page.process)
    event = daemon.rpc("daemon.hello")["event"]
    before, read = (time.monotonic(), spent(of_daemon), spent(of_page)), watching.read
    daemon.rpc("job.resume", job_id=name)
    daemon.wait_for(name, "completed", deadline=3600)
    seconds = time.monotonic() - before[0]
    told = {
        "daemon_percent": round((spent(of_daemon) - before[1]) / seconds / 10, 1),
        "daemon_ms_a_sheet": round((spent(of_daemon) - before[1]) / sheets, 2),
        "page_percent": round((spent(of_page) - before[2]) / seconds / 10, 1),
        "kb_a_minute": round((watching.read - read) / seconds * 60 / 1000),
        "events_a_minute": round((daemon.rpc("daemon.hello")["event"] - event) / seconds * 60),
        "page_gained_kib": memory(page.process) - held,
    }
    watching.close()
    return told


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--sheets", type=int, default=160)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    daemon = Daemon(executed=True).start()
    figures = {}
    try:
        page = Dashboard(daemon)
        try:
            for what, command in (("printing", PRINTING), ("at once", "true")):
                for kind in WATCHERS:
                    name = re.sub(r"\W", "-", f"{what}-{kind}")
                    figures[f"{what}, {kind}"] = measured(daemon, page, kind, name, asked.sheets, command)
        finally:
            page.stop()
    finally:
        daemon.close()
    if asked.json:
        print(json.dumps(figures, indent=2))
        return
    names = list(next(iter(figures.values())))
    print("".ljust(38), *(name.rjust(18) for name in names))
    for what, told in figures.items():
        print(what.ljust(38), *(f"{told[name]:>18}" for name in names))


if __name__ == "__main__":
    main()
