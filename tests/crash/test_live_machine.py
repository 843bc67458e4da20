"""A random walk of requests, ends, crashes and restarts on a real daemon, beside the model of the contract.

After each step the daemon has come to rest and every job is as the model has it, fed by the journal alone;
at the end comes the audit. MARIANNE_LIVE_STEPS says how long, MARIANNE_LIVE_SEED where it begins.
"""

import os
import shutil
import threading
from dataclasses import replace

import pytest
from audit import Outside, audit
from flying import CHECK, PROFILES, WORDS, Request
from going_round import UNTIL
from kit.daemon import DEADLINE, environments, gone, kill_all
from live_walk import Walk
from living import LiveJob, committed
from model_accepts import ALLOWED
from model_parts import Wanted
from plain_scores import HookStep, first_score, grown, only, reworked, with_loop, writable
from telling import story

STEPS = int(os.environ.get("MARIANNE_LIVE_STEPS", "80"))
SEED = int(os.environ.get("MARIANNE_LIVE_SEED", "1"))
JOBS = 2
CHILDREN = 3
"""How many jobs that hooks have started go on at most; the oldest are cancelled."""
ONE_JOB = 40
"""Steps after which another job takes a job's place."""
AFTER = (HookStep("f1"), HookStep("f2"))
"""Hooks of a failure."""
LOOPED = 0.7
HOUR = 3600
WALLS = (HOUR / 2, 1.5 * HOUR)
"""How long a job may run: half an hour, which the walk itself is far from, or one and a half."""
OF_ALL = sorted(WORDS.keys() - {"succeeded", "validation", "check killed"})
OF_CHECKED = ["validation", "check killed", "check killed"]
OF_HOOKS = ["succeeded"] * 3 + ["exit", "lost"]
HOOKS = (HookStep("h1"), HookStep("h2"), HookStep("h3", "job"), HookStep("h4", "detached"))


