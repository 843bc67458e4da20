"""A random walk of requests, ends, crashes and restarts on a real daemon, beside the model of the contract.

After each step the daemon has come to rest and every job is as the model has it, fed by the journal alone;
at the end comes the audit. MARIANNE_LIVE_STEPS says how long, MARIANNE_LIVE_SEED where it begins.
"""

import json
import os
import random
import select
import signal
import threading
from collections import Counter

import pytest
from audit import Told, audit
from control_model import ALLOWED, Wanted
from kit.daemon import DEADLINE, gone, kill_all
from living import PLAYER, WORDS, Begun, LiveJob, Request
from plain_scores import first_score, grown
from test_walk import GROUPS

STEPS = int(os.environ.get("MARIANNE_LIVE_STEPS", "500"))
SEED = int(os.environ.get("MARIANNE_LIVE_SEED", "1"))
JOBS = 2
ONE_JOB = 40
"""Steps after which another job takes a job's place."""
NOT_REACHED = {"check", "hook", "chain", "skip", "warned", "time", "archive", "archive, not made", "worktree"}
POINTS = sorted(
    {point.partition(":")[0] for name in GROUPS.keys() - NOT_REACHED for point in GROUPS[name][1]}
)
ENDS = ["succeeded"] * 5 + sorted(WORDS)


