"""A soak: clients ask for everything while everything is killed. python tests/benchmarks/soak.py --minutes 20.

Each sheet writes its start and its end into a file (O_APPEND), and holds a lock while it lives: the outside ledger.
Each client owns its jobs, so that the order of its own requests is known, and looks at everybody's. Meanwhile the
daemon, supervisors (keeper and runner), workers and checks are killed. At the end the ledger, what the clients saw
and the database are compared (`faults`); any fault is printed, and the exit status is 1.
"""

import argparse
import itertools
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))
from audit import check_ends, check_journal, check_records, check_steps, incarnations, rows
from kit.daemon import Daemon, Refused, environments, kill_all, score

CLIENTS = 4
GIVEN_UP = 120.0
"""Seconds after which a request that no daemon has answered is a fault."""
_BREAKPOINTS_MOST = 20
"""So often a job is resumed at its end: it may pause before each of its sheets."""
REFUSALS = {"E502", "E503", "E504", "E507", "E508", "E511", "E513"}
"""What may be said to a client that asks at random, some of it while a daemon goes away."""
NO_SUCH_SHEET = {"E505", "E510"}
ALSO_REFUSED = dict.fromkeys(("log.read", "job.pause", "job.resume", "job.modify"), NO_SUCH_SHEET) | {
    "job.wait": {"E504", "E513"}
}
"""What some methods may be refused with besides: the sheet is not there, or has no output yet."""
_BODY = (
    'exec 9>>"$HOME/lock-$MARIANNE_JOB-$MARIANNE_RUN-{name}"; '
    'tell() {{ echo "$1 $MARIANNE_JOB@$MARIANNE_RUN $MARIANNE_ATTEMPT_ID $EPOCHREALTIME" >> "$HOME/outside"; }}; '
    "flock -n 9 || tell twice; tell start; sleep {seconds}; tell end"
)
MARK, CHECK = b"MARIANNE_ATTEMPT_ID=", b"-check-"
_CHECK = "sleep 0.{0}; : soaking"


class Line(NamedTuple):
    """A line of the outside ledger; `at` is in seconds of the wall clock."""

    word: str
    run: str
    attempt: str
    at: float


class Look(NamedTuple):
    """What a client was told of a run between two moments."""

    began: float
    ended: float
    run: str
    status: str