class Machine(Walk):
    """Does something at random, and lets what follows from it come to rest."""

    def step(self):
        children = [job for job in self.world.children if job.model.ended is None]
        for job in children[:-CHILDREN]:
            self.cancel(job)
        place = self.chance.randrange(JOBS)
        if children and self.chance.random() < 0.25:
            place, job = None, self.chance.choice(children)
        else:
            job = self.world.jobs[place]
            job.steps += 1
        over = job.model.ended in ("completed", "cancelled") and self.chance.random() < 0.4
        if place is not None and (job.steps > ONE_JOB or over):
            self.retire(place)
        else:
            names, weights = zip(*self.DEEDS, strict=True)
            (deed,) = self.chance.choices(names, weights)
            getattr(self, deed)(place, job)
        self.rest()

    # --- jobs ------------------------------------------------------------------------------------------------

    def retire(self, place):
        self.cancel(self.world.jobs[place])
        self.submit(place)

    def cancel(self, job):
        if job.model.accepts("cancel", Wanted()):
            self.send(job, "cancel", Wanted())
            self.rest()

    def plan(self):
        """Return a score: half of them have stages that are alike but for their place."""
        chance = self.chance
        told_apart = chance.random() < 0.5
        plan = first_score(
            chance.randint(1, 4),
            chance.randrange(1024),
            chance.randint(1, 3),
            fail_fast=chance.random() < 0.5,
            on_failure=chance.choice(["fail", "pause"]),
            told_apart=told_apart,
        )
        if told_apart:
            skips = [replace(step, skips=chance.choice(["", "", "yes", "no"])) for step in plan.steps]
            plan = replace(plan, steps=tuple(skips))
        hooks = [hook for hook in HOOKS if chance.random() < 0.25]
        budget, wall = chance.choice([None, None, None, 1.5, 3.5]), chance.choice([None, None, *WALLS])
        plan = replace(plan, hooks=tuple(hooks), budget=budget, wall=wall, after=self.after(plan))
        return self.looped(plan) if chance.random() < LOOPED else plan

    def after(self, plan):
        """Return hooks of a failure, where the score lets its job fail."""
        return AFTER[self.chance.randrange(3) :] if plan.on_failure == "fail" else ()

    def looped(self, plan):
        """The same score with a loop, where one is found that can be written."""
        for _ in range(5):
            found = writable(with_loop(plan, self.chance.randrange(1000)))
            if found.loop is not None:
                until = self.chance.choice([*UNTIL, "passed", "file"])
                return replace(found, loop=replace(found.loop, until=until, rounds=self.chance.randint(1, 4)))
        return plan

    def submit(self, place=None, fresh=None):
        """Submit a job; `fresh`: one that takes the place of this one's run."""
        plan = self.plan()
        self.names += fresh is None
        name, run = (fresh.name, fresh.run + 1) if fresh else (f"j{self.names}", 1)
        job = LiveJob(
            self.house,
            self.begun,
            self.world.others,
            name,
            run,
            plan,
            retries=self.chance.randint(0, 1),
            limits=self.world.limits if self.chance.random() < 0.4 else None,
            checked=self.chance.random() < 0.4,
        )
        self.world.others[job.address] = job
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
        self.steps.append((name, run, plan, job.is_agent, job.checked))
        job.requests.append(request)
        if place is None:
            self.world.jobs.append(job)
        else:
            self.world.retired.append(self.world.jobs[place])
            self.world.jobs[place] = job
        self.hand_in(request)

    # --- requests --------------------------------------------------------------------------------------------

    def send(self, job, action, wanted):
        wait = self.chance.random() < 0.6
        self.steps.append((job.address, action, wanted, wait))
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
        over = chance.choice([0, 0, 0, 2.0])
        match action:
            case "pause" | "pause --now":
                return Wanted(
                    lasts=chance.choice([None, None, 3600.0]),
                    deadline=chance.choice([None, 3600.0]) if action == "pause" else None,
                )
            case "pause --before":
                clear = chance.random() < 0.3
                return Wanted(sheets=() if clear and chance.random() < 0.7 else some, clear=clear)
            case "resume":
                return Wanted(over=over)
            case "resume --from" | "resume --skip/--accept" | "retry":
                some = chance.choice([(), some]) if action == "retry" else some
                alone = action == "resume --from" and chance.random() < 0.3
                over = 0 if action == "retry" else over
                return Wanted(sheets=some, over=over, skip=chance.random() < 0.5, alone=alone)
            case "modify" | "modify -r":
                return self.modified(job, some if sheets else None)
            case _:
                return Wanted()

    def modified(self, job, some):
        chance = self.chance
        rerun = some is not None and chance.random() < 0.3
        new = None if rerun and chance.random() < 0.5 else self.grown(job)
        changed = rerun and chance.random() < 0.4
        if new is not None and some is not None:
            some = (chance.choice(new.steps).name,)
        return Wanted(new=new, sheets=some if rerun and not changed else (), changed=changed)

    def grown(self, job):
        """Another score near to a job's: other sheets, or hooks (a child starts no jobs), a loop, other limits."""
        old, chance = job.model.staged or job.model.score, self.chance
        hooks = HOOKS[:2] if job.is_child else HOOKS
        kinds = {
            "less": 10,
            "hooks": 10,
            "cost": 10,
            "time": 8,
            "after": 6,
            "several": 10,
            "loop": 0 if job.is_child else 11,
        }
        (kind,) = chance.choices([*kinds, "sheets"], [*kinds.values(), 45])
        new = grown(old, chance.randrange(200))
        match kind:
            case "less" if not job.model.staged and job.model.begun_with:
                new = only(old, job.model.begun_with)  # nothing would be left to do
            case "hooks":
                known = {hook.name for hook in old.hooks}
                changed = chance.choice(hooks).name
                kept = [hook for hook in hooks if (hook.name in known) != (hook.name == changed)]
                new = replace(old, hooks=tuple(kept))
            case "cost":
                new = replace(old, budget=chance.choice([None, 1.5, 3.5, 5.5]))
            case "time":
                new = replace(old, wall=chance.choice([None, *WALLS, WALLS[-1] + 2 * HOUR]))
            case "after":
                new = replace(old, after=self.after(old))
            case "several":
                new = reworked(old, chance.randrange(200))
            case "loop":
                new = self.looped(old)
        return writable(new)

    # --- deeds -----------------------------------------------------------------------------------------------

    def end(self, place, job):
        """Let attempts end; where none is in flight, perhaps let the job go on."""
        if not job.flying and self.chance.random() < 0.5:
            self.send(job, "resume", Wanted())
        for name in self.chance.sample(job.flying, min(len(job.flying), self.chance.choice([1, 1, 2]))):
            ends = OF_ALL + (OF_CHECKED if job.checked else [])
            how = self.chance.choice(OF_HOOKS if job.is_hook(name) else ["succeeded"] * len(ends) + ends)
            self.steps.append((job.address, "ends", name, how))
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
        self.catch_up()
        if job.model.ended is None:
            self.steps.append((job.address, "pause file"))
            job.put_pause_file(runs=True)

    def enough(self, place, job):
        """Put the file that an `until` asks for there, or take it away."""
        loop = job.model.score.loop
        if loop is None or loop.until != "file" or self.chance.random() < 0.3:
            self.end(place, job)
            return
        self.steps.append((job.address, "enough", not job.loop.enough))
        self.done["files of until"] += 1
        job.loop.put(enough=not job.loop.enough)

    def hour(self, place, job):
        """Let an hour go by for a job that runs: the daemon finds it when it is started again."""
        if job.model.status not in ("running", "pausing") or self.draining or self.stopping:
            self.end(place, job)
            return
        self.steps.append((job.address, "an hour passes"))
        self.done["hours"] += 1
        self.kill()
        self.mourn()
        job.an_hour_passes()
        self.start()

    def fresh(self, place, job):
        if (
            place is not None
            and not job.model.after.going
            and job.model.status in ("paused", "failed", "completed", "cancelled")
        ):
            self.submit(place, fresh=job)

    def clear_limits(self, place, job):
        """End the rate limit of the agents by hand, if there is one; else nearly always something else."""
        if not self.world.limits.met and self.chance.random() < 0.9:
            self.end(place, job)
            return
        self.steps.append("limits cleared")
        self.told("instrument.clear_limits", instrument="agent")

    def remove(self, place, job):
        """Forget a run that has ended and that nobody waits for; a copy of before has not its output."""
        if not self.world.past:
            return
        one = self.chance.choice(self.world.past)
        self.catch_up()
        self.steps.append((one.address, "remove"))
        self.backup = None
        self.removed[one.name, one.run] = one.run_id
        self.world.past.remove(one)
        assert self.told("job.remove", job_id=one.address)["removed"] == [one.address]
        del self.world.others[one.address]

    def again(self, place, job):
        """Ask again what was answered long ago or just now, of runs too that are no more."""
        if self.world.answered:
            told = self.chance.choice(self.world.answered[-self.chance.choice([5, 200]) :])
            self.steps.append(("again", told.method, told.params["key"]))
            self.done["asked again"] += 1
            self.repeat(told)

    # --- accidents -------------------------------------------------------------------------------------------

    def delete(self, place, job):
        """Delete the directory of an attempt in flight, whose process the database knows."""
        for name in job.flying:
            flight = job.flights[name]
            if job.is_hook(name) or flight.deleted or flight.identity is None:
                continue
            top, *numbers = flight.identity.rsplit("-", 3)
            statement = (
                "SELECT pid FROM attempts WHERE run_id = ? AND uid = ? AND attempt = ? AND pid IS NOT NULL"
            )
            if committed(self.house, statement, *map(int, numbers)) is None:
                continue
            run_id, uid, attempt = numbers
            (directory,) = self.house.home.glob(f"**/{top}/{run_id}/{uid}-{attempt}")
            self.steps.append((job.address, "directory deleted", name))
            self.done["directory deleted"] += 1
            flight.deleted = True
            self.backup = None  # it need not know the process
            shutil.rmtree(directory)
            if self.chance.random() < 0.5:  # who comes next has never seen it
                self.kill()
                self.mourn()
                self.start()
            return

    def crash(self, place, job):
        """Killed at rest; while it is down attempts may end, and requests be made that reach nobody."""
        self.steps.append("kill")
        self.kill()
        self.mourn()
        self.down()
        self.start()

    def down(self):
        for job in self.world.jobs:
            if self.chance.random() < 0.5:
                self.end(None, job)
            if self.chance.random() < 0.3:
                self.send(job, "pause", Wanted())
        for job in self.world.jobs:
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

    def kill_at(self, place, job):
        """Kill the daemon or its workers in the midst of something: as soon as it is heard that it has begun."""
        kinds = ("loop.asked", "loop.asked", "skip.asked", "attempt.started", "attempt.ended", "hold.added")
        self.strike = self.chance.choice(kinds), self.chance.choice(["daemon", "workers"])
        self.steps.append(("to be killed", *reversed(self.strike)))
        for one in [job, *self.world.jobs]:
            self.end(place, one)

    def kill_supervisors(self, place, job):
        """Kill one or both supervisors of an attempt in flight: the other, or the daemon, ends what is left."""
        for name in job.flying:
            flight = job.flights[name]
            if flight.deleted or flight.identity is None:
                continue
            mark = os.fsencode(f"MARIANNE_ATTEMPT_ID={flight.identity}")
            home = os.fsencode(f"HOME={self.house.home}")
            found = sorted(pid for pid, given in environments() if mark in given and home not in given)
            if len(found) == 2:
                victims = found[: self.chance.choice([1, 2])] if self.chance.random() < 0.7 else found[1:]
                self.steps.append((job.address, f"{len(victims)} of 2 supervisors killed", name))
                self.done[f"{len(victims)} of 2 supervisors killed"] += 1
                flight.word = "lost"
                kill_all(victims)
                return

    def kill_workers(self, place, job):
        """Kill the workers of the pool while they are needed: it is an accident of ours, and changes nothing."""
        self.steps.append("workers killed")
        pauses = [0, *(self.chance.uniform(0, 0.02) for _ in range(3))]
        killer = threading.Thread(target=self.kill_workers_after, args=[pauses])
        killer.start()
        self.chance.choice([self.ask, self.end, self.end_and_ask])(place, job)
        killer.join()

    def kill_workers_after(self, pauses):
        for pause in pauses:
            threading.Event().wait(pause)
            workers = self.house.workers()
            self.done["workers killed"] += len(workers)
            kill_all(workers)

    def copy(self, place, job):
        """Write a copy of the database."""
        self.steps.append("backup")
        self.back_up()

    def restore(self, place, job):
        """Put the last copy back, as somebody does after a mishap."""
        if self.backup is not None:
            self.steps.append(f"the backup of event {self.backup.world.heard[-1]['event']} is put back")
            self.put_back()
            self.start()

    def stop(self, place, job):
        mode = self.chance.choice(["detach", "detach", "kill"])
        self.steps.append(f"stop --{mode}")
        self.stopping = True
        for flight in [flight for job in self.all_jobs for flight in job.flights.values()]:
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
        ("end", 40),
        ("ask", 36),
        ("end_and_ask", 10),
        ("file", 2),
        ("enough", 4),
        ("hour", 2),
        ("fresh", 2),
        ("clear_limits", 4),
        ("remove", 2),
        ("again", 3),
        ("delete", 3),
        ("crash", 1),
        ("kill_at", 5),
        ("kill_supervisors", 2),
        ("kill_workers", 2),
        ("crash_soon", 1),
        ("copy", 2),
        ("restore", 1),
        ("stop", 1),
        ("drain", 1),
    )


