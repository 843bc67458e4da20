"""The hooks of a job as the second writing of the contract has them: whose turn it is, what becomes of each.

Those of a success (`Hooks`), and those of a failure (`After`), which run in a job that has failed. There is
no cool-down and no pause before a chain in the scores it knows. Source:
docs/reference/score-format.md §20 and §28.8, docs/design/control.md §5 and §6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from plain_scores import HookStep


@dataclass
class Hook:
    """Where one hook stands; `chained` is the run that it submitted last, `kept` one it submits at the end.

    `lost`: it is not known whether it did its work.
    """

    status: str = "pending"
    waits_for: str = ""
    chained: str | None = None
    kept: bool = False
    refused: bool = False
    lost: bool = False

    @property
    def failed(self) -> bool:
        """Whether the run fails by it: a job that was refused at the end changes that end no more."""
        return self.status == "failed" and not self.refused

    def become(self, status: str, waits_for: str = "") -> None:
        self.status, self.waits_for = status, waits_for

    def again(self) -> "Hook":
        """Return it, to be tried again: the run that it submitted is looked at first."""
        return Hook(chained=self.chained)


class Hooks:
    """The hooks of a score by name, and what those that are in it no more had done."""

    def __init__(self, steps: Sequence[HookStep]) -> None:
        self.rows = {step.name: Hook() for step in steps}
        self.past: dict[str, Hook] = {}

    @property
    def flying(self) -> list[str]:
        return [name for name, hook in self.rows.items() if hook.status == "running"]

    @property
    def failed(self) -> bool:
        return any(hook.failed for hook in self.rows.values())

    def pauses(self, on_failure: str) -> bool:
        """Tell whether the job pauses where it would end failed: as its score says, or over a lost hook."""
        return on_failure == "pause" or any(hook.lost for hook in self.rows.values())

    def turn(self, on_failure: str) -> str | None:
        """Name the hook that runs, waits or is next: at the end those whose jobs were kept."""
        for name, hook in self.rows.items():
            if hook.status in ("pending", "running", "cancelled") or hook.waits_for == "job":
                return name
        if self.failed and self.pauses(on_failure):
            return None
        return next((name for name, hook in self.rows.items() if hook.waits_for == "end"), None)

    def may_start(self, name: str | None) -> bool:
        return name is not None and (
            self.rows[name].status == "pending" or self.rows[name].waits_for == "end"
        )

    def ends(self, name: str, how: str, chained: str | None = None) -> None:
        """What is in flight of a hook ends, or the job ends that it waits for."""
        hook = self.rows[name]
        match how:
            case "job":
                hook.become("waiting", "job")
                hook.chained, hook.refused = chained, False
            case "kept":
                hook.become("waiting", "end")
                hook.kept = True
            case "interrupted" if not hook.kept:
                hook.become("pending")
            case "interrupted":
                hook.become("waiting", "end")
            case "refused":
                hook.become("failed")
                hook.refused, hook.kept = True, False
            case "lost":
                hook.become("failed")
                hook.lost, hook.kept = True, False
            case _:
                hook.become(how)
                hook.kept = False

    def cancel(self) -> None:
        for hook in self.rows.values():
            if hook.status in ("pending", "waiting"):
                hook.become("cancelled")

    def reset(self) -> None:
        """What has failed is tried again, what was cancelled goes on where it stood."""
        for name, hook in self.rows.items():
            if hook.status == "failed":
                self.rows[name] = hook.again()
            elif hook.status == "cancelled":
                hook.become(*(("waiting", "end") if hook.kept else ("pending",)))

    def anew(self, hook: Hook) -> Hook:
        """Return one that has failed, as it stands under another score."""
        return hook.again()

    def rewind(self) -> None:
        self.rows = {name: Hook() for name in self.rows}
        self.past = {}

    def adopt(self, new: Sequence[HookStep]) -> None:
        """Hooks that stay are where they were, failed ones at the beginning; one that comes back is known."""
        known = self.rows
        gone = {name: hook for name, hook in known.items() if name not in {step.name for step in new}}
        back = {step.name: self.past.pop(step.name) for step in new if step.name in self.past}
        self.rows = {step.name: (known | back).get(step.name, Hook()) for step in new}
        for name, hook in self.rows.items():
            if hook.status == "failed":
                self.rows[name] = self.anew(hook)
        self.past |= {name: hook for name, hook in gone.items() if hook.status == "completed" or hook.chained}


class After(Hooks):
    """The hooks of a failure: once for each end `failed`, one after the other, whatever comes of each.

    `due`: the job has failed, and they have not all had their turn.
    """

    due = False

    @property
    def going(self) -> bool:
        """Whether nothing else may start: one runs, or is still to."""
        return self.due or bool(self.flying)

    def begin(self) -> None:
        """The job has failed."""
        self.due = bool(self.rows)

    def turn(self, on_failure: str = "") -> str | None:
        """Name the one that runs or is next."""
        return next((n for n, hook in self.rows.items() if hook.status in ("pending", "running")), None)

    def look(self, *, ended: bool) -> None:
        """All have had their turn; in a job that goes on they are set back."""
        self.due = self.due and self.turn() is not None
        if not ended and not self.going:
            self.rewind()

    def give_up(self) -> set[str]:
        """Those that have not run don't; return what is to be ended."""
        for hook in self.rows.values():
            if hook.status == "pending":
                hook.become("cancelled")
        self.due = False
        return set(self.flying)

    def ends(self, name: str, how: str, chained: str | None = None) -> None:
        """What is in flight of one ends; what is interrupted runs again, but where they were given up."""
        hook = self.rows[name]
        if how == "interrupted":
            hook.become("pending" if self.due else "cancelled")
            return
        hook.become(how)
        hook.chained = chained or hook.chained

    def anew(self, hook: Hook) -> Hook:
        """It has run for this failure."""
        return hook