class Walk:
    """A daemon, its jobs, and what is met on the way."""

    def __init__(self, house, chance):
        self.house = house
        self.chance = chance
        self.jobs = []
        self.retired = []
        self.told = []
        self.taken_back = []
        self.steps = []
        self.asked = Counter()
        self.ends = Counter()
        self.compared = Counter()
        self.stream = None
        self.heard = b""
        self.event = 0
        self.draining = False
        self.stopping = False
        self.killed = False
        self.armed = None
        self.begun = Begun(house)
        self.keys = 0
        self.names = 0
        self.workers = 0
        house.may_fall = True

    # --- the daemon's lives ------------------------------------------------------------------------------

    def start(self):
        """Start the daemon, perhaps with a fault, until it serves; ask again what it has not answered."""
        self.draining = self.stopping = False
        while True:
            self.armed = (
                f"{self.chance.choice(POINTS)}:{self.chance.randint(1, 3)}"
                if self.chance.random() < 0.5
                else None
            )
            self.house.start(**({"MARIANNE_FAULT": self.armed} if self.armed else {}))
            if self.house.serves and self.connects():
                return
            self.mourn()

    def connects(self):
        try:
            self.stream, self.heard = self.house.connect(), b""
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
        status = self.house.process.wait(DEADLINE)
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

    @property
    def all_jobs(self):
        return [*self.jobs, *self.retired]

    def rest(self):
        """Wait until nothing comes by itself any more, and compare."""
        while left := self.unrest():
            self.pump(left)
        for job in self.all_jobs:
            for request in job.settle_requests():
                self.count(request)

    def unrest(self):
        left = [what for job in self.all_jobs for what in job.unrest(draining=self.draining or self.stopping)]
        if self.stopping:
            left.append("it stops")
        if not left:
            try:
                for job in self.all_jobs:
                    if job.touched and (different := job.differences()):
                        return [f"{job.name}@{job.run}: {different}"]
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
        end = os.pidfd_open(self.house.process.pid)
        try:
            sources = [self.stream.socket, self.house.ledger.descriptor, end, *asked]
            ready, _, _ = select.select(sources, [], [], DEADLINE)
            assert ready, f"nothing comes; still: {left}; {self.house.log.read_text()[-2000:]}"
            try:
                if self.house.ledger.descriptor in ready:
                    os.read(self.house.ledger.descriptor, 65_536)
                if self.stream.socket in ready:
                    self.hear()
                for source in ready:
                    if source in asked:
                        asked[source].read()
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
        *lines, self.heard = (self.heard + news).split(b"\n")
        for message in map(json.loads, lines):
            if message.get("method") == "stream.item":
                self.happens(message["params"]["item"])

    def happens(self, event):
        assert event["event"] == self.event + 1, f"after {self.event} comes {event}"
        self.event = event["event"]
        for job in self.all_jobs:
            if (job.name, job.run) == (event["job_id"], event["run"]):
                job.happens(event)

    # --- steps -----------------------------------------------------------------------------------------------

    def key(self):
        self.keys += 1
        return f"k{self.keys}"

    def submit(self, place=None, fresh=None):
        """Submit a job; `fresh`: one that takes the place of this one's run."""
        chance = self.chance
        plan = first_score(
            chance.randint(1, 4),
            chance.randrange(1024),
            chance.randint(1, 3),
            fail_fast=chance.random() < 0.5,
            on_failure=chance.choice(["fail", "pause"]),
            told_apart=True,  # outside, a step is known by its prompt
        )
        self.names += fresh is None
        name, run = (fresh.name, fresh.run + 1) if fresh else (f"j{self.names}", 1)
        job = LiveJob(self.house, self.begun, name, run, plan, chance.randint(0, 1))
        home = str(self.house.home)
        key = self.key()
        params = {
            "text": job.text(plan),
            "directory": home,
            "submit_directory": home,
            "fresh": fresh is not None,
            "key": key,
            "reason": key,
        }
        request = Request(key, "submit", None, False, "job.submit", params)
        self.steps.append((name, run, plan))
        job.requests.append(request)
        if place is None:
            self.jobs.append(job)
        else:
            self.retired.append(self.jobs[place])
            self.jobs[place] = job
        self.hand_in(request)

    def count(self, request):
        refused = request.said in ("E502", "E513")
        self.asked[f"{request.action}{' refused' if request.said == 'E502' else ''}"] += 1
        if request.said == "E513":
            self.taken_back.append(request.params)
        if not refused:
            self.told.append(Told(request.method, request.params, request.reply))

    def step(self):
        """Do something, and let what follows from it come to rest."""
        place = self.chance.randrange(JOBS)
        job = self.jobs[place]
        job.steps += 1
        if job.steps > ONE_JOB or (
            job.model.ended in ("completed", "cancelled") and self.chance.random() < 0.4
        ):
            self.retire(place)
        else:
            names, weights = zip(*self.DEEDS, strict=True)
            (deed,) = self.chance.choices(names, weights)
            getattr(self, deed)(place, job)
        self.rest()

    def retire(self, place):
        job = self.jobs[place]
        if job.model.ended is None and job.model.accepts("cancel", Wanted()):
            self.send(job, "cancel", Wanted())
            self.rest()
        self.submit(place)

    def send(self, job, action, wanted):
        wait = self.chance.random() < 0.6
        self.steps.append((job.name, action, wanted, wait))
        self.hand_in(job.request(self.key(), action, wanted, wait=wait))

    def hand_in(self, request):
        """Ask, if there is anybody to ask; what has fallen is asked again when it is started."""
        if self.stream is not None:
            try:
                request.send(self.house)
            except OSError:
                request.leave()

    def wanted(self, job, action, *, sheets=True):
        """What a request brings; without `sheets` it names none."""
        chance, model = self.chance, job.model
        some = (chance.choice(model.score.steps).name,)
        match action:
            case "pause" | "pause --now":
                return Wanted(
                    lasts=chance.choice([None, None, 3600.0]),
                    deadline=chance.choice([None, 3600.0]) if action == "pause" else None,
                )
            case "pause --before":
                clear = chance.random() < 0.3
                return Wanted(sheets=() if clear and chance.random() < 0.7 else some, clear=clear)
            case "resume --from":
                return Wanted(sheets=some)
            case "modify" | "modify -r":
                return self.modified(model, some if sheets else None)
            case _:
                return Wanted()

    def modified(self, model, some):
        chance = self.chance
        rerun = some is not None and chance.random() < 0.3
        new = (
            None
            if rerun and chance.random() < 0.5
            else grown(model.staged or model.score, chance.randrange(200))
        )
        changed = rerun and chance.random() < 0.4
        return Wanted(new=new, sheets=some if rerun and not changed else (), changed=changed)

    # --- deeds -----------------------------------------------------------------------------------------------

    def end(self, place, job):
        """Let attempts end; where none is in flight, perhaps let the job go on."""
        if not job.flying and self.chance.random() < 0.5:
            self.send(job, "resume", Wanted())
        for name in self.chance.sample(job.flying, min(len(job.flying), self.chance.choice([1, 1, 2]))):
            how = self.chance.choice(ENDS)
            self.steps.append((job.name, "ends", name, how))
            job.flights[name].word = how
            job.touched = True

    def ask(self, place, job):
        """Ask for something, more often for what is accepted."""
        actions = sorted(ALLOWED.keys() - ({"cancel"} if self.chance.random() < 0.8 else set()))
        asked = [(action, self.wanted(job, action)) for action in actions]
        accepted = [(action, wanted) for action, wanted in asked if job.model.accepts(action, wanted)]
        self.send(job, *self.chance.choice(accepted if accepted and self.chance.random() < 0.8 else asked))

    def end_and_ask(self, place, job):
        """Both at once: who comes first is told by the journal."""
        action = self.chance.choice(
            ["pause", "pause --now", "resume", "modify", "modify -r", "modify --discard", "cancel"]
        )
        wanted = self.wanted(job, action, sheets=False)
        self.end(place, job)
        for flight in job.flights.values():
            flight.open()
        self.send(job, action, wanted)

    def file(self, place, job):
        if job.model.ended is None:
            self.steps.append((job.name, "pause file"))
            job.pause_file()

    def fresh(self, place, job):
        if job.model.status in ("paused", "failed", "completed", "cancelled"):
            self.submit(place, fresh=job)

    def crash(self, place, job):
        """Killed at rest; while it is down attempts may end, and requests be made that reach nobody."""
        self.steps.append("kill")
        self.kill()
        self.mourn()
        self.down()
        self.start()

    def down(self):
        for job in self.jobs:
            if self.chance.random() < 0.5:
                self.end(None, job)
            if self.chance.random() < 0.3:
                self.send(job, "pause", Wanted())
        for job in self.jobs:
            for flight in job.flights.values():
                flight.open()
                if flight.word is not None and flight.identity is not None:
                    mark = f"MARIANNE_ATTEMPT_ID={flight.identity}"
                    assert all(gone(pid, DEADLINE) for pid in self.house.processes(mark))

    def crash_soon(self, place, job):
        """Killed at some instant while it does something."""
        after = self.chance.uniform(0, 0.03)
        self.steps.append(f"kill after {after:.4f} s")
        killer = threading.Timer(after, self.kill)
        killer.start()
        self.chance.choice([self.ask, self.end, self.end_and_ask])(place, job)
        killer.join()

    def kill_workers(self, place, job):
        """Kill the workers of the pool, and ask at once: it is an accident of ours, and changes nothing."""
        self.steps.append("workers killed")
        workers = self.house.workers()
        self.workers += len(workers)
        kill_all(workers)
        self.chance.choice([self.ask, self.end, self.end_and_ask])(place, job)

    def stop(self, place, job):
        mode = self.chance.choice(["detach", "detach", "kill"])
        self.steps.append(f"stop --{mode}")
        self.stopping = True
        for flight in [flight for job in self.jobs for flight in job.flights.values()]:
            flight.stopped = flight.stopped or mode == "kill"
        self.tell(mode)

    def drain(self, place, job):
        if self.draining:
            self.steps.append("stay")
            if self.tell("stay"):
                self.draining = False
        else:
            self.steps.append("drain")
            self.draining = True
            self.tell("drain")

    def tell(self, mode):
        try:
            self.house.rpc("daemon.stop", mode=mode)
        except OSError:
            return False
        for job in self.all_jobs:
            job.touched = True
        return True

    DEEDS = (
        ("end", 36),
        ("ask", 42),
        ("end_and_ask", 10),
        ("file", 2),
        ("fresh", 2),
        ("crash", 1),
        ("kill_workers", 4),
        ("crash_soon", 1),
        ("stop", 1),
        ("drain", 1),
    )


