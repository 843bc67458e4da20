"""A job of a real daemon beside the model of it: what the journal tells is done to the model, line by line."""

import random
import re
import sqlite3

from control_model import Limits, Model, Wanted
from flying import COST, HOOK, SHEET, Flight, Request
from going_round import LiveLoop
from kit.daemon import score
from plain_scores import first_score

_HOUR = 3_600
_CAPTURED = 100_000
_RESUMES = ("resume", "resume --from", "resume --skip/--accept", "modify -r")
_NOTHING_IN_FLIGHT = ("queued", "paused", "completed", "failed", "cancelled")
_SKIPS = {"yes": "true", "no": "exit 1"}
_QUESTION = "the question of the loop"
_PAID = ("succeeded", "exit", "auth", "validation", "rate_limited")


class LiveJob:
    """A run of a job and its model. `lies` is whether a pause file lies in its workspace.

    `others` are all runs there are, by their addresses. A child's sheets write the same in each of its runs,
    for all come from one file.
    """

    def __init__(
        self, house, begun, others, name, run, plan, *, retries, limits=None, checked=False, child=False
    ):
        self.house = house
        self._begun = begun
        self.others = others
        self.name = name
        self.run = run
        self.retries = retries
        self.checked = checked
        self.is_child = child
        self.voice = name if child else f"{name}.{run}"
        self.is_agent = limits is not None
        self.model = Model(plan, max_retries=retries, limits=limits or Limits())
        self.submitted = child
        self.requests = []
        self.flights = {}
        self.parked = {}
        self.hook_flights = 0
        self._was_taken = False
        self.steps = 0
        self.history = []
        self.touched = True
        self.lies = False
        self._looked_at = set()
        self.loop = LiveLoop(self)
        self._run_id = None

    @property
    def address(self):
        return f"{self.name}@{self.run}"

    @property
    def run_id(self):
        if self._run_id is None:
            statement = "SELECT run_id FROM runs WHERE job_name = ? AND run = ?"
            (self._run_id,) = committed(self.house, statement, self.name, self.run)
        return self._run_id

    @property
    def flying(self):
        """The stages and hooks in flight whose end has not been asked for."""
        return [
            name
            for name in self.model.busy
            if name in self.flights and self.flights[name].word is None and name not in self.model.told_to_end
        ]

    @property
    def is_over(self):
        """Whether it has ended, and its hooks of a failure have run."""
        return self.model.ended is not None and not self.model.after.going

    @property
    def all_flights(self):
        return [*self.flights.values(), *self.parked.values()]

    @property
    def has_unseen(self):
        """Tell whether something may go on that no line of the journal tells of."""
        return bool(self.asking) or self.loop.asking or any(map(_is_short, self.model.sheets.values()))

    @property
    def asking(self):
        return [name for name in self.model.flying if self.model.sheets[name].asking]

    # --- its score ---------------------------------------------------------------------------------------

    def text(self, plan):
        """Return the score of a plan; those of the jobs that it starts are written as files."""
        numbers = {step.name: number for number, step in enumerate(plan.steps, 1)}
        skips = {numbers[step.name]: {"command": _SKIPS[step.skips]} for step in plan.steps if step.skips}
        check = {"type": "command_succeeds", "command": 'exec bash "$HOME/check.sh"'}
        return score(
            self.name,
            [SHEET.format(self.says(step)) for step in plan.steps],
            instrument="agent" if self.is_agent else "player",
            sheet={
                "dependencies": {
                    numbers[step.name]: sorted(numbers[need] for need in step.needs) for step in plan.steps
                },
                "skip_when_command": skips,
                **self.loop.text(plan, numbers),
            },
            movements={numbers[step.name]: {"name": step.name} for step in plan.steps if step.named},
            parallel={"enabled": True, "max_concurrent": plan.at_once, "fail_fast": plan.fail_fast},
            retry={
                "max_retries": self.retries,
                "base_delay_seconds": _HOUR,
                "max_delay_seconds": _HOUR + int(plan.checks or 0),
                "jitter": False,
                "max_completion_attempts": 0,
            },
            instrument_config={"max_output_capture_bytes": _CAPTURED + int(plan.tool or 0)},
            on_failure=[self._hook(hook) for hook in plan.after] or plan.on_failure,
            validations=[check] if self.checked else [],
            on_success=[self._hook(hook) for hook in plan.hooks],
            concert={"cooldown_between_jobs_seconds": 0},
            **({} if plan.budget is None else {"cost_limits": {"max_cost_per_job": plan.budget}}),
            **({} if plan.wall is None else {"max_wall_seconds": plan.wall}),
        )

    def says(self, step):
        """Return the name under which a step writes into the ledger: its prompt's, so that it may be renamed."""
        return f"{self.voice}.{step.prompt.replace(chr(39), '+')}"

    def _hook(self, hook):
        if hook.kind == "command":
            return {"type": "run_command", "command": HOOK.format(f"{self.voice}.{hook.name}")}
        child = child_of(self.house, self._begun, self.others, f"{self.name}-{hook.name}", 1)
        file = self.house.home / f"{child.name}.yaml"
        if not file.exists():  # the daemon may just be reading it
            file.write_text(child.text(child.model.score))
        return {"type": "run_job", "job_path": str(file), "detached": hook.kind == "detached"}

    # --- asking ----------------------------------------------------------------------------------------

    def request(self, key, action, wanted: Wanted, *, wait):
        """Make a request of this job, not yet sent."""
        made = Request(key, action, wanted, wait, *self._asked(action, wanted))
        made.params |= {"job_id": self.name, "key": key, "reason": key}
        if action != "retry" and (action != "modify --discard" or wait):
            made.params |= {"wait": wait, "timeout": _HOUR}
        made.could_refuse = not self.model.accepts(action, wanted)
        self.requests.append(made)
        self.touched = True
        return made

    def _asked(self, action, wanted: Wanted):
        steps = (wanted.new or self.model.score).steps
        numbers = {step.name: number for number, step in enumerate(steps, 1)}
        sheets = ",".join(str(numbers[name]) for name in wanted.sheets) or None
        match action:
            case "pause" | "pause --now":
                params = {"now": action == "pause --now", "for": wanted.lasts, "deadline": wanted.deadline}
            case "pause --before":
                params = {"before": sheets, "clear": wanted.clear}
            case "resume" | "resume --from":
                params = {"only" if wanted.alone else "from": sheets, "over_budget": wanted.over or None}
            case "resume --skip/--accept":
                params = {"skip" if wanted.skip else "accept": sheets, "over_budget": wanted.over or None}
            case "modify" | "modify -r":
                params = {"resume": action == "modify -r", "rerun": "changed" if wanted.changed else sheets}
                if wanted.new is not None:
                    params |= {"text": self.text(wanted.new), "directory": str(self.house.home)}
            case "modify --discard":
                params = {"discard": True}
            case "retry":
                params = {"sheets": sheets}
            case _:
                params = {}
        return f"job.{action.split()[0]}", {
            name: value for name, value in params.items() if value is not None
        }

    @property
    def workspace(self):
        return self.house.home / f"{self.name}-work"

    @property
    def pause_file(self):
        return self.workspace / f".marianne-pause-{self.name}"

    def put_pause_file(self, *, runs=False):
        """Put it there; where the daemon runs, what it is about to start may have been looked at already."""
        self.pause_file.write_text("stop")
        self.lies = True
        self._looked_at = set(self._starts_next()) if runs else set()

    def _looks_first(self, name, event):
        """Nothing begins over a pause file."""
        assert not self.lies or name in self._looked_at, f"it starts over a pause file: {event}"
        self._looked_at.discard(name)

    def an_hour_passes(self):
        """Count an hour more of the time that it has run, in the database of a dead daemon, and in the model."""
        found = sqlite3.connect(self.house.state / "marianne.db", timeout=30)
        with found:
            statement = "UPDATE runs SET wall_milliseconds = wall_milliseconds + ? WHERE run_id = ?"
            found.execute(statement, (_HOUR * 1000, self.run_id))
        found.close()
        self.model.ran += _HOUR
        self.follow()

    # --- what the journal tells ----------------------------------------------------------------------

    def happens(self, event):
        """Do to the model what an event tells."""
        self.touched = True
        self.history.append(
            f"{event['event']} {event['type']} {event['text']} ({event['reason']}) {event['status']}"
        )
        if self.asking or self.loop.asking:
            self._answered_meanwhile(event)
        asked = next((one for one in self.requests if one.key == event["reason"]), None)
        before = self.model.status
        if event["type"] in ("attempt.started", "skip.asked"):
            self._starts(event, before)
        elif event["type"] == "loop.asked":
            self._is_asked(event, before)
        elif self._in_flight(event) or self._from_outside(event, asked):
            self._follow(0, before)

    def _in_flight(self, event):
        """Do what has come of something in flight, or of a hook; tell whether it was that."""
        kind = event["type"]
        if kind in ("attempt.ended", "attempt.parked"):
            self._ends(event)
        elif kind in ("sheet.skipped", "skip.failed") and event["reason"] != "asked":  # else by its request
            assert (kind, self._step(event).skips) == ("sheet.skipped", "yes"), event
            self.model.judge(self._step(event).name, "yes")
        elif self.loop.is_answer(event):
            self.loop.judged(event)
        elif kind == "hook.started":
            self._starts_hook(event)
        elif kind.startswith("hook.") and kind != "hook.warned":
            self._hook_ends(event)
        else:
            return False
        return True

    def _from_outside(self, event, asked):
        """Do what somebody has asked for, by a request or a file; tell whether it was that."""
        if event["type"] == "job.submitted":
            if asked is not None:
                self.submitted = asked.happened = True
                self.model.answers[asked.key] = "done"
        elif asked is not None:
            self._asks(asked, event)
        elif event["caller"] and event["caller"]["name"] == "file":
            assert self.lies, "a pause file was found that is not there"
            self.model.file()
        elif event["caller"] is not None and event["reason"] and self.model.ended != "cancelled":
            self.model.end("cancelled")  # a fresh run takes its place
        else:
            return False
        return True

    def _step(self, event):
        return self.model.score.steps[event["sheet"] - 1]

    def follow(self):
        """Let follow from elsewhere what does."""
        self._follow(0, self.model.status)

    def _follow(self, slots, before):
        started = self.model.follow(slots, before)
        if self.model.ended:
            self.lies = False
        for one in self.requests:
            if not one.happened and one.wanted is not None:
                one.could_refuse |= not self.model.accepts(one.action, one.wanted)
        return started

    def _answered_meanwhile(self, event):
        """See from an event that skip rules were asked, though no line says so: they did not say yes."""
        at_rest = event["status"] in _NOTHING_IN_FLIGHT or event["type"] in (
            "revision.applied",
            "sheets.rewound",
        )
        starts = event["type"] in ("attempt.started", "skip.asked")
        own = self._step(event).name if starts else None
        for name in sorted(self.asking, key=lambda name: name != own):
            full = starts and len(self.model.flying) >= self.model.score.at_once
            if event["type"] != "sheet.skipped" and (at_rest or name == own or full):
                self.was_judged(name)
        asked_anew = event["type"] == "loop.asked"
        if self.loop.asking and not self.loop.is_answer(event) and (at_rest or asked_anew):
            self.round_was_judged()

    def was_judged(self, name):
        """Skip rules were asked, or not to the end."""
        before = self.model.status
        self.model.judge(name, "unknown")
        self._follow(0, before)

    def round_was_judged(self):
        """A round was asked about, and the answer dropped or not waited for."""
        before = self.model.status
        self.model.round_judged("unknown")
        self._follow(0, before)

    def _is_asked(self, event, before):
        """The question of the loop is asked."""
        self._looks_first(_QUESTION, event)
        assert self.model.may_start(), event
        assert self.model.rounds.due(self.model), event
        assert self._follow(1, before) == [], event
        assert self.loop.asking, event

    def _starts(self, event, before):
        step = self._step(event)
        self._looks_first(step.name, event)
        assert self.model.may_start(), event
        sheet = self.model.sheets[step.name]
        asks, checks = event["type"] == "skip.asked", "the checks of attempt" in event["text"]
        assert checks == (sheet.parked and not asks), event
        if _is_short(sheet):
            sheet.status, sheet.waits_for = "pending", ""
        if step.skips and not checks:
            assert sheet.judged is not True if asks else sheet.judged or step.skips == "no", event
            sheet.judged = not asks
        assert self._follow(1, before) == [step.name], event
        if asks:
            assert sheet.asking, event
            return
        assert sheet.attempts == event["attempt"], event
        self.flights[step.name] = (
            self.parked.pop(sheet.number)
            if checks
            else self._flight(self.says(step), sheet.number, sheet.attempts)
        )

    def _flight(self, *which):
        said, *rest = which
        return Flight(self.house, self._begun, said, self.run_id, *rest)

    def _ends(self, event):
        name = self._step(event).name
        flight = self.flights.pop(name)
        told = name in self.model.told_to_end
        allowed = flight.ends(told=told)
        flight.close()
        if event["type"] == "attempt.parked":
            assert told or flight.stopped, event
            assert flight.word is not None, event  # its process has ended, and is judged later
            self.parked[self.model.sheets[name].number] = flight
            self.model.park(name)
            return
        (outcome,) = re.findall(r"attempt \d+ (\w+)", event["text"])
        how = {"failed": event["cause"]}.get(outcome, outcome)
        assert how in allowed, f"{event}; it could only end as {allowed}"
        flight.interrupted = flight.interrupted or how == "interrupted"
        self.loop.ended(self.model.sheets[name].number, well=how == "succeeded")
        self.model.ends(name, how, COST if self.is_agent and how in _PAID else 0)

    def _starts_hook(self, event):
        hook = self._hook_step(event)
        self._looks_first(hook.name, event)
        assert self.next_hook == hook.name, event
        self.hook_flights += 1
        self.model.begin_hook(hook.name)
        if hook.kind == "command":
            self.flights[hook.name] = self._flight(f"{self.voice}.{hook.name}", "hook", self.hook_flights)
        self._was_taken = self._is_taken(hook)

    def _hook_step(self, event):
        score = self.model.score
        return [*score.hooks, *score.after][event["hook"] - 1]

    def is_hook(self, name):
        return name in self.model.hooks.rows or name in self.model.after.rows

    @property
    def next_hook(self):
        """The hook that may start now; None: none may."""
        turn = self.model.turn()
        if turn is None or not self.model.may_start_hook():
            return None
        hook = self.model.hook(turn)
        return turn if hook.status == "pending" or hook.waits_for == "end" else None

    def _hook_ends(self, event):
        hook = self._hook_step(event)
        row = self.model.hook(hook.name)
        how, chained = event["type"].removeprefix("hook."), row.chained
        told = hook.name in self.model.told_to_end
        if how == "waiting":
            submitted = re.search(r"submitted (\S+), and waits", event["text"])
            how, chained = ("job", submitted[1]) if submitted else ("kept", None)
            assert how == {"job": "job", "detached": "kept"}[hook.kind], event
        elif hook.kind == "command":
            flight = self.flights.pop(hook.name)
            ends = {
                {"succeeded": "completed", "interrupted": "interrupted"}.get(end, "failed")
                for end in flight.ends(told=told)
            }
            flight.close()
            flight.interrupted = flight.interrupted or how == "interrupted"
            assert how in ends | ({"failed"} if flight.stopped else set()), event
        elif how == "completed" and hook.kind == "job":
            assert chained is not None, event
            assert self.others[chained].model.ended_as & {"completed"}, event
        elif how == "failed":
            how = "refused" if event["cause"] == "refused" else how
            assert how == "refused" or self._may_fail(hook, row), event
        if event["cause"] == "lost" and hook.name in self.model.hooks.rows:
            how = "lost"  # the end of a job that has failed already stays as it is
        self.model.hook_ends(hook.name, how, chained)

    def _may_fail(self, hook, row):
        """Tell whether the job of a hook may not have done its work: it ended badly, or its name is taken."""
        if row.waits_for == "job":
            return row.chained not in self.others or self.others[row.chained].model.ended_as - {"completed"}
        return self._was_taken or self._is_taken(
            hook
        )  # it is asked after the start, and answered before the end

    def _is_taken(self, hook):
        """Tell whether the name of a hook's job belongs to a run that has not ended."""
        name = f"{self.name}-{hook.name}"
        runs = [job for job in self.others.values() if job.name == name]
        return bool(runs) and runs[-1].model.ended not in ("completed", "cancelled")

    def _asks(self, asked, event):
        assert not asked.happened, f"it is in the journal twice: {event}"
        asked.happened = True
        assert self.model.accepts(asked.action, asked.wanted), f"it is {self.model.status}: {event}"
        self.model.ask(asked.key, asked.action, asked.wanted, wait=asked.wait, keyed=True)
        if asked.action in _RESUMES:
            self.lies = False

    # --- comparing -------------------------------------------------------------------------------------

    def unrest(self, *, draining):
        """Say what is still to come by itself; nothing: the job is at rest."""
        model = self.model
        busy = [name for name in model.busy if name not in self.flying]
        yield from (f"{self.address}: {name} ends, {self.flights.get(name)}" for name in busy)
        if not self.submitted:
            yield "it is submitted"
        elif not draining and not self.lies:
            yield from (f"{name} starts" for name in self._starts_next())
        for name, hook in model.hooks.rows.items():
            child = self.others.get(hook.chained) if hook.waits_for == "job" else None
            if child is not None and child.model.ended:
                yield f"{name} hears of the end of {hook.chained}"
        for one in self.requests:
            if one.said is None and (one.key in model.answers or not one.happened):
                yield f"an answer to {one}"
            if one.said is not None and not (one.could_refuse if one.said == "E502" else one.happened):
                yield f"what explains {one}"

    def _starts_next(self):
        """Name what has a slot as soon as it is looked at."""
        model = self.model
        if model.may_start():
            room = len(model.flying) < model.score.at_once
            ready = [] if self.is_agent and model.limits.met else model.ready()
            yield from ready[: int(room)]
            if model.rounds.due(model):
                yield _QUESTION
        if self.next_hook is not None:
            yield self.next_hook

    def settle_requests(self):
        """Compare each answer with the model's; return those that are answered."""
        over = [one for one in self.requests if one.said is not None]
        for one in over:
            self.requests.remove(one)
            if one.said == "E502":
                assert not one.happened
            elif one.wait or one.action not in _RESUMES:
                assert self.model.answers.get(one.key) == one.said, f"{one}; the model: {self.model}"
            else:
                assert one.key in self.model.answers, one
        return over

    def look(self, all_is_heard):
        """Look at the daemon for what no line of the journal tells: what was asked, a wait that is over.

        `all_is_heard` tells whether no line has been written meanwhile, that says it after all.
        """
        looked = self.house.status(self.address)
        if not all_is_heard():
            return
        told = looked["sheets"]
        if self.loop.asking and not any(flight.get("loop") for flight in looked["in_flight"]):
            self.round_was_judged()
        for (name, sheet), seen in zip(list(self.model.sheets.items()), told, strict=False):
            if sheet.asking and seen["status"] == "pending":
                self.was_judged(name)
            if _is_short(sheet) and seen["status"] == "pending":
                sheet.status, sheet.waits_for = "pending", ""

    def differences(self):
        """Say what the daemon tells and the model does not."""
        told, model = self.house.status(self.address), self.model
        names = list(model.sheets)
        hooks = [*model.hooks.rows.values(), *model.after.rows.values()]
        pairs = {
            "status": (told["status"], model.status),
            "sheets": (
                [
                    (s["status"], s["attempt_count"], s["status"] == "waiting" and s["waiting_for"])
                    for s in told["sheets"]
                ],
                [
                    (s.status, s.attempts, s.status == "waiting" and s.waits_for)
                    for s in model.sheets.values()
                ],
            ),
            "labels": (
                [
                    s["label"]
                    for s, step in zip(told["sheets"], model.score.steps, strict=False)
                    if step.named
                ],
                [step.name for step in model.score.steps if step.named],
            ),
            "hooks": (
                [(h["status"], h["status"] == "waiting" and h["waiting_for"]) for h in told["hooks"]],
                [(h.status, h.status == "waiting" and h.waits_for) for h in hooks],
            ),
            "loops": self.loop.difference(told),
            "cost": (told["cost"]["usd"], model.spent),
            "holds": ([_cause(hold) for hold in told["holds"]], model.causes),
            "revision": (told["revision"], model.revision),
            "staged": (told["staged_revision"] is None, model.staged is None),
            "breakpoints": ({names[at["sheet"] - 1] for at in told["breakpoints"]}, model.breaks),
        }
        return {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}


def child_of(house, begun, others, name, run):
    """Return the job of this name that a hook starts: one or two sheets, always the same."""
    chance = random.Random(name)
    plan = first_score(
        chance.randint(1, 2), chance.randrange(8), 1, fail_fast=True, on_failure="fail", told_apart=True
    )
    return LiveJob(house, begun, others, name, run, plan, retries=0, child=True)


def committed(house, statement, *values):
    """Return the first row that a statement finds in the database, while the daemon writes or is dead."""
    found = sqlite3.connect(f"file:{house.state / 'marianne.db'}?mode=ro", uri=True, timeout=30)
    try:
        return found.execute(statement, values).fetchone()
    finally:
        found.close()


def _is_short(sheet):
    """Tell whether a sheet waits for the only time that is short enough to end here: after two lost attempts."""
    return sheet.waits_for == "retry" and sheet.lost == 2


def _cause(hold):
    return "file" if hold["owner"] and hold["owner"]["name"] == "file" else hold["cause"]
