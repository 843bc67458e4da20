"""What requests cost as things grow: python tests/benchmarks/growth.py [--short] [--json] [--svg FILE].

Medians in one run.

Jobs stored: one job runs in a daemon; while that is stopped, its rows are copied under other names, until as
many are stored as a column says. Jobs that rest: the same, with one that is paused before its first sheet, and so
stays in memory with all its copies. Sheets of a job: requests about one with so many. Subscribers: a pause or
resume until each of so many has its event. Beside them stands `daemon.hello`, the least that a request can cost.
The slope is the power of the count by which a figure grows from the first column to the last: 1 is linear.
docs/slopes.svg is the picture of it.
"""

import argparse
import itertools
import json
import math
import sqlite3
import statistics
import sys
import time
from contextlib import ExitStack, closing, suppress
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit.daemon import DEADLINE, Connection, Daemon, Refused, gated, plain, score

SHORT = "--short" in sys.argv
STORED = (1, 3) if SHORT else (1, 100, 10_000)
SUBSCRIBERS = (1, 2) if SHORT else (1, 10, 100)
ROUNDS = 1 if SHORT else 21
ROUNDS_OF_TURNS = 2 if SHORT else 20
"""Even: a pause is followed by its resume, and the next count of subscribers begins with a job that runs."""
ROUNDS_OF_LARGE = 1 if SHORT else 5
SETTLING_SECONDS, SETTLED_NANOSECONDS = 0.2, 5_000_000
TABLES = ("runs", "revisions", "sheets", "breakpoints", "holds", "attempts", "summaries", "events")
LOOKS = {
    "daemon.hello": ("daemon.hello", {}),
    "job.list, a page of 100": ("job.list", {"limit": 100}),
    "job.list, a page of 1,000": ("job.list", {"limit": 1000}),
    "job.list, 100 of all runs": ("job.list", {"runs": True, "limit": 100}),
    "job.list, names": ("job.list", {"names": True}),
    "job.status": ("job.status", {"job_id": "bench"}),
    "a name that no job has": ("job.status", {"job_id": "benhc"}),
    "daemon.status": ("daemon.status", {"metrics": True}),
}