class Client:
    """One client: its jobs, what it asked, and the times for which a run was held by it."""

    def __init__(self, soak: "Soak", number: int) -> None:
        self.soak = soak
        self.number = number
        self.chance = random.Random(f"{soak.seed}-{number}")
        self.keys = itertools.count(1)
        self.runs: dict[str, str] = {}
        self.held: list[tuple[str, float, float]] = []
        self.since: dict[str, float] = {}
        self.looks: list[Look] = []
        self.asked: Counter[str] = Counter()
        self.faults: list[str] = []
        self.removed = 0

    def ask(self, method, **params):
        """Ask until somebody answers, under one key; None: it was refused."""
        if method.startswith("job.") and method.split(".")[1] in CHANGES:
            params["key"] = f"c{self.number}-{next(self.keys)}"
        last = time.monotonic() + GIVEN_UP
        while True:
            try:
                answer = self.soak.house.rpc(method, **params)
            except OSError:
                if time.monotonic() > last:
                    self.faults.append(f"nobody answers {method} {params}")
                    return None
                self.soak.up.wait(1)
                time.sleep(0.02)  # between two daemons, or over a broken line
                continue
            except Refused as refused:
                self.asked[f"{method} refused"] += 1
                if refused.code not in REFUSALS | ALSO_REFUSED.get(method, set()):
                    self.faults.append(f"{method} {params}: {refused.code} {refused}")
                return None
            self.asked[method] += 1
            return answer

    def text(self, name):
        """Return a score; some of its sheets are equal, and some have checks."""
        chance = self.chance
        bodies = [
            _BODY.format(name="$MARIANNE_STAGE", seconds=f"0.{chance.choice('0123')}5")
            for _ in range(chance.randint(2, 6))
        ]
        checks = [{"type": "command_succeeds", "command": _CHECK.format(chance.randint(1, 9))}]
        return score(
            name,
            bodies,
            retry={"max_retries": 2, "base_delay_seconds": 0.1},
            parallel={"enabled": True, "max_concurrent": 2},
            validations=checks if chance.random() < 0.5 else [],
        )

    def place(self, name):
        return {"text": self.text(name), "directory": str(self.soak.house.home)}

    def step(self):
        """Ask for one thing."""
        name = f"c{self.number}-{self.chance.randint(1, 2)}"
        deeds = self.DEEDS if name in self.runs else ((Client.run, 1),)
        names, weights = zip(*deeds, strict=True)
        (deed,) = self.chance.choices(names, weights)
        deed(self, name)

    # --- what a client does --------------------------------------------------------------------------

    def lets_go(self, name):
        """From now on, before the request is sent, it may go on."""
        run = self.runs.get(name)
        if run in self.since:
            self.held.append((run, self.since.pop(run), time.time()))

    def run(self, name):
        self.lets_go(name)
        home = str(self.soak.house.home)
        reply = self.ask("job.submit", **self.place(name), submit_directory=home, fresh=True)
        if reply:
            self.runs[name] = f"{name}@{reply['run']}"

    def pause_before(self, name):
        """A breakpoint comes and goes; what is held by hand stays so."""
        self.ask("job.pause", job_id=name, before=str(self.chance.randint(1, 6)))
        if self.chance.random() < 0.5:
            self.ask("job.pause", job_id=name, clear=True)

    def pause_for(self, name):
        self.ask("job.pause", job_id=name, **{"for": 0.5})

    def pause(self, name):
        how = self.chance.choice([{}, {}, {"now": True}, {"deadline": 0.2}])
        reply = self.ask("job.pause", job_id=name, wait=True, timeout=60, **how)
        if reply and reply["status"] == "paused" and reply.get("acknowledged", True):
            self.since.setdefault(self.runs[name], time.time())

    def resume(self, name):
        self.lets_go(name)
        start = {"from": str(self.chance.randint(1, 3))} if self.chance.random() < 0.2 else {}
        self.ask("job.resume", job_id=name, wait=self.chance.random() < 0.5, timeout=60, **start)

    def plan(self, name):
        """Show what would be; nothing comes of it."""
        method, what = self.chance.choice([("job.modify", self.place(name)), ("job.resume", {})])
        self.ask(method, job_id=name, plan=True, **what)

    def modify(self, name):
        on = self.chance.random() < 0.6
        if on:
            self.lets_go(name)
        new = self.chance.choice(
            [self.place(name)] * 4 + [{"revision": 1}, {"rerun": "changed"}, {"rerun": "1"}]
        )
        self.ask("job.modify", job_id=name, **new, resume=on)

    def discard(self, name):
        self.ask("job.modify", job_id=name, discard=True)

    def cancel(self, name):
        self.lets_go(name)
        self.ask("job.cancel", job_id=name, wait=True, timeout=60)

    def remove(self, name):
        """Remove a run that has ended, with what the database said of it looked at before."""
        told = self.ask("job.status", job_id=name)
        if told and told["status"] in ("completed", "cancelled", "failed"):
            self.faults += self.soak.unproven(self.runs[name])
            if self.ask("job.remove", job_id=self.runs[name]):
                self.removed += 1
                del self.runs[name]

    def look(self, name):
        run = self.chance.choice(self.soak.known() or [self.runs[name]])
        began = time.time()
        try:
            told = self.soak.house.rpc("job.status", job_id=run)
        except (OSError, Refused):
            return
        self.asked["job.status"] += 1
        self.looks.append(Look(began, time.time(), run, told["status"]))

    def read(self, name):
        match self.chance.choice(QUESTIONS):
            case "log.read":
                stream = self.chance.choice(["stdout", "stderr", "prompt", "result"])
                self.ask("log.read", job_id=name, sheet=self.chance.randint(1, 3), stream=stream)
            case "job.wait":
                self.ask("job.wait", job_id=name, words=["running", "paused", "ended"], timeout=5)
            case "score.validate":
                home = str(self.soak.house.home)
                self.ask("score.validate", **self.place(name), submit_directory=home, explain=True)
            case "job.why" | "job.history" | "job.revisions" | "job.status" as method:
                self.ask(method, job_id=name)
            case method:
                self.ask(method)

    def backup(self, name):
        file = self.soak.house.home / f"backup-{self.number}-{next(self.keys)}.db"
        with suppress(OSError, Refused):
            self.soak.house.rpc("backup.write", file=str(file))
            self.asked["backup.write"] += 1
            with sqlite3.connect(file) as copy:
                if copy.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                    self.faults.append(f"{file} is not whole")
        file.unlink(missing_ok=True)

    DEEDS = (
        (run, 2),
        (pause, 14),
        (resume, 14),
        (modify, 8),
        (discard, 1),
        (plan, 3),
        (pause_before, 3),
        (pause_for, 2),
        (cancel, 2),
        (remove, 4),
        (look, 20),
        (read, 12),
        (backup, 1),
    )


