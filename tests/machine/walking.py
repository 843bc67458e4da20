"""One step of a walk, on the bench and in the model at once, and all that is compared after it."""

from typing import Any

import msgspec
import pytest
from control_model import MAX_RETRIES, Model, Wanted
from kit.hooks import HookBench, command
from kit.scores import score, stage
from plain_scores import LoopPlan, Score
from prophecy import comes_true

from marianned.errors import MarianneError, NameTaken, WaitOverridden, WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.run import RunState
from marianned.protocol import Outcome
from marianned.rows import LoopRow
from marianned.score.expanded import ExpandedScore, LoopDefinition, RetryPolicy

PROPHECY_EVERY = 4
"""At each so many comparisons what the job says of the future is tried: it takes as long as the rest."""
ENDS = {
    "succeeded": (Outcome.SUCCEEDED, None),
    "exit": (Outcome.FAILED, "exit"),
    "config": (Outcome.FAILED, "config"),
    "auth": (Outcome.FAILED, "auth"),
    "lost": (Outcome.LOST, "lost"),
    "interrupted": (Outcome.INTERRUPTED, None),
    "rate_limited": (Outcome.RATE_LIMITED, "rate_limit"),
}


def made(plan: Score) -> ExpandedScore:
    """The real score of a model's."""
    numbers = {step.name: number for number, step in enumerate(plan.steps, 1)}
    stages = [
        stage(
            sorted(numbers[need] for need in step.needs),
            name=step.name if step.named else None,
            prompt=step.prompt,
            digests={"prompt": step.prompt, "validations": plan.checks, "settings": plan.tool},
        )
        for step in plan.steps
    ]
    loops = () if plan.loop is None else (looped(plan.loop, numbers),)
    return score(
        *stages,
        loops=loops,
        failure_hooks=tuple(command(hook.name, after_failure=True) for hook in plan.after),
        at_once=plan.at_once,
        fail_fast=plan.fail_fast,
        on_failure=plan.on_failure,
        max_wall_seconds=plan.wall,
        retry=RetryPolicy(jitter=False, max_retries=MAX_RETRIES),
    )


def looped(loop: LoopPlan, numbers: dict[str, int]) -> LoopDefinition:
    """The real loop of a model's; its stages have one sheet each."""
    span = sorted(numbers[name] for name in loop.span)
    last = numbers[loop.last]
    return LoopDefinition(
        first=span[0],
        last=last,
        sheets=tuple(span),
        ends=(last,),
        until=None if loop.exact else "it is so",
        rounds=loop.rounds,
        exact=loop.exact,
        exhausted="continue" if loop.goes_on else "fail",
    )


