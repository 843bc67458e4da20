"""The hooks of a job as the second writing of the contract has them: whose turn it is, what becomes of each.

There is no cool-down and no pause before a chain in the scores it knows. Source:
docs/reference/score-format.md §20, docs/design/control.md §5 and §6.
"""

from dataclasses import dataclass

from plain_scores import Score


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

    def __init__(self, score: Score) -> None:
        self.rows = {step.name: Hook() for step in score.hooks}
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

    def rewind(self) -> None:
        self.rows = {name: Hook() for name in self.rows}
        self.past = {}

    def adopt(self, new: Score) -> None:
        """Hooks that stay are where they were, failed ones at the beginning; one that comes back is known."""
        known = self.rows
        gone = {name: hook for name, hook in known.items() if name not in {step.name for step in new.hooks}}
        back = {step.name: self.past.pop(step.name) for step in new.hooks if step.name in self.past}
        self.rows = {step.name: (known | back).get(step.name, Hook()) for step in new.hooks}
        for name, hook in self.rows.items():
            if hook.status == "failed":
                self.rows[name] = hook.again()
        self.past |= {name: hook for name, hook in gone.items() if hook.status == "completed" or hook.chained}
