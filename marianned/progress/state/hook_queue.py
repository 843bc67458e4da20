"""Whose turn it is among the hooks of a run whose sheets are all done, or among those of its failure.

Source: docs/reference/score-format.md §20, §28.8.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from marianned.protocol import HookStatus, Outcome, WaitingFor
from marianned.rows import HookRow, SheetRow
from marianned.score.expanded import Concert, ExpandedScore, HookDefinition


def is_kept(row: HookRow) -> bool:
    """Tell whether it is a detached job that waits for the end of its parent."""
    return row.status == HookStatus.WAITING and row.waiting_for == WaitingFor.END


def has_failed(row: HookRow) -> bool:
    """Tell whether the run fails by it."""
    return row.status == HookStatus.FAILED and row.outcome != Outcome.REFUSED


def is_lost(row: HookRow) -> bool:
    """Tell whether it is not known if it did its work: the run does not fail by it, it pauses."""
    return row.status == HookStatus.FAILED and row.outcome == Outcome.LOST


class HookQueue(NamedTuple):
    """The hooks of a run, and where they stand: what the score says of each, its row, and what they share.

    `hooks` are all by their numbers, `rows` those that are asked about: of the success, or of a failure.
    `due`: it is their time; `pauses`: a job that has failed pauses instead of ending.
    """

    hooks: Sequence[HookDefinition]
    rows: Sequence[HookRow]
    concert: Concert
    depth: int
    due: bool
    pauses: bool

    @property
    def current(self) -> HookRow | None:
        """The hook that runs, waits or is next; last a kept one: all of them are submitted by the end."""
        if not self.due:
            return None
        for row in self.rows:
            if has_failed(row):
                if self.concert.abort_on_hook_failure:
                    return None
                if self.hooks[row.hook - 1].abort_on_failure:
                    break
            elif row.status != HookStatus.COMPLETED and row.outcome != Outcome.REFUSED and not is_kept(row):
                return row
        if self.pauses and any(map(has_failed, self.rows)):
            return None
        return next((row for row in self.rows if is_kept(row)), None)

    @property
    def startable(self) -> HookRow | None:
        """The hook that a slot would start now."""
        row = self.current
        if row is None or is_kept(row):
            return row
        return (
            None
            if row.status != HookStatus.PENDING or self.needs_cooldown(row) or self.pauses_before(row)
            else row
        )

    def needs_cooldown(self, row: HookRow) -> bool:
        """Tell whether its cool-down is still to be waited; what goes too deep fails without."""
        chains = self.hooks[row.hook - 1].starts_job and not self._too_deep
        return chains and not row.cooldown_done and self.concert.cooldown_seconds > 0

    def pauses_before(self, row: HookRow) -> bool:
        """Tell whether the job is to pause before it starts this one."""
        due = row.status == HookStatus.PENDING and not self.needs_cooldown(row) and not self._too_deep
        return due and self.hooks[row.hook - 1].pause_before_chain and not row.pause_passed

    @property
    def _too_deep(self) -> bool:
        return self.depth >= self.concert.max_chain_depth


def hook_queue(
    score: ExpandedScore, rows: Sequence[HookRow], sheets: Collection[SheetRow], depth: int, *, done: int
) -> HookQueue:
    """Return where hooks stand; they are due when all sheets are done and an attempt was made for it.

    `rows` are those of all hooks, by their numbers.
    """
    own = rows[: len(score.hooks)]
    due = bool(own) and done == len(score.sheets) and any(row.attempts for row in sheets)
    pauses = score.on_failure == "pause" or any(map(is_lost, own))
    return HookQueue(score.all_hooks, own, score.concert, depth, due, pauses)


def failure_queue(score: ExpandedScore, rows: Sequence[HookRow], depth: int) -> HookQueue:
    """Return where the hooks of a failure stand, in a run that has failed; a cancel takes those that wait."""
    own = [row for row in rows[len(score.hooks) :] if row.status != HookStatus.CANCELLED]
    return HookQueue(score.all_hooks, own, score.concert, depth, due=True, pauses=False)