class Walk:
    """A job twice: on the bench and as the model has it."""

    def __init__(self, plan: Score) -> None:
        self.model = Model(plan)
        self.bench = HookBench(made(plan))
        self.completed: set[int] = set()
        self.asked: set[str] = set()
        self.told_to_end: set[str] = set()
        self.compared = 0

    @property
    def flying(self) -> list[str]:
        return self.model.flying

    def tick(self, seconds: float) -> None:
        self.model.passes(seconds)
        self.bench.after(seconds)

    def go(self, slots: int) -> None:
        self._follow(slots, self.model.status, self.bench.go(slots))

    def ends(self, name: str, how: str, slots: int) -> None:
        before = self.model.status
        number = 1 + [step.name for step in self.model.score.steps].index(name)
        self.model.ends(name, how)
        self.told_to_end.discard(name)
        self.bench.slots = slots
        outcome, category = ENDS[how]
        decision = self.bench.end(number, outcome, category=category)
        self._follow(slots, before, [attempt.sheet for attempt in decision.starts])

    def hook_ends(self, how: str, slots: int) -> None:
        """The hook in flight ends."""
        before = self.model.status
        (name,) = self.model.after.flying
        told = {"succeeded": "completed", "interrupted": "interrupted"}.get(how, "failed")
        self.model.hook_ends(name, told)
        self.told_to_end.discard(name)
        self.bench.slots = slots
        decision = self.bench.hook_ends(ENDS[how][0])
        self._follow(slots, before, [attempt.sheet for attempt in decision.starts])

    def judges(self, said: str, slots: int) -> None:
        before = self.model.status
        self.model.round_judged(said)
        self.told_to_end.discard("loop")
        self.bench.slots = slots
        if said != "unknown":  # each sheet of the loop may be played once more
            self.completed = set()
        fault = "no answer" if said == "fault" else None
        decision = self.bench.judged({"holds": True, "no": False}.get(said), fault)
        self._follow(slots, before, [attempt.sheet for attempt in decision.starts])

    def file(self, slots: int) -> None:
        before = self.model.status
        self.model.file()
        self.bench.slots = slots
        decision = self.bench.file("stop")
        self._follow(slots, before, [attempt.sheet for attempt in decision.starts])

    def ask(self, action: str, wanted: Wanted, *, wait: bool, keyed: bool, slots: int) -> None:
        self.bench.after(0.001)  # two requests of one caller never have the same millisecond
        self.model.passes(0.001)
        before = self.model.status
        self.bench.slots = slots
        name = f"key {self.bench.asked}" if keyed else None
        to = made(wanted.new) if wanted.new is not None else None
        asked = self._params(action, wanted)
        if not self.model.accepts(action, wanted):
            with pytest.raises(WrongStatus) as refused:
                self.bench.ask(Action(action), to, wait=wait, key=name, **asked)
            assert refused.value.status == before
            return
        given = self.bench.ask(Action(action), to, wait=wait, key=name, **asked)
        assert self.bench.last is not None
        self.asked.add(given)
        if (wanted.sheets or wanted.changed) and action.startswith(("modify", "resume --from")):
            self.completed = set()  # what is asked to run again may
        self.model.ask(given, action, wanted, wait=wait, keyed=keyed)
        self._follow(slots, before, [attempt.sheet for attempt in self.bench.last.starts])

    def _params(self, action: str, wanted: Wanted) -> dict[str, Any]:
        """The parameters of a request; sheets by their numbers in the new score, or in the one in force."""
        steps = [step.name for step in (wanted.new or self.model.score).steps]
        sheets = ",".join(str(1 + steps.index(name)) for name in wanted.sheets) or None
        if action == "resume --skip/--accept":
            return {"skip" if wanted.skip else "accept": sheets}
        return {
            "sheets": "changed" if wanted.changed else sheets,
            "clear": wanted.clear,
            "alone": wanted.alone,
            "deadline": None if wanted.deadline is None else round(wanted.deadline * 1000),
            "lasts": None if wanted.lasts is None else round(wanted.lasts * 1000),
        }

    def give_up(self) -> None:
        before = self.model.status
        self.bench.slots = 0
        if before in ("paused", "failed"):
            self.bench.give_up()
            self.model.end("cancelled")
            self._follow(0, before, [])
            return
        if before in ("completed", "cancelled"):  # its name is free: it is left as it is
            self.bench.give_up()
            self._follow(0, before, [])
            return
        with pytest.raises(NameTaken):
            self.bench.give_up()

    def crash(self) -> None:
        """The daemon dies; whoever waited without a key is gone with its connection."""
        self.bench.crash()
        gone = [waiter for waiter in self.model.waiters if not waiter.keyed]
        self.model.waiters = [waiter for waiter in self.model.waiters if waiter.keyed]
        self.asked -= {waiter.name for waiter in gone}
        self.compare()

    def _follow(self, slots: int, before: str, starts: list[int]) -> None:
        started = self.model.follow(slots, before)
        steps = [step.name for step in self.model.score.steps]
        assert [steps[number - 1] for number in starts] == started
        if starts:
            facts = self.bench.state.facts
            assert not (facts.held)
            assert not (facts.staged)
            assert not (facts.cancelling)
            assert not (facts.ended)
        uids = {self.bench.sheet(number).uid for number in starts}
        assert not uids & self.completed, "a completed sheet runs again"
        assert self.bench.last is not None
        told = {
            "loop" if isinstance(row, LoopRow) else steps[row.sheet - 1] for row in self.bench.last.interrupts
        }
        ended = self.bench.last.hook_interrupt
        told |= {self.model.score.after[ended.hook - 1].name} if ended is not None else set()
        self.told_to_end = (self.told_to_end | told) & set(self.model.busy)
        assert self.told_to_end == self.model.told_to_end
        done = {row.uid for row in self.bench.state.sheets.values() if row.status == "completed"}
        self.completed = set() if self.bench.state.run.rewind else self.completed | done
        self.compare()

    def compare(self) -> None:
        """Everything that a caller can see is as the model has it."""
        state, model = self.bench.state, self.model
        assert self.bench.status == model.status
        rows = [state.sheets[number] for number in sorted(state.sheets)]
        assert [(row.status, row.tries, row.attempts, row.waiting_for or "") for row in rows] == [
            (sheet.status, sheet.tries, sheet.attempts, sheet.waits_for) for sheet in model.sheets.values()
        ]
        assert [row.word is not None for row in rows] == [sheet.worded for sheet in model.sheets.values()]
        assert [_cause(state, number) for number in state.holds] == model.causes
        assert (state.run.revision, state.run.last_revision) == (model.revision, model.last_revision)
        assert (state.staged is None) == (model.staged is None)
        assert bool(state.run.rewind) == bool(model.rewind)
        steps = [step.name for step in model.score.steps]
        assert {steps[row.sheet - 1] for row in rows if row.uid in state.breakpoints} == model.breaks
        assert {steps[row.sheet - 1] for row in rows if row.uid in state.passed} == model.passed
        assert bool(state.loops.asking) == model.rounds.asking
        assert [row.status for row in state.hooks] == [hook.status for hook in model.after.rows.values()]
        assert state.run.failing == model.after.due
        standing = model.rounds.of(model)
        assert [(one.row.round, str(one.row.state)) for one in state.loops] == [
            (one.round, one.state) for one in [standing] if one is not None
        ]
        answers = {name: _said(answer) for name, answer in self.bench.answers.items() if name in self.asked}
        assert answers == {name: said for name, said in model.answers.items() if name in self.asked}
        waiting = {waiter.name for waiter in model.waiters}
        assert set(state.requests) == waiting
        assert waiting | set(answers) == self.asked, "every accepted request is answered once or waits"
        self.compared += 1
        if self.compared % PROPHECY_EVERY == 0:
            comes_true(self.bench)


def _cause(state: RunState, number: int) -> str:
    hold = state.holds[number]
    return "file" if hold.owner is not None and hold.owner.name == "file" else hold.cause


def _said(answer: object) -> str:
    if isinstance(answer, WaitOverridden):
        assert answer.message.startswith("'release-notes' ")
        return "E513"
    assert not isinstance(answer, MarianneError)
    return "done" if msgspec.to_builtins(answer)["acknowledged"] else "accepted"
