"""The loop of a job as the second writing of the contract has it: its rounds, and the question that ends them.

Source: docs/reference/score-format.md §29, docs/design/control.md §3.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plain_scores import LoopPlan
from return_model import forget_played, shape

if TYPE_CHECKING:
    from control_model import Model

DONE = ("completed", "skipped")


@dataclass
class Standing:
    """Where a loop stands, told by the sheet of its last stage; `needs` are all that led to it when it left."""

    round: int = 1
    state: str = "open"
    needs: frozenset[int] = frozenset()


@dataclass
class Rounds:
    """The loops that a job has had, by the number of the sheet that tells them; one is in its score at most."""

    known: dict[int, Standing] = field(default_factory=dict)
    asking: bool = False
    left: dict[str, dict[int, int]] = field(default_factory=dict)
    """Of each score that was in force, by their places, the sheets that told loops and were not done."""

    def of(self, model: "Model") -> Standing | None:
        """Return where the loop of the score in force stands."""
        plan = model.score.loop
        return None if plan is None else self.known.setdefault(model.sheets[plan.last].number, Standing())

    def open(self, model: "Model") -> LoopPlan | None:
        """Return the loop of the score in force, while rounds may follow."""
        standing = self.of(model)
        return model.score.loop if standing is not None and standing.state == "open" else None

    def due(self, model: "Model") -> bool:
        """Tell whether its question is to be asked: all its sheets are done, and nobody asks it."""
        plan = self.open(model)
        if plan is None or self.asking or (model.sheet_failed() and model.score.fail_fast):
            return False
        return all(model.sheets[name].status in DONE for name in plan.span)

    def waits_for_it(self, model: "Model", name: str) -> bool:
        """Tell whether a step outside needs one inside, and rounds may follow."""
        plan = self.open(model)
        return plan is not None and name not in plan.span and bool(model.step(name).needs & plan.span)

    def ends_round(self, model: "Model", name: str, how: str) -> bool:
        plan = self.open(model)
        return plan is not None and name == plan.last and how in ("exit", "validation")

    def judged(self, model: "Model", said: str) -> None:
        """The question has its answer: `holds`, `no`, `fault`, or it was given up (`unknown`)."""
        plan, standing = self.open(model), self.of(model)
        self.asking = False
        model.told_to_end.discard("loop")
        model.outcome = True
        if said == "unknown" or model.staged or model.rewind or model.cancel or plan is None or not standing:
            return
        over = standing.round >= plan.rounds
        if said == "fault":
            self.fail(model, plan.last)
        elif over if plan.exact else said == "holds":
            self.close(model)
        elif not over:
            standing.round += 1
            for name in plan.span:
                model.sheets[name].begin_anew()
            forget_played(model, {model.sheets[name].number for name in plan.span})
            model.breaks |= model.passed & plan.span
            model.passed -= plan.span
        elif plan.goes_on:
            self.close(model)
        else:
            self.fail(model, plan.last)

    def fail(self, model: "Model", last: str) -> None:
        model.sheets[last].status, model.sheets[last].failed_by_judgement = "failed", True

    def judge_again(self, model: "Model", name: str, before: str, *, same: bool) -> None:
        """A sheet that has only failed by a judgement, which the staged score's loop makes again, is played."""
        old, new = model.score.loop, model.staged and model.staged.loop
        if not old or not new or (old.last, new.last) != (before, name) or old.judges_as == new.judges_as:
            return
        sheet = model.sheets[before]
        if same and sheet.failed_by_judgement:
            sheet.status, sheet.failed_by_judgement = "completed", False

    def close(self, model: "Model") -> None:
        standing = self.of(model)
        assert standing
        assert model.score.loop
        standing.state = "closed"
        model.passed -= model.score.loop.span

    def marked(self, model: "Model") -> None:
        """Where a person has skipped or accepted the last stage its round is the last; nothing is asked."""
        plan = self.open(model)
        if plan is not None:
            last = model.sheets[plan.last]
            if last.status in DONE and last.worded:
                self.close(model)

    def rewound(self, model: "Model", again: set[str], named: set[str]) -> None:
        """Steps run again: those of the loop from round 1, also where it is not there now."""
        plan = model.score.loop
        if plan is not None and plan.span & again:
            self.known[model.sheets[plan.last].number] = Standing()
        numbers = {model.sheets[name].number for name in again}
        told_by = None if plan is None else model.sheets[plan.last].number
        for number, standing in self.known.items():
            if number != told_by and (number in numbers or standing.needs & numbers):
                standing.round, standing.state = 1, "removed"
        stop = model.passed & (again - named)
        model.breaks |= stop
        model.passed -= stop

    def leave(self, model: "Model") -> tuple[int | None, frozenset[int]]:
        """The score in force is about to be left: return the sheet that tells its loop, and all that it needs."""
        plan = model.score.loop
        self.of(model)
        numbers = {name: sheet.number for name, sheet in model.sheets.items()}
        self.left[shape(model.score)] = {
            place: numbers[step.name]
            for place, step in enumerate(model.score.steps)
            if model.sheets[step.name].status not in DONE and numbers[step.name] in self.known
        }
        if plan is None:
            return None, frozenset()
        above: set[str] = set()
        while more := {need for name in {plan.last, *above} for need in model.needs(name)} - above:
            above |= more
        return numbers[plan.last], frozenset(numbers[name] for name in above)

    def adopted(self, model: "Model", left: tuple[int | None, frozenset[int]]) -> None:
        """Another score is in force; `left` is the sheet that told the loop of the old one, and what it needed."""
        plan, (before, needs) = model.score.loop, left
        now = None if plan is None else model.sheets[plan.last].number
        if before is not None and before != now:
            gone = self.known[before]
            gone.state, gone.needs = "removed" if gone.state == "open" else gone.state, needs
        if plan is not None and now is not None and before != now:
            place = [step.name for step in model.score.steps].index(plan.last)
            once = self.left.get(shape(model.score), {}).get(place)
            known = self.known.get(now) or (None if once is None else self.known.get(once)) or Standing()
            finished = all(model.sheets[name].status in DONE for name in plan.span)
            over = finished or known.state == "closed"
            self.known[now] = Standing(known.round, "closed" if over else "open")
