"""A daemon, its jobs and their models, over kills, restarts and copies of the database that are put back."""

import copy
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter

from audit import AnsweredRequest, differences
from control_model import Limits
from flying import Begun
from kit.daemon import DEADLINE, Refused, environments, gone, kill_all
from living import child_of, committed
from test_walk import GROUPS

NOT_REACHED = {"warned", "archive", "archive, not made", "worktree"}
POINTS = sorted(
    {point.partition(":")[0] for name in GROUPS.keys() - NOT_REACHED for point in GROUPS[name][1]}
)
_SOON = 0.05
"""Seconds after which the daemon is asked for what no event tells."""


class World:
    """What a copy of the database brings back: the jobs, and what was told of them up to an event.

    `others` are all runs by their addresses, `past` those of them that nobody does anything to any more.
    """

    def __init__(self):
        self.jobs = []
        self.children = []
        self.retired = []
        self.past = []
        self.others = {}
        self.limits = Limits()
        self.answered = []
        self.taken_back = []
        self.heard = []

    def copied(self, *outside):
        """Return a copy, sharing what is `outside` of the database; flights are that by themselves."""
        shared = {id(one): one for one in (*outside, *self.past)}
        parts = (self.jobs, self.children, self.retired, self.others, self.limits)
        made = World()
        made.jobs, made.children, made.retired, made.others, made.limits = copy.deepcopy(parts, shared)
        made.past = list(self.past)
        made.answered, made.taken_back, made.heard = (
            list(self.answered),
            list(self.taken_back),
            list(self.heard),
        )
        return made

    @property
    def all_jobs(self):
        return [*self.jobs, *self.children, *self.retired]


class Backup:
    """A copy of the database, and the world as it was then."""

    def __init__(self, walk, file):
        self.file = file
        self.world = walk.world.copied(walk.house)
        self.begun = dict(walk.begun.known)