@pytest.mark.crash
@pytest.mark.timeout(300 + 5 * STEPS)  # of a loaded machine; alone it takes a fiftieth
def test_whatever_is_asked_whenever_it_is_killed_each_job_is_as_the_contract_says(house):
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    for name, profile in PROFILES.items():
        (place / f"{name}.yaml").write_text(profile)
    (house.home / "check.sh").write_text(CHECK)
    walk = Machine(house, SEED)
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
        audit(
            house,
            walk.world.answered,
            taken_back=walk.world.taken_back,
            outside=Outside(walk.world.heard, walk.removed, frozenset(walk.forgotten)),
        )
    except BaseException as error:
        error.add_note("\n".join(story(walk, taken)))
        raise
    finally:
        walk.leave()
    print(f"live walk: seed {SEED}, {taken} steps, {sum(walk.met.values())} events, {walk.names} jobs")
    for title, counts in (
        ("asked", walk.asked),
        ("done", walk.done),
        ("ends of the daemon", walk.ends),
        ("events", walk.met),
        ("compared", walk.compared),
    ):
        print(f"{title}: {', '.join(f'{what} {count}' for what, count in sorted(counts.items()))}")


def finish(walk):
    """Cancel what has not ended, and stop."""
    if walk.draining:
        walk.drain(None, None)
        walk.rest()
    for job in walk.all_jobs:
        walk.cancel(job)
    walk.catch_up()
    walk.stopping = True
    walk.leave()
    walk.house.stop()