@pytest.mark.crash
@pytest.mark.timeout(60 + STEPS)
def test_whatever_is_asked_whenever_it_is_killed_each_job_is_as_the_contract_says(house):
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "player.yaml").write_text(PLAYER)
    walk = Walk(house, random.Random(SEED))
    taken = 0
    try:
        walk.start()
        for _ in range(JOBS):
            walk.submit()
        walk.rest()
        while taken < STEPS:
            taken += 1
            walk.step()
        finish(walk)
        audit(house, walk.told, taken_back=walk.taken_back)
    except BaseException as error:
        error.add_note(
            f"MARIANNE_LIVE_SEED={SEED} MARIANNE_LIVE_STEPS={STEPS}, step {taken}; the last steps:"
        )
        error.add_note("\n".join(map(str, walk.steps[-60:])))
        raise
    finally:
        walk.leave()
    print(
        f"live walk: seed {SEED}, {taken} steps, {walk.event} events, {walk.names} jobs, {walk.workers} workers killed"
    )
    for title, counts in (
        ("asked", walk.asked),
        ("ends of the daemon", walk.ends),
        ("compared", walk.compared),
    ):
        print(f"{title}: {', '.join(f'{what} {count}' for what, count in sorted(counts.items()))}")


def finish(walk):
    """Cancel what has not ended, and stop."""
    if walk.draining:
        walk.drain(None, None)
        walk.rest()
    for job in walk.jobs:
        if job.model.ended is None:
            walk.send(job, "cancel", Wanted())
    walk.rest()
    walk.stopping = True
    walk.leave()
    walk.house.stop()
