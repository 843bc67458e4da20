"""What a job says of itself at a moment is true: tried on a twin that nobody does anything to.

`next` is what happens by itself and `safe_to` what may be done meanwhile (docs/design/cli.md §5), `reasons` why
it does not move. The twin is read from the disk's rows, given time, slots and ends, and looked at.
"""

import re

from kit.scores import Bench

from marianned import lifecycle
from marianned.clock import milliseconds
from marianned.progress.deciding.decide import decide
from marianned.progress.state.triggers import (
    AttemptEnded,
    HookEnded,
    SlotFree,
    TimeReached,
    Trigger,
    UntilJudged,
)
from marianned.progress.views.job import job_view
from marianned.progress.views.reasons import reasons
from marianned.protocol import ENDED, HookStatus, Job, JobStatus, Next, Outcome

PLENTY = 16
LONG = 10 * 86_400_000


class Twin:
    """The job of a bench as it is on disk, to be played forward."""

    def __init__(self, bench: Bench) -> None:
        self.state = bench.disk.state()
        self.now = bench.now

    @property
    def status(self) -> JobStatus:
        return lifecycle.status(self.state.facts)

    @property
    def flying(self) -> list[int]:
        return sorted(row.sheet for row in self.state.sheet_flights)

    def step(self, trigger: Trigger, slots: int = PLENTY) -> list[int]:
        """Decide and apply; return the sheets that start."""
        decision = decide(self.state, trigger, self.now, slots)
        self.state.become(decision.state)
        return [row.sheet for row in decision.starts]

    def at(self, moment: int) -> list[int]:
        """Let it be this moment (UTC milliseconds); return the sheets that start."""
        self.now = self.now.plus(moment - self.now.at)
        return self.step(TimeReached())

    def all_end(self, outcome: Outcome = Outcome.SUCCEEDED) -> list[int]:
        """Let all that is in flight end; then slots are had: return the sheets that start."""
        for row in list(self.state.attempts.values()):
            self.step(AttemptEnded(uid=row.uid, attempt=row.attempt, outcome=outcome), 0)
        for asked in self.state.loops.asking:
            holds = None if outcome is Outcome.INTERRUPTED else True
            self.step(UntilJudged(uid=asked.uid, round=asked.round, holds=holds), 0)
        self.hook_ends(outcome)
        return self.step(SlotFree())

    def hook_ends(self, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        """Let the hook in flight end."""
        for row in [row for row in self.state.hooks if row.status == HookStatus.RUNNING]:
            self.step(HookEnded(hook=row.hook, flight=row.flight, outcome=outcome), 0)


def comes_true(bench: Bench) -> None:
    """Try what the job says now."""
    view = job_view(bench.state, bench.now)
    _safe(bench, view)
    _reasons(bench, view)
    if view.next is None:
        _nothing_happens(bench)
    else:
        _TRIED[view.next.code](bench, view.next)


def _safe(bench: Bench, view: Job) -> None:
    assert view.safe_to.switch_off == (not bench.state.flights)
    assert view.safe_to.stop_daemon
    at_rest = bench.status is JobStatus.PAUSED or bench.status in ENDED
    hook_starts = bench.state.failing and not bench.state.holds
    assert view.safe_to.edit_files == (at_rest and not bench.state.flights and not hook_starts)
    if at_rest and view.next is None:
        assert not Twin(bench).step(SlotFree())


def _reasons(bench: Bench, view: Job) -> None:
    found = reasons(bench.state, bench.now, None, {})
    assert found
    for reason in found:
        assert reason.code != "needs", "nobody knows why it does not move"
    if view.next is None and bench.status not in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED):
        assert any(reason.unblocked_by == "caller" for reason in found)


def _nothing_happens(bench: Bench) -> None:
    twin = Twin(bench)
    assert not twin.step(SlotFree())
    assert not twin.at(twin.now.at + LONG)
    assert twin.status is bench.status