QUESTIONS = (
    "daemon.hello", "daemon.status", "job.list", "job.status", "job.why", "job.history", "job.revisions",
    "job.wait", "log.read", "events.read", "instrument.list", "score.validate",
    "instrument.clear_limits", "daemon.reload",
)  # fmt: skip
"""What is asked besides; the last two change something, of no job."""
CHANGES = {"submit", "pause", "resume", "modify", "cancel", "remove"}


class Soak:
    """A daemon, its clients, who kills, and what came of it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.house = Daemon(executed=True)
        self.house.may_fall = True
        self.house.may_log = ["Traceback"]  # printed, not judged: what is killed may be told of
        self.clients = [Client(self, number) for number in range(1, CLIENTS + 1)]
        self.killed: Counter[str] = Counter()
        self.up = threading.Event()
        self.over = threading.Event()
        self.outside = self.house.home / "outside"
        self.outside.touch()

    def known(self):
        return [run for client in self.clients for run in list(client.runs.values())]

    def go(self, seconds: float) -> list[str]:
        """Soak for so long; return what is wrong."""
        self.house.configure("min_free_disk = 0\nmax_attempts = 12\n")
        self.house.start()
        self.up.set()
        last = time.monotonic() + seconds
        chance = random.Random(f"{self.seed}-kills")
        with ThreadPoolExecutor(CLIENTS) as pool:
            lives = [pool.submit(self._lives, client) for client in self.clients]
            try:
                while not self.over.wait(chance.uniform(0.5, 4.0)) and time.monotonic() < last:
                    self._strike(chance)
            finally:
                self.over.set()
        wrong = [f"a client: {life.exception()!r}" for life in lives if life.exception()]
        for client in self.clients:
            for run in list(client.since):
                client.lets_go(run.partition("@")[0])
        wrong += self._still_held()
        self.house.end_jobs()
        return wrong + [fault for client in self.clients for fault in client.faults] + self.faults()

    def _lives(self, client: Client) -> None:
        while not self.over.is_set():
            client.step()

    # --- kills -----------------------------------------------------------------------------------------

    def _strike(self, chance: random.Random) -> None:
        (what,) = chance.choices(
            ["daemon", "stop", "one supervisor", "both supervisors", "worker", "check"], [2, 1, 2, 1, 3, 3]
        )
        if what in ("daemon", "stop"):
            self.up.clear()
            if what == "daemon":
                self.house.kill()
            else:
                self.house.stop()
            self.house.start()
            self.up.set()
        else:
            look = {"worker": self._workers, "check": self._checks}.get(what, self._supervisors)
            last = time.monotonic() + 2
            while not (found := list(look())):
                if time.monotonic() > last or self.over.wait(0.02):
                    return
            first = chance.choice(found)
            kill_all(
                [pid for pid, of in found if of == first[1]] if what == "both supervisors" else [first[0]]
            )
        self.killed[what] += 1

    def _supervisors(self):
        """Yield the supervisors (they have the mark and work in the home, without its environment), and whose."""
        for pid, environment in environments():
            mark = next((one for one in environment if one.startswith(MARK)), b"")
            with suppress(OSError):
                if (
                    mark
                    and os.fsencode(f"HOME={self.house.home}") not in environment
                    and self._works_here(pid)
                ):
                    yield pid, mark

    def _works_here(self, pid: int) -> bool:
        return str(Path(f"/proc/{pid}/cwd").readlink()).startswith(str(self.house.home))

    def _workers(self):
        yield from ((pid, pid) for pid in self.house.workers())

    def _checks(self):
        """Yield the commands of checks: their mark says so, and they know their home."""
        home = os.fsencode(f"HOME={self.house.home}")
        for pid, environment in environments():
            if home in environment and any(word.startswith(MARK) and CHECK in word for word in environment):
                yield pid, pid

    # --- what is wrong -----------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        found = [line.split() for line in self.outside.read_text().splitlines()]
        return [Line(word, run, attempt, float(at)) for word, run, attempt, at in found]

    def faults(self) -> list[str]:
        """Say what the ledger, the looks and the database contradict each other in."""
        lines = self.lines()
        begun = Counter(line.attempt for line in lines if line.word == "start")
        wrong = [f"{attempt} started {times} times" for attempt, times in begun.items() if times > 1]
        wrong += [f"two at once: {line}" for line in lines if line.word == "twice"]
        for client in self.clients:
            for run, since, until in client.held:
                wrong += [
                    f"{run} was held from {since} to {until}: {line}"
                    for line in lines
                    if line.word == "start" and line.run == run and since < line.at < until
                ]
                wrong += [
                    f"{run} was held from {since} to {until}: {look}"
                    for other in self.clients
                    for look in other.looks
                    if look.run == run
                    and since < look.began
                    and look.ended < until
                    and look.status != "paused"
                ]
        found = self._database()
        try:
            for run in rows(found, "runs"):
                wrong += self.unproven(f"{run['job_name']}@{run['run']}", found)
            for check in (check_steps, check_records, check_ends) + (
                () if self.removed else (check_journal,)
            ):
                try:
                    check(found)
                except TypeError:
                    check(found, ())
                except AssertionError as error:
                    wrong.append(f"{check.__name__}: {str(error)[:2000]}")
        finally:
            found.close()
        return wrong

    @property
    def removed(self) -> int:
        return sum(client.removed for client in self.clients)

    def _database(self) -> sqlite3.Connection:
        found = sqlite3.connect(f"file:{self.house.state / 'marianne.db'}?mode=ro", uri=True)
        found.row_factory = sqlite3.Row
        return found

    def unproven(self, run: str, found: sqlite3.Connection | None = None) -> list[str]:
        """Name the completed sheets of a run of which no attempt has started and ended in the ledger."""
        ended = {line.attempt for line in self.lines() if line.word == "end"}
        opened = found or self._database()
        try:
            names = incarnations(opened)
            job, _, number = run.partition("@")
            rows_of = opened.execute(
                "SELECT sheets.sheet, attempts.* FROM sheets JOIN runs USING (run_id) "
                "LEFT JOIN attempts ON attempts.run_id = sheets.run_id AND attempts.uid = sheets.uid "
                "AND attempts.outcome = 'succeeded' "
                "WHERE job_name = ? AND run = ? AND sheets.status = 'completed'",
                (job, int(number)),
            ).fetchall()
        finally:
            if found is None:
                opened.close()
        return [
            f"{run} sheet {row[0]} is done without an attempt in the ledger"
            for row in rows_of
            if row["attempt"] is None
            or f"{names[row['incarnation']]}-{row['run_id']}-{row['uid']}-{row['attempt']}" not in ended
        ]

    def _still_held(self) -> list[str]:
        """Each job goes on and comes to its end, once nothing is killed any more."""
        wrong = []
        for run in self.known():
            told = {"status": "paused"}
            for _ in range(_BREAKPOINTS_MOST):
                with suppress(Refused):
                    self.house.rpc("job.resume", job_id=run)
                with self.house.connect() as connection:
                    connection.socket.settimeout(150)
                    told = connection.rpc("job.wait", job_id=run, words=["ended", "held"], timeout=120)
                if told["status"] != "paused":
                    break
            if told["status"] not in ("completed", "failed", "cancelled"):
                wrong.append(f"{run} does not end: {told}")
        return wrong


def soak(minutes: float, seed: int) -> list[str]:
    """Soak, print the figures, return what is wrong."""
    made = Soak(seed)
    try:
        wrong = made.go(minutes * 60)
        lines = made.lines()
        asked = sum((client.asked for client in made.clients), Counter())
        held = [one for client in made.clients for one in client.held]
        looks = sum(len(client.looks) for client in made.clients)
        print(f"soak: {minutes:g} minutes, seed {seed}, {CLIENTS} clients, {sum(asked.values())} requests")
        print("asked:", ", ".join(f"{what} {count}" for what, count in sorted(asked.items())))
        print("killed:", ", ".join(f"{what} {count}" for what, count in sorted(made.killed.items())))
        print(
            "ledger:", ", ".join(f"{what} {n}" for what, n in sorted(Counter(x.word for x in lines).items()))
        )
        print(
            f"held {len(held)} times for {sum(until - since for _, since, until in held):.0f} s; {looks} looks; {made.removed} removed"
        )
        print(f"faults: {len(wrong)}")
        for fault in wrong[:50]:
            print(" ", fault)
        if wrong:
            print(made.house.log.read_text()[-5000:])
        return wrong
    finally:
        made.house.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return 1 if soak(given.minutes, given.seed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