def copy(connection, table, numbers):
    """Put the rows of run 1 into a table once more for each number."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    mine = [dict(zip(columns, row, strict=True)) for row in connection.execute(f"SELECT * FROM {table}")]
    rows = [
        {**row, "run_id": number, "job_name": f"bench-{number}"} | ({"event": None} if "event" in row else {})
        for row in mine
        if row["run_id"] == 1
        for number in numbers
    ]
    values = ", ".join(f":{column}" for column in columns)
    connection.executemany(f"INSERT INTO {table} VALUES ({values})", rows)


def store(daemon, count):
    """Let as many jobs be stored."""
    daemon.stop()
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as connection, connection:
        (last,) = connection.execute("SELECT max(run_id) FROM runs").fetchone()
        for table in TABLES if count > last else ():
            copy(connection, table, range(last + 1, count + 1))
    daemon.start()
    let_settle(daemon)


def let_settle(daemon):
    """Wait until it has looked at all that it found at its start: it uses no processor any more."""
    tasks = Path(f"/proc/{daemon.process.pid}/task")

    def used():
        return sum(int((one / "schedstat").read_text().split()[0]) for one in tasks.iterdir())

    before, now = -math.inf, used()
    while now - before > SETTLED_NANOSECONDS:
        time.sleep(SETTLING_SECONDS)
        before, now = now, used()


def submissions(daemon):
    """Yield one after the other: jobs of new names, each of which stops before its only sheet."""
    place = {"directory": str(daemon.home), "submit_directory": str(daemon.home)}
    for number in itertools.count():
        yield "job.submit", {"text": score(f"new-{number}", [plain(1)]), "before": "1", **place}


def took(connection, look):
    method, params = look
    before = time.perf_counter()
    with suppress(Refused):
        connection.rpc(method, **params)
    return (time.perf_counter() - before) * 1000


def jobs_stored():
    """Time looks and submissions with so many jobs stored."""
    return with_many("completed", LOOKS)


def jobs_that_rest():
    """Time the same where all of them are paused, and so in memory."""
    looks = {name: LOOKS[name] for name in ("daemon.hello", "job.list, a page of 100", "job.status")}
    return with_many("paused", looks, before="1")


def with_many(status, looks, **given):
    figures = {name: {} for name in (*looks, "job.submit")}
    daemon = Daemon(executed=not SHORT).start()
    try:
        daemon.configure("max_queued = 100000\nmin_free_disk = 0\n")
        daemon.submit(score("bench", [plain(1)]), **given)
        daemon.wait_for("bench", status)
        new = submissions(daemon)
        for count in STORED:
            store(daemon, count)
            with Connection(daemon.socket) as connection:
                connection.socket.settimeout(10 * DEADLINE)
                times = {name: [] for name in figures}
                for _ in range(ROUNDS):
                    for name, look in {**looks, "job.submit": next(new)}.items():
                        times[name].append(took(connection, look))
            for name, taken in times.items():
                figures[name][count] = statistics.median(taken)
    finally:
        daemon.close()
    return figures


def sheets_of_a_job():
    """Time requests about a job of so many sheets, of which the first waits at a gate."""
    figures = {"daemon.hello": {}, "job.submit": {}, "job.status": {}, "job.modify, its plan": {}}
    daemon = Daemon(executed=not SHORT).start()
    try:
        daemon.gate(1)
        for count in STORED:
            texts = [score(f"of-{count}", [gated(1), *[f"true {word}"] * (count - 1)]) for word in "ab"]
            place = {"directory": str(daemon.home)}
            modify = {"job_id": f"of-{count}", "text": texts[1], "plan": True, **place}
            looks = {
                "daemon.hello": ("daemon.hello", {}),
                "job.status": ("job.status", {"job_id": f"of-{count}", "limit": 100}),
                "job.modify, its plan": ("job.modify", modify),
            }
            with Connection(daemon.socket) as connection:
                connection.socket.settimeout(10 * DEADLINE)
                submit = ("job.submit", {"text": texts[0], "submit_directory": str(daemon.home), **place})
                figures["job.submit"][count] = took(connection, submit)
                daemon.event(f"of-{count}", "attempt.started")
                for name, look in looks.items():
                    times = [took(connection, look) for _ in range(ROUNDS_OF_LARGE)]
                    figures[name][count] = statistics.median(times)
            daemon.rpc("job.cancel", job_id=f"of-{count}", wait=True, timeout=DEADLINE)
    finally:
        daemon.close()
    return figures


TURNS = (("job.pause", "job.pausing"), ("job.resume", "job.running"))


def subscribers():
    """Time a change until each of so many subscribers has its event."""
    figures = {"a change, until all have its event": {}}
    daemon = Daemon(executed=not SHORT).start()
    try:
        daemon.gate(1)
        daemon.submit(score("bench", [gated(1)]))
        daemon.event("bench", "attempt.started")
        for count in SUBSCRIBERS:
            with ExitStack() as stack, Connection(daemon.socket) as asking:
                lines = [stack.enter_context(Connection(daemon.socket)) for _ in range(count)]
                after = daemon.status("bench")["event"]
                for line in lines:
                    line.rpc("events.subscribe", after=after)
                times = []
                for turn in range(ROUNDS_OF_TURNS):
                    method, kind = TURNS[turn % 2]
                    before = time.perf_counter()
                    asking.rpc(method, job_id="bench")
                    for line in lines:
                        while line.message()["params"]["item"]["type"] != kind:
                            pass
                    times.append((time.perf_counter() - before) * 1000)
            figures["a change, until all have its event"][count] = statistics.median(times)
    finally:
        daemon.close()
    return figures


PARTS = {
    "jobs stored": jobs_stored,
    "jobs that rest": jobs_that_rest,
    "sheets of a job": sheets_of_a_job,
    "subscribers": subscribers,
}


def slope(found):
    """Return the power of the count by which it grows."""
    (first, least), *_, (last, most) = found.items()
    return math.log(most / least) / math.log(last / first)


WIDTH, HEIGHT, LEFT, TOP = 250, 230, 46, 34
COLOURS = ("#4269d0", "#d1701f", "#2f8f6b", "#b0413e", "#8c6bb1", "#7f6f52", "#3aa0b8", "#b5549b")
DECADES = (-2, 4)
"""Of the upright axis: from 10^-2 to 10^4 ms."""


def drawn(figures):
    """Return the picture: a chart for each part, both axes logarithmic."""
    rows = max(map(len, figures.values()))
    width, height = len(figures) * (WIDTH + LEFT + 24), HEIGHT + TOP + 40 + 16 * rows
    parts = [
        f'<g transform="translate({LEFT + at * (WIDTH + LEFT + 24)},{TOP})">{chart(title, found)}</g>'
        for at, (title, found) in enumerate(figures.items())
    ]
    style = "text{font:11px ui-sans-serif,system-ui,sans-serif;fill:#555}.title{font-weight:600}"
    style += ".grid{stroke:#8884;fill:none}polyline{fill:none;stroke-width:2}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="Milliseconds of requests as things grow"><style>{style}</style>{"".join(parts)}</svg>\n'
    )


def chart(title, found):
    low, high = DECADES
    widest = math.log10(max(max(line) for line in found.values()))

    def at(count, value):
        x = math.log10(count) / widest * WIDTH
        y = HEIGHT - (math.log10(value) - low) / (high - low) * HEIGHT
        return f"{x:.1f},{y:.1f}"

    made = f'<text class="title" y="-12">ms by {escape(title)}</text>'
    for decade in range(low, high + 1):
        y = at(1, 10**decade).partition(",")[2]
        made += f'<path class="grid" d="M0,{y}H{WIDTH}"/><text x="-6" y="{y}" dy="4" text-anchor="end">{10**decade:g}</text>'
    for decade in range(round(widest) + 1):
        x = decade / widest * WIDTH
        made += f'<text x="{x:.0f}" y="{HEIGHT + 16}" text-anchor="middle">{10**decade:,}</text>'
    for row, (name, line) in enumerate(found.items()):
        colour = COLOURS[row % len(COLOURS)]
        points = " ".join(at(count, value) for count, value in line.items())
        made += f'<polyline points="{points}" stroke="{colour}"/>'
        y = HEIGHT + 40 + 16 * row
        made += f'<path d="M0,{y}h14" stroke="{colour}" stroke-width="2"/>'
        made += f'<text x="20" y="{y + 4}">{escape(name)}, slope {slope(line):.2f}</text>'
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--short", action="store_true", help="measure next to nothing: for a test of this program"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the figures")
    given = parser.parse_args()
    figures = {title: part() for title, part in PARTS.items()}
    if given.svg:
        given.svg.write_text(drawn(figures))
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    for title, found in figures.items():
        counts = list(next(iter(found.values())))
        print(f"ms by {title}".ljust(34), *(f"{count:>10,}" for count in counts), "  slope")
        for name, line in found.items():
            print(name.ljust(34), *(f"{value:>10.2f}" for value in line.values()), f"{slope(line):>7.2f}")


if __name__ == "__main__":
    main()