def _goes_on(bench: Bench, said: Next) -> None:
    due = _due(said)
    early, late = Twin(bench), Twin(bench)
    early.at(due - 1)
    assert early.status is JobStatus.PAUSED
    late.at(due)
    assert late.status is not JobStatus.PAUSED or not _same_holds(bench, late)


def _same_holds(bench: Bench, twin: Twin) -> bool:
    return set(bench.state.holds) <= set(twin.state.holds)


def _starts(bench: Bench, said: Next) -> None:
    named = re.match(r"sheet (\d+) starts", said.text)
    wanted = int(named[1]) if named else None
    if said.latest_at is not None:
        started = Twin(bench).all_end()
    elif said.due_at is not None:
        assert not Twin(bench).at(_due(said) - 1)
        started = Twin(bench).at(_due(said))
    else:
        started = Twin(bench).step(SlotFree())
    if said.text.startswith("hook"):
        twin = Twin(bench)
        twin.step(SlotFree())
        assert any(row.status == HookStatus.RUNNING for row in twin.state.hooks), said
        return
    if said.text.startswith("the judgement"):
        twin = Twin(bench)
        twin.step(SlotFree())
        assert twin.state.loops.asking, said
        return
    assert started if wanted is None else wanted in started, said


def _tried_again(bench: Bench, said: Next) -> None:
    named = re.match(r"sheet (\d+) is tried again", said.text)
    assert named
    due = _due(said)
    if due > bench.now.at:
        assert not Twin(bench).at(due - 1), said
    assert int(named[1]) in Twin(bench).at(max(due, bench.now.at)), said


def _sheets_end(bench: Bench, said: Next) -> None:
    assert bench.flying, said


def _at_the_boundary(bench: Bench, said: Next) -> None:
    twin = Twin(bench)
    interrupts = said.code == "interrupt"
    started = twin.all_end(Outcome.INTERRUPTED if interrupts else Outcome.SUCCEEDED)
    text = said.text.removesuffix(", unless that ends the job")
    if text != said.text and twin.status in ENDED:
        return
    if "applies when" in said.text or "again when" in said.text:
        assert twin.state.staged is None
        assert not twin.state.run.rewind
        assert twin.status is not JobStatus.PAUSING
        stays = text.endswith("stays paused")
        assert not started if stays else started or twin.status is not JobStatus.PAUSED or twin.state.holds
    else:
        assert text.startswith("pauses when"), said
        assert twin.status is JobStatus.PAUSED, said


def _is_cancelled(bench: Bench, said: Next) -> None:
    twin = Twin(bench)
    twin.all_end(Outcome.INTERRUPTED)
    assert twin.status is JobStatus.CANCELLED, said


def _is_late(bench: Bench, said: Next) -> None:
    early, late = Twin(bench), Twin(bench)
    early.at(_due(said) - 1)
    assert early.status is not JobStatus.PAUSED, said
    late.at(_due(said))
    late.all_end(Outcome.INTERRUPTED)
    assert late.status is JobStatus.PAUSED, said


def _is_judged(bench: Bench, said: Next) -> None:
    (before,) = bench.state.loops.asking
    twin = Twin(bench)
    twin.all_end()
    assert twin.state.loops.rows[before.uid] != before, said


def _hook_has_ended(bench: Bench, said: Next) -> None:
    twin = Twin(bench)
    twin.hook_ends()
    assert not any(row.status == HookStatus.RUNNING for row in twin.state.hooks), said


def _due(said: Next) -> int:
    assert said.due_at is not None
    return milliseconds(said.due_at)


_TRIED = {
    "start": _starts,
    "boundary": _at_the_boundary,
    "sheet_end": _sheets_end,
    "interrupt": _at_the_boundary,
    "hold_end": _goes_on,
    "retry": _tried_again,
    "rate_limit": _tried_again,
    "cancel": _is_cancelled,
    "time_limit": _is_late,
    "loop": _is_judged,
    "hook_end": _hook_has_ended,
}
