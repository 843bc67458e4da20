"""A second, slow and plain writing of the contract of control, to compare the real one with.

It knows sheets by their stage's name, scans everything at every step, and shares no code with the
product. Times are seconds. Source: docs/design/control.md §2-§8, docs/reference/score-format.md §7.3 and §14-§17.
"""

from dataclasses import dataclass, field

from hook_model import After, Hook, Hooks
from loop_model import Rounds
from model_accepts import is_accepted, try_now
from model_answers import goal_reached, taken_back
from model_limits import end_holds, keep_to_limits
from model_parts import DONE, Definition, Hold, Limits, Sheet, Waiter, Wanted
from plain_scores import Score, Step, waits_in
from return_model import Past, forget, origins, place_of, shape

MAX_RETRIES = 1
RETRY_SECONDS = 10
LOST_SECONDS = 10
RATE_LIMIT_SECONDS = 3600


@dataclass
class Model:
    """One job."""

    score: Score
    max_retries: int = MAX_RETRIES
    now: float = 0
    ended: str | None = None
    cancel: bool = False
    begun: bool = False
    holds: dict[int, Hold] = field(default_factory=dict)
    last_hold: int = 0
    staged: Score | None = None
    staged_hold: int | None = None
    rewind: set[int] = field(default_factory=set)
    """The sheets that are to run again, by their own numbers."""
    breaks: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    rounds: Rounds = field(default_factory=Rounds)
    told_to_end: set[str] = field(default_factory=set)
    rerun_dropped: bool = False
    revision: int = 1
    last_revision: int = 1
    paused_at: float = 0
    sheets: dict[str, Sheet] = field(default_factory=dict)
    earlier: list[Score] = field(default_factory=list)
    """The scores that were in force before this one."""
    past: dict[int, Past] = field(default_factory=dict)
    left_scores: dict[str, list[int]] = field(default_factory=dict)
    """Of each score that was in force the sheets that were done when it was left, by their numbers."""
    last_sheet: int = 0
    waiters: list[Waiter] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    outcome: bool = False
    just_asked: str = ""
    spent: float = 0
    ran: float = 0
    over_budget: float = 0
    limits: Limits = field(default_factory=Limits)
    hooks: Hooks = field(init=False)
    after: After = field(init=False)
    had_ended: bool = False
    """It had ended before this step."""
    ended_as: set[str] = field(default_factory=set)
    """All the ways it has ended, of which a resume has taken back all but the last."""

    def __post_init__(self) -> None:
        """Every sheet begins as pending, and every hook."""
        self.sheets = {step.name: self.new_sheet() for step in self.score.steps}
        self.hooks = Hooks(self.score.hooks)
        self.after = After(self.score.after)

    def new_sheet(self) -> Sheet:
        self.last_sheet += 1
        return Sheet(number=self.last_sheet)

    # --- looking ---------------------------------------------------------------------------------------

    @property
    def flying(self) -> list[str]:
        return [step.name for step in self.score.steps if self.sheets[step.name].status == "running"]

    @property
    def busy(self) -> list[str]:
        """What is in flight: sheets, a hook, or the question whether a loop goes on."""
        return self.flying + self.hooks.flying + self.after.flying + ["loop"] * self.rounds.asking

    @property
    def status(self) -> str:
        if self.ended:
            return self.ended
        if self.cancel and self.busy:
            return "cancelling"
        if (self.holds or self.staged or self.rewind) and self.busy:
            return "pausing"
        if self.holds:
            return "paused"
        return "running" if self.busy or self.begun else "queued"

    def may_start(self) -> bool:
        return not (self.ended or self.after.going) and self.is_free()

    def may_start_hook(self) -> bool:
        """A hook may start as anything else; those of a failure in a job that has ended, too."""
        return (self.after.going or not self.ended) and self.is_free()

    def is_free(self) -> bool:
        return not (self.cancel or self.holds or self.staged or self.rewind)

    def hook(self, name: str) -> Hook:
        return (self.hooks.rows | self.after.rows)[name]

    @property
    def causes(self) -> list[str]:
        return [hold.cause for hold in self.holds.values()]

    def step(self, name: str) -> Step:
        return next(step for step in self.score.steps if step.name == name)

    def needs(self, name: str) -> frozenset[str]:
        """Tell what a step waits for: what it needs, and the end of a loop that it needs a step of."""
        return waits_in(self.score, self.step(name))

    def turn(self) -> str | None:
        """Name the hook whose turn it is, once all sheets are done; before it those of a failure."""
        return self.after.turn() if self.after.going else self.success_turn()

    def success_turn(self) -> str | None:
        sheets = self.sheets.values()
        due = all(sheet.status in DONE for sheet in sheets) and any(sheet.attempts for sheet in sheets)
        due = due and self.rounds.open(self) is None
        return self.hooks.turn(self.score.on_failure) if due else None

    def passes(self, seconds: float) -> None:
        """Time passes; it counts while the job runs, not while hooks of its failure are to end."""
        self.now = round(self.now + seconds, 3)
        if self.status in ("running", "pausing", "cancelling") and not self.after.going:
            self.ran = round(self.ran + seconds, 3)

    def blocked(self, name: str) -> bool:
        return any(self.sheets[need].status == "failed" or self.blocked(need) for need in self.needs(name))

    def sheet_failed(self) -> bool:
        return any(sheet.status == "failed" for sheet in self.sheets.values())

    def failed(self) -> bool:
        return self.sheet_failed() or self.hooks.failed

    def left(self) -> bool:
        """Tell whether anything could still start, breakpoints or not."""
        return bool(self.could_start()) or self.turn() is not None or self.rounds.due(self)

    def could_start(self) -> list[str]:
        """Name the sheets that could still start, breakpoints or not."""
        if self.sheet_failed() and self.score.fail_fast:
            return []
        return [
            name
            for name, sheet in self.sheets.items()
            if sheet.status in ("pending", "waiting") and not self.blocked(name)
        ]

    def behind(self, name: str) -> bool:
        """Tell whether a breakpoint stands before a sheet, or before one that it needs."""
        return name in self.breaks or any(self.behind(need) for need in self.needs(name))

    def below(self, names: set[str], score: Score | None = None) -> set[str]:
        """Name these sheets and all that depend on them."""
        found = set(names)
        known = score or self.score
        while more := {s.name for s in known.steps if waits_in(known, s) & found} - found:
            found |= more
        return found

    def may_begin(self, name: str, done: set[str]) -> bool:
        """Tell whether nothing but a breakpoint keeps a step from starting."""
        return self.needs(name) <= done and not self.rounds.waits_for_it(self, name)

    def ready(self) -> list[str]:
        if self.sheet_failed() and self.score.fail_fast:
            return []
        return [
            step.name
            for step in self.score.steps
            if self.sheets[step.name].status == "pending"
            and step.name not in self.breaks
            and all(self.sheets[need].status in DONE for need in self.needs(step.name))
            and not self.blocked(step.name)
            and not self.rounds.waits_for_it(self, step.name)
        ]

    @property
    def begun_with(self) -> list[str]:
        """The sheets that are done or run: without the others nothing would be left to start."""
        return [name for name, sheet in self.sheets.items() if sheet.status in ("running", *DONE)]

    def must_ask(self, name: str) -> bool:
        """Tell whether the skip rules of a sheet that is ready are asked before it starts."""
        return bool(self.step(name).skips) and not self.sheets[name].judged

    # --- what happens ----------------------------------------------------------------------------------

    def ends(self, name: str, how: str, cost: float = 0) -> None:
        """The attempt in flight of a sheet ends."""
        sheet = self.sheets[name]
        self.outcome = True
        self.spent += cost
        lost, sheet.lost = sheet.lost, 0
        self.told_to_end.discard(name)
        match how:
            case "succeeded":
                self.is_done(name, "completed")
            case _ if self.rounds.ends_round(self, name, how):
                self.is_done(name, "completed")
            case "exit" | "validation" if sheet.tries < self.max_retries:
                sheet.tries += 1
                sheet.wait("retry", self.now + RETRY_SECONDS)
            case "exit" | "config" | "validation":
                sheet.status = "failed"
                sheet.tries += how != "config"
            case "lost":
                sheet.lost = lost + 1
                sheet.status = "failed" if sheet.lost == 3 else "pending"
                if sheet.lost == 2:
                    sheet.wait("retry", self.now + LOST_SECONDS)
            case "interrupted":
                sheet.status = "pending"
            case "rate_limited":
                self.limits.met, self.limits.cleared = True, False
                sheet.wait("rate_limit", self.now + RATE_LIMIT_SECONDS)
            case "auth":
                sheet.status = "pending"
                if "auth" not in self.causes:
                    self.hold("auth")

    def is_done(self, name: str, status: str) -> None:
        """A sheet is done as what it is, where it is."""
        sheet = self.sheets[name]
        sheet.status = status
        sheet.made_as, sheet.made_at = self.stands_as(name), place_of(self.score, self.step(name))

    def park(self, name: str) -> None:
        """The checks of an attempt that has succeeded were ended: they run again."""
        self.sheets[name].status, self.sheets[name].parked = "pending", True
        self.told_to_end.discard(name)

    def judge(self, name: str, said: str) -> None:
        """The skip rules of a sheet have been asked: `yes`, `no`, or it is not known."""
        sheet = self.sheets[name]
        self.outcome = True
        self.told_to_end.discard(name)
        sheet.asking = False
        sheet.status = "pending"
        if said == "yes":
            self.is_done(name, "skipped")
        sheet.judged = {"yes": True, "no": True}.get(said)

    def round_judged(self, said: str) -> None:
        """The `until` of the loop has its answer."""
        self.rounds.judged(self, said)

    def begin_hook(self, name: str) -> None:
        """A hook starts, or the job is looked for that it started before."""
        self.hook(name).become("running")
        self.hook(name).refused = False
        self.begun = True

    def hook_ends(self, name: str, how: str, chained: str | None = None) -> None:
        """What is in flight of a hook ends; the end of a job that it waits for is no outcome."""
        self.outcome = self.hook(name).waits_for != "job"
        self.told_to_end.discard(name)
        (self.after if name in self.after.rows else self.hooks).ends(name, how, chained)

    def hold(self, cause: str, deadline: float | None = None, lasts: float | None = None) -> int:
        self.last_hold += 1
        until = None if deadline is None else round(self.now + deadline, 3)
        self.holds[self.last_hold] = Hold(cause, until, lasts)
        return self.last_hold

    def file(self) -> None:
        """A pause file is found."""
        if not self.ended and not self.cancel and "file" not in self.causes:
            self.hold("file")

    def accepts(self, action: str, wanted: Wanted) -> bool:
        """Tell whether a request is accepted as things stand."""
        return is_accepted(self, action, wanted)

    def mark(self, wanted: Wanted) -> None:
        """Take a person's word for it that sheets are done."""
        for name in wanted.sheets:
            self.sheets[name].is_done("skipped" if wanted.skip else "completed")
            self.is_done(name, "skipped" if wanted.skip else "completed")
        self.breaks -= set(wanted.sheets)
        self.passed -= set(wanted.sheets)
        self.rounds.marked(self)

    def ask(self, name: str, action: str, wanted: Wanted, *, wait: bool, keyed: bool) -> None:
        """Carry an accepted request out."""
        hold: int | None = None
        status = self.status
        self.over_budget += wanted.over
        if action == "pause --before":
            named = set(wanted.sheets)
            self.passed -= (named or self.passed) if wanted.clear else named
            self.breaks = self.breaks - (named or self.breaks) if wanted.clear else self.breaks | named
        brought = self.bring(action, wanted)
        if action in ("pause", "pause --now"):
            hold = self.hold("user", 0 if action == "pause --now" else wanted.deadline, wanted.lasts)
        if action == "modify" and brought and not self.ended:
            hold = self.hold("user")
            if self.staged or self.rewind:
                if self.staged_hold is not None:
                    self.holds.pop(self.staged_hold, None)
                self.staged_hold = hold
        if action == "resume --skip/--accept":
            self.mark(wanted)
        if action in ("resume", "resume --from", "resume --skip/--accept", "modify -r"):
            self.go_on(status, rewound=action == "resume --from")
        if action == "modify --discard":
            self.drop_staged()
        if action == "retry":
            for sheet in try_now(self, wanted):
                sheet.status, sheet.waits_for = "pending", ""
        if action == "cancel" and status == "failed":
            self.told_to_end |= self.after.give_up()
        elif action == "cancel" and status != "cancelling":
            self.cancel = True
            self.drop_staged()
            self.told_to_end |= set(self.busy)
        newest = self.last_staged_or_current()
        mark = self.last_hold + 1 if hold is None else hold
        self.waiters.append(Waiter(name, action, wait, keyed, hold, mark, newest))
        self.just_asked = name

    def bring(self, action: str, wanted: Wanted) -> bool:
        """Stage a new score and what is to run again, at once in force where nothing is in flight."""
        if action not in ("modify", "modify -r", "resume --from"):
            return False
        new = wanted.new
        if wanted.alone:
            for name in wanted.sheets:
                self.sheets[name].begin_anew(shown=self.ended)
            return True
        revised = new is not None and new.written != (self.staged or self.score).written
        again = self.named(new, wanted.sheets)
        if wanted.changed:
            again |= self.changed(new)
        if revised and new is not None:
            self.drop_staged()
            self.last_revision += 1
            self.staged = new
        self.rewind |= again
        if not self.busy and (revised or again):
            self.apply()
        return revised or bool(again)

    def named(self, new: Score | None, names: tuple[str, ...]) -> set[int]:
        """Number the sheets that are meant: beside a new score it is that one's sheets that are named."""
        if new is None:
            return {self.sheets[name].number for name in names}
        numbers = self.numbers(new)
        meant = set(names) | self.below({name for name in names if name not in numbers}, new)
        return {numbers[name] for name in meant if name in numbers}

    def numbers(self, score: Score) -> dict[str, int]:
        """Number the sheets that steps of a score are, by their names; those that are new have none yet."""
        found = origins(self, score)
        return {name: self.sheets[before].number for name, before in found.was.items()} | found.back

    def stands_as(self, name: str) -> Definition:
        """Tell what a step of the score in force is."""
        step = self.step(name)
        return Definition.of(self.score, step, (self.sheets[need].number for need in step.needs))

    def definition(self, score: Score, name: str) -> Definition:
        """Tell what makes a step of a score to come what it is (None: it needs a new one)."""
        numbers = self.numbers(score)
        step = next(step for step in score.steps if step.name == name)
        return Definition.of(score, step, (numbers.get(need) for need in step.needs))

    def changed(self, new: Score | None) -> set[int]:
        """Number what is completed and was made as another step than in the score that is to come."""
        to_come = new or self.staged or self.score
        found = origins(self, to_come)
        sheets = {name: self.sheets[before] for name, before in found.was.items()}
        sheets |= {name: self.past[number].sheet for name, number in found.back.items()}
        return {
            sheet.number
            for name, sheet in sheets.items()
            if sheet.status == "completed" and sheet.made_as != self.definition(to_come, name)
        }

    def last_staged_or_current(self) -> int:
        return self.last_revision if self.staged else self.revision

    def go_on(self, status: str, *, rewound: bool) -> None:
        """Resume: of an ended job, of a paused or pausing one; of the others it is nothing."""
        if status in ("failed", "cancelled", "completed"):
            if status != "completed" or rewound:
                self.reset()
            self.ended, self.begun = None, bool(self.busy)
        elif status in ("paused", "pausing"):
            if "failure" in self.causes or not (self.busy or self.left()):
                self.reset()
            if status == "paused":
                self.go_on_waiting()
            self.holds.clear()
            self.staged_hold = None
            self.begun = bool(self.busy)

    def go_on_waiting(self) -> None:
        for sheet in self.sheets.values():
            if sheet.waits_for == "retry" and sheet.until > self.paused_at:
                sheet.until = round(sheet.until + self.now - self.paused_at, 3)

    def reset(self) -> None:
        for sheet in self.sheets.values():
            if sheet.status in ("failed", "cancelled"):
                sheet.begin_anew(keeps_attempt=True)
        self.hooks.reset()

    def drop_staged(self) -> None:
        self.rerun_dropped = self.rerun_dropped or bool(self.rewind)
        self.rewind = set()
        self.staged = None
        if self.staged_hold is not None:
            self.holds.pop(self.staged_hold, None)
        self.staged_hold = None

    def apply(self) -> None:
        """What is staged is in force, and what is to run again is at its beginning."""
        reruns = bool(self.rewind)
        if self.staged:
            self.adopt()
        named = {name for name, sheet in self.sheets.items() if sheet.number in self.rewind}
        names = self.below(named)
        again = {self.sheets[name].number for name in names}
        for name in names:
            self.sheets[name].begin_anew(shown=self.ended)
        self.rounds.rewound(self, names, named)
        forget(self, again)
        if reruns:
            self.hooks.rewind()
        self.rewind, self.staged_hold = set(), None
        self.rounds.marked(self)

    def adopt(self) -> None:
        """The staged revision is in force: each sheet is who it was, whatever its stage is called now."""
        assert self.staged
        assert not self.busy
        found = origins(self, self.staged)
        was, back = found.was, found.back
        is_now = {name: self.definition(self.staged, name) for name in was}
        was_then = {name: self.stands_as(name) for name in self.sheets}
        done = [sheet.number if sheet.status in DONE else 0 for sheet in self.sheets.values()]
        self.left_scores[shape(self.score)] = done
        left = self.rounds.leave(self)
        for name, sheet in self.sheets.items():
            if name not in was.values() and sheet.status in DONE:
                span = self.score.loop.span if self.score.loop else frozenset()
                played_with = (
                    frozenset(self.sheets[one].number for one in span) if name in span else frozenset()
                )
                place = place_of(self.score, self.step(name))
                self.past[sheet.number] = Past(was_then[name], place, sheet, played_with)
        sheets: dict[str, Sheet] = {}
        for step in self.staged.steps:
            if step.name in back:
                sheets[step.name] = self.past.pop(back[step.name]).sheet
                continue
            if step.name not in was:
                sheets[step.name] = self.new_sheet()
                continue
            before = was[step.name]
            sheet = sheets[step.name] = self.sheets[before]
            now, then = is_now[step.name], was_then[before]
            begun = sheet.attempts or sheet.judged is not False
            self.rounds.judge_again(self, step.name, before, same=now == then)
            if sheet.status in ("failed", "cancelled") or (
                now != then and sheet.status not in DONE and begun
            ):
                sheet.begin_anew(keeps_attempt=now.runs == then.runs, shown=self.ended)
        self.hooks.adopt(self.staged.hooks)
        self.after.adopt(self.staged.after)
        self.breaks = {name for name, before in was.items() if before in self.breaks}
        self.passed = {name for name, before in was.items() if before in self.passed}
        self.earlier.append(self.score)
        self.score, self.staged, self.sheets, self.revision = self.staged, None, sheets, self.last_revision
        self.rounds.adopted(self, left)

    def end(self, how: str) -> None:
        for sheet in self.sheets.values():
            if sheet.status in ("pending", "waiting"):
                sheet.status = "cancelled" if how == "cancelled" else "pending"
                sheet.waits_for = ""
        if how == "cancelled":
            self.hooks.cancel()
        if self.after.going and not self.ended:
            self.after.give_up()
        self.drop_staged()
        self.holds.clear()
        self.ended, self.cancel = how, False
        self.ended_as.add(how)
        if how == "failed":
            self.after.begin()

    # --- what follows ----------------------------------------------------------------------------------

    def follow(self, slots: int, before: str) -> list[str]:
        """Ends of holds and waits, settling, starting, deadlines, answering; return the sheets that start."""
        self.had_ended = before in ("completed", "failed", "cancelled")
        end_holds(self)
        self.settle()
        if self.may_start():
            for sheet in self.sheets.values():
                lifted = sheet.waits_for == "rate_limit" and self.limits.cleared
                if sheet.status == "waiting" and (lifted or sheet.until <= self.now):
                    sheet.status, sheet.waits_for = "pending", ""
        asks = self.may_start() and slots > 0 and self.rounds.due(self)
        if asks:
            self.rounds.asking = self.begun = True
        started: list[str] = []
        while (
            self.may_start()
            and len(started) + asks < slots
            and len(self.flying) < self.score.at_once
            and self.ready()
        ):
            name = self.ready()[0]
            sheet = self.sheets[name]
            sheet.asking = self.must_ask(name)
            sheet.attempts += not (sheet.asking or sheet.parked)
            sheet.status, sheet.parked = "running", sheet.parked and sheet.asking
            self.begun = True
            started.append(name)
        turn = self.turn()
        if self.may_start() and turn is not None and self.hooks.rows[turn].waits_for == "job":
            self.begun = True
        self.begin_after(slots)
        if self.status == "paused" and before != "paused":
            self.paused_at = self.now
        if self.status == "paused":
            for hold in self.holds.values():
                if hold.lasts is not None and hold.ends is None:
                    hold.ends = round(self.now + hold.lasts, 3)
        if any(hold.deadline is not None and hold.deadline <= self.now for hold in self.holds.values()):
            self.told_to_end |= set(self.busy)
        self.answer()
        self.rerun_dropped, self.outcome, self.just_asked = False, False, ""
        return started

    def begin_after(self, slots: int) -> None:
        """The next hook of a failure starts, in a later step than the job has failed in."""
        turn = self.after.turn() if self.after.going and not (self.ended and not self.had_ended) else None
        if turn is not None and slots and self.may_start_hook() and self.hook(turn).status == "pending":
            self.begin_hook(turn)

    def may_end(self, left: bool) -> bool:
        """A held job ends only as the last thing in flight does, and where the hold is not about that end."""
        about_it = {"failure", "breakpoint"} & set(self.causes)
        return not self.holds or (self.outcome and not left and not about_it)

    def settle(self) -> None:
        left = self.left()  # before a revision comes in force
        while True:
            self.after.look(ended=bool(self.ended))
            keep_to_limits(self)
            if self.busy or (self.ended and not (self.staged or self.rewind)):
                return
            if self.ended:
                self.apply()
            elif self.cancel:
                self.end("cancelled")
            elif self.staged or self.rewind:
                self.apply()
            elif self.turn() is not None or self.rounds.due(self):
                return
            elif could := self.could_start():
                if not all(self.behind(name) for name in could):
                    return
                done = {name for name, sheet in self.sheets.items() if sheet.status in DONE}
                stops = self.breaks & {name for name in could if self.may_begin(name, done)}
                at = frozenset(self.sheets[name].number for name in stops)
                self.holds[self.hold("breakpoint")].before = at
                self.breaks, loop = self.breaks - stops, self.rounds.open(self)
                self.passed |= stops & loop.span if loop else set()
            elif self.failed() and self.hooks.pauses(self.score.on_failure):
                if "failure" in self.causes:
                    return
                self.hold("failure")
            elif not self.may_end(left):
                return
            else:
                self.end("failed" if self.failed() else "completed")

    def answer(self) -> None:
        for waiter in list(self.waiters):
            said = "done" if goal_reached(self, waiter) else None
            if said is None and not waiter.wait:
                said = "done" if waiter.action == "pause --before" else "accepted"
            said = said or ("E513" if taken_back(self, waiter) else None)
            if said is not None:
                self.answers[waiter.name] = said
                self.waiters.remove(waiter)