class Walk:
    """A daemon, its jobs, and what is met on the way."""

    def __init__(self, house, seed):
        self.house = house
        self.seed = seed
        self.chance = random.Random(seed)
        self.looked_at = None
        self.strike = None
        """What is to be killed as soon as a line of a certain type is heard, and which."""
        self.world = World()
        self.removed = {}
        self.forgotten = set()
        self.steps = []
        self.asked = Counter()
        self.ends = Counter()
        self.done = Counter()
        self.met = Counter()
        self.compared = Counter()
        self.stream = None
        self.tail = b""
        self.draining = False
        self.stopping = False
        self.killed = False
        self.backup = None
        self.begun = Begun(house)
        self.keys = 0
        self.names = 0
        self.looks = 0
        house.may_fall = True
        house.environment["PYTHONFAULTHANDLER"] = "1"

    @property
    def event(self):
        """The number of the last event that was heard."""
        return self.world.heard[-1]["event"] if self.world.heard else 0

    @property
    def all_jobs(self):
        return self.world.all_jobs

    def key(self):
        self.keys += 1
        return f"k{self.keys}"

    # --- the daemon's lives ------------------------------------------------------------------------------

    def start(self):
        """Start the daemon, perhaps with a fault, until it serves; ask again what it has not answered."""
        self.draining = self.stopping = False
        while True:
            armed = (
                f"{self.chance.choice(POINTS)}:{self.chance.randint(1, 3)}"
                if self.chance.random() < 0.5
                else None
            )
            if self.chance.random() < 0.3:
                self.move_attempts()
            self.steps.append(("starts", armed or ""))
            self.house.start(**({"MARIANNE_FAULT": armed} if armed else {}))
            if self.house.serves and self.connects():
                return
            self.mourn()

    def move_attempts(self):
        """Let another directory be that of the attempts from now on."""
        place = self.chance.choice(
            ["", *(f'attempts_dir = "{self.house.home}/attempts-{n}"\n' for n in "ab")]
        )
        self.steps.append(("settings", place))
        self.done["attempts_dir set"] += 1
        self.house.configure(place)

    def connects(self):
        try:
            self.stream, self.tail = self.house.connect(), b""
            self.stream.send("events.subscribe", after=self.event)
            for job in self.all_jobs:
                job.touched = True
                for request in job.requests:
                    if request.said is None:
                        request.send(self.house)
        except OSError:
            self.leave()
            return False
        return True

    def leave(self):
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        for job in self.all_jobs:
            for request in job.requests:
                request.leave()

    def mourn(self):
        """The daemon is gone: by its fault, by a kill, or because it was asked to."""
        self.leave()
        try:
            status = self.house.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.house.process.send_signal(signal.SIGABRT)  # it says where it stands
            self.house.process.wait(DEADLINE)
            raise AssertionError(f"it does not end: {self.house.log.read_text()[-6000:]}") from None
        if self.stopping or self.draining:
            assert status in (0, -signal.SIGKILL), self.house.log.read_text()
        else:
            assert status == -signal.SIGKILL, self.house.log.read_text()
        self.ends["stopped" if status == 0 else "killed" if self.killed else "crashed at a point"] += 1
        self.killed = False

    def fell(self):
        self.mourn()
        self.start()

    def kill(self):
        self.killed = True
        self.house.process.kill()

    # --- what comes ----------------------------------------------------------------------------------------

    def rest(self):
        """Wait until nothing comes by itself any more, and compare."""
        while left := self.unrest():
            self.pump(left)
        for job in self.all_jobs:
            self.looked_at = job
            for request in job.settle_requests():
                self.count(request)
        for jobs in (self.world.children, self.world.retired):
            for job in [job for job in jobs if job.is_over and not job.requests]:
                jobs.remove(job)
                self.world.past.append(job)

    def count(self, request):
        refused = request.said in ("E502", "E513")
        self.asked[f"{request.action}{' refused' if request.said == 'E502' else ''}"] += 1
        if request.said == "E513":
            self.world.taken_back.append(request.params)
        if not refused:
            self.world.answered.append(AnsweredRequest(request.method, request.params, request.reply))

    def unrest(self):
        left = [what for job in self.all_jobs for what in job.unrest(draining=self.draining or self.stopping)]
        if self.stopping:
            left.append("it stops")
        if not left:
            try:
                for job in self.all_jobs:
                    if job.touched and (different := job.differences()):
                        self.looked_at = job
                        return [f"{job.address}: {different}"]
                    self.compared[job.model.status] += job.touched
                    job.touched = False
            except OSError:
                return ["it has fallen"]
        return left

    def pump(self, left):
        """Wait for the next thing that happens, and do to the models what it tells."""
        for job in self.all_jobs:
            for flight in job.flights.values():
                flight.open()
        asked = {
            request.connection.socket: request
            for job in self.all_jobs
            for request in job.requests
            if request.connection is not None
        }
        if self.house.process.poll() is not None:
            self.fell()
            return
        unseen = [job for job in self.all_jobs if job.has_unseen]
        end = os.pidfd_open(self.house.process.pid)
        try:
            sources = [self.stream.socket, self.house.ledger.descriptor, end, *asked]
            ready, _, _ = select.select(sources, [], [], _SOON if unseen else DEADLINE)
            self.looks = 0 if ready else self.looks + 1
            patient = unseen and self.looks * _SOON < DEADLINE
            assert ready or patient, f"nothing comes; still: {left}; {self.house.log.read_text()[-2000:]}"
            try:
                if self.house.ledger.descriptor in ready:
                    os.read(self.house.ledger.descriptor, 65_536)
                if self.stream.socket in ready:
                    self.hear()
                for source in ready:
                    if source in asked:
                        asked[source].read(Refused)
                for job in unseen if not ready else ():
                    job.look(lambda: self.event == self.last_event())
            except OSError:
                self.fell()
                return
            if end in ready:
                self.fell()
        finally:
            os.close(end)

    def hear(self):
        """Read the events that have come."""
        news = self.stream.socket.recv(1 << 20)
        if not news:
            raise ConnectionResetError
        *lines, self.tail = (self.tail + news).split(b"\n")
        for message in map(json.loads, lines):
            if message.get("method") == "stream.item":
                self.happens(message["params"]["item"])

    def happens(self, event):
        assert event["event"] == self.event + 1, f"after {self.event} comes {event}"
        self.world.heard.append({name: event[name] for name in ("event", "type", "job_id", "run")})
        self.met[event["type"]] += 1
        self.strike_at(event["type"])
        address = f"{event['job_id']}@{event['run']}"
        if event["type"] == "limit.cleared":
            self.cleared()
        elif event["type"] == "job.submitted" and address not in self.world.others:
            self.child_begins(event, address)
        elif event["job_id"] is not None and event["type"] != "job.removed":
            self.looked_at = self.world.others[address]
            self.looked_at.happens(event)

    def strike_at(self, kind):
        """Kill what is to be killed as soon as this is heard."""
        if self.strike is None or self.strike[0] != kind:
            return
        _, what = self.strike
        self.strike = None
        self.done[f"{what} killed at {kind}"] += 1
        if what == "daemon":
            self.kill()
        else:
            kill_all(self.house.workers())

    def cleared(self):
        """A hand has ended the rate limit: what waits for it goes on."""
        self.world.limits.met, self.world.limits.cleared = False, True
        for job in self.all_jobs:
            if job.is_agent:
                job.touched = True
                job.follow()

    def child_begins(self, event, address):
        """A hook has submitted a job."""
        parent, _, hook = event["job_id"].partition("-")
        parents = [job for job in self.world.others.values() if job.name == parent]
        assert any(hook in job.model.hooks.rows for job in parents), event
        made = child_of(self.house, self.begun, self.world.others, event["job_id"], event["run"])
        self.world.others[address] = made
        self.world.children.append(made)

    def catch_up(self):
        """Hear all that is committed."""
        while self.event < (last := self.last_event()):
            self.pump([f"event {last}"])

    def last_event(self):
        return committed(self.house, "SELECT max(event) FROM events")[0] or 0

    # --- asking what is no job's own -----------------------------------------------------------------------

    def through(self, method, **params):
        """Ask until a daemon has answered."""
        while True:
            try:
                return self.house.rpc(method, **params)
            except OSError:
                self.fell()

    def told(self, method, **params):
        """Change something under a key of its own; keep what was told."""
        key = self.key()
        params = {**params, "key": key, "reason": key}
        reply = self.through(method, **params)
        self.asked[method] += 1
        self.world.answered.append(AnsweredRequest(method, params, reply))
        return reply

    def repeat(self, told):
        """Ask again what was answered: the same answer, and no effect."""
        before = self.last_event()
        again = self.through(told.method, **told.params)
        assert not differences(again, told.reply), (told, again)
        key = told.params["key"]
        (times,) = committed(
            self.house, "SELECT count(*) FROM events WHERE event > ? AND reason = ?", before, key
        )
        assert not times, f"{told} had its effect again"

    # --- copies of the database --------------------------------------------------------------------------

    def back_up(self):
        """Write a copy of the database, where all is told that is in it."""
        self.catch_up()
        self.done["backup"] += 1
        file = self.house.home / f"copy-{self.done['backup']}.db"
        try:
            self.house.rpc("backup.write", file=str(file))
        except OSError:
            self.fell()
            return
        found = sqlite3.connect(file)
        (last,) = found.execute("SELECT max(event) FROM events").fetchone()
        found.close()
        if last == self.event:
            self.backup = Backup(self, file)

    def put_back(self):
        """Put the copy in the place of the database, and the world of then in the place of the models."""
        self.kill()
        self.mourn()
        self.end_lost()
        for file in self.house.state.glob("marianne.db*"):
            file.unlink()
        shutil.copy(self.backup.file, self.house.state / "marianne.db")
        self.begun.known = dict(self.backup.begun)
        self.world = self.backup.world.copied(self.house)
        for job in self.all_jobs:
            if job.lies:
                job.put_pause_file()
            else:
                job.pause_file.unlink(missing_ok=True)
            job.loop.put(enough=job.loop.enough)
        self.done["backup put back"] += 1

    def end_lost(self):
        """End what runs of flights that the copy does not know: nobody else will."""
        self.begun.get()
        flights = [flight for job in self.backup.world.all_jobs for flight in job.all_flights]
        known = {*self.backup.begun.values(), *(flight.identity for flight in flights)}
        (ours,) = committed(self.house, "SELECT value FROM meta WHERE name = 'daemon_id'")
        while found := [pid for pid, mark in _marked(ours) if mark.partition("-check-")[0] not in known]:
            kill_all(found)
            assert all(gone(pid, DEADLINE) for pid in found)
        self.begun.get()  # what began while it was looked for is not to be taken for what begins anew
        written = {line.split()[2] for line in self.house.ledger.lines()}
        self.forgotten |= written - known - _attempts_of(self.backup.file)


def _attempts_of(file):
    """Name the attempts that a copy has rows of: one that began right after it is taken up all the same."""
    found = sqlite3.connect(file)
    try:
        rows = found.execute(
            "SELECT value, incarnation, token, run_id, uid, attempt FROM ("
            "SELECT incarnation, run_id, uid, attempt FROM attempts"
            " UNION ALL SELECT incarnation, run_id, uid, 0 FROM skips"
            ") JOIN incarnations USING (incarnation) JOIN meta ON name = 'daemon_id'"
        )
        return {"-".join(map(str, row)) for row in rows}
    finally:
        found.close()


def _marked(daemon_id):
    """Yield each process that belongs to a flight of this database, with the mark it has."""
    name = f"MARIANNE_ATTEMPT_ID={daemon_id}-"
    for pid, environment in environments():
        for variable in map(os.fsdecode, environment):
            if variable.startswith(name):
                yield pid, variable.partition("=")[2]
