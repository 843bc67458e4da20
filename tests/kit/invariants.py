"""What is so of every job at every moment: of its state in memory, and of memory against the disk."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from marianned import lifecycle
from marianned.progress.deciding.decide import could_use_slot
from marianned.progress.state.copy_on_write import BitSet, Vector
from marianned.progress.state.loops import LoopTracker
from marianned.progress.state.run import RunState
from marianned.progress.views.hooks import hook_view
from marianned.progress.views.job import job_view, sheet_views
from marianned.progress.views.time_independent import is_time_independent
from marianned.protocol import ENDED, Job
from marianned.rows import SummaryRow

if TYPE_CHECKING:
    from kit.scores import Bench


def snapshot(state: RunState) -> dict[str, Any]:
    """Everything a state consists of, to be compared; of what was ready only what still is."""
    parts = {name: _copied(value) for name, value in vars(state).items() if name not in ("_ready", "counts")}
    parts["_numbers"] = dict(state._graph.numbers)
    parts["counts"] = {name: count for name, count in state.counts.items() if count}
    parts["_ready"] = {
        number for known in state._ready.values() for number in known if state._is_ready(number)
    }
    parts["order of holds"] = list(state.holds)
    return parts


def _copied(value: Any) -> Any:
    if value is None or isinstance(value, int | str):  # most are
        return value
    if isinstance(value, dict | Mapping):
        return dict(value)
    if isinstance(value, list | Vector):
        return list(value)
    if isinstance(value, LoopTracker):
        return value.copy()
    return set(value) if isinstance(value, set | BitSet) else value


def recount(state: RunState) -> dict[str, Any]:
    """The counts of a state, worked out from its rows and its score alone."""
    needs = {sheet.sheet: set(sheet.needs) for sheet in state.score.sheets}
    undecided = dict.fromkeys(needs, 0)
    for loop in state.score.loops:
        row = state.loops.rows.get(state.sheets[loop.ends[0]].uid)
        for sheet in [sheet for sheet in needs if sheet not in loop.sheets and needs[sheet] & {*loop.sheets}]:
            undecided[sheet] += row is None or row.state == "open"
            needs[sheet] |= {*loop.ends}
    rows = state.sheets
    above: dict[int, set[int]] = {}

    def failed_above(number: int) -> set[int]:
        if number not in above:
            above[number] = {need for need in needs[number] if rows[need].status == "failed"}
            above[number].update(*(failed_above(need) for need in needs[number]))
        return above[number]

    for number in sorted(needs):  # from below, so that a long chain is no deep recursion
        failed_above(number)
    uids = {row.uid: number for number, row in rows.items()}
    behind: dict[int, set[int]] = {}

    def stands_behind(number: int) -> set[int]:
        if number not in behind:
            own = {number} if rows[number].uid in state.breakpoints else set()
            behind[number] = own.union(*(stands_behind(need) for need in needs[number]))
        return behind[number]

    for number in sorted(needs):
        stands_behind(number)
    unmet = {
        number: sum(rows[need].status not in ("completed", "skipped") for need in needs[number])
        + undecided[number]
        for number in needs
    }
    return {
        "counts": dict(Counter(row.status for row in rows.values())),
        "_unmet": [0, *(unmet[number] for number in sorted(needs))],
        "_failed_upstream": [0, *(len(above[number]) for number in sorted(needs))],
        "_breakpoints_upstream": [0, *(len(behind[number]) for number in sorted(needs))],
        "_open": sum(rows[n].status in ("pending", "waiting") and not above[n] for n in needs),
        "_open_free": sum(
            rows[n].status in ("pending", "waiting") and not above[n] and not behind[n] for n in needs
        ),
        "_waiting": {n for n in needs if rows[n].status == "waiting"},
        "_ready": {
            n
            for n in needs
            if rows[n].status == "pending"
            and not unmet[n]
            and not above[n]
            and rows[n].uid not in state.breakpoints
        },
        "_numbers": uids,
    }


def invariants(state: RunState) -> dict[str, Any]:
    """What is so of every job at every moment; returns what the state consists of."""
    now = snapshot(state)
    for name, value in recount(state).items():
        assert now[name] == value, name
    assert sorted(state.sheets) == [sheet.sheet for sheet in state.score.sheets]
    assert all(number == row.sheet for number, row in state.sheets.items())
    status = lifecycle.status(state.facts)
    assert state.run.status == status
    assert set(state.breakpoints) <= {row.uid for row in state.sheets.values()}, "a breakpoint before nothing"
    running = {row.uid for row in state.sheets.values() if row.status == "running"}
    assert not set(state.attempts) & set(state.skips), "a sheet runs while its skip rules are asked"
    assert running == set(state.attempts) | set(state.skips), "a sheet runs once exactly when it is in flight"
    after = [row for row in state.hooks if row.after_failure and row.status == "running"]
    if status in ("paused", "queued", "completed", "failed", "cancelled"):
        assert state.flights == (after if state.run.ended in ("failed", "cancelled") else [])
    hooks = [row for row in state.hooks if row.status == "running"]
    assert len(hooks) <= 1, "two hooks run at once"
    assert not (hooks and state.sheet_flights), "a hook runs beside a sheet"
    assert set(state.hook_rows) <= set(range(1, len(state.score.all_hooks) + 1)), "a row of no hook"
    if state.run.ended:
        assert not state.holds
        assert state.staged is None or after
        assert not state.run.cancelling
        assert after or not state.requests, "somebody still waits for a job that has ended"
    staged = state.staged.row.revision if state.staged else None
    assert state.run.staged_revision == staged
    assert state.run.staged_hold is None or state.run.staged_hold in state.holds
    assert state.run.revision == state.current.row.revision
    assert all(number < state.run.next_hold for number in state.holds)
    assert all(row.uid < state.run.next_uid for row in state.sheets.values())
    return now


def stays_as_told(bench: "Bench", told: Job) -> None:
    """What is kept to be told again, until the next commit, does not come with time."""
    if is_time_independent(bench.state):
        assert told == job_view(bench.state, bench.now.plus(10**9))


def same_as_disk(bench: "Bench") -> None:
    """Memory and disk can't disagree."""
    memory, disk = bench.state, bench.disk.state()
    assert memory.facts == disk.facts
    assert memory.settling_context == disk.settling_context
    assert memory.next_ready() == disk.next_ready()
    assert memory.run == disk.run
    assert memory.sheets == disk.sheets
    assert memory.attempts == disk.attempts
    assert memory.skips == disk.skips
    assert memory.parked == disk.parked
    assert memory.breakpoints == disk.breakpoints
    assert memory.past_sheets == disk.past_sheets
    assert memory.left_scores == disk.left_scores
    assert memory.hook_rows == disk.hook_rows
    assert list(memory.holds.items()) == list(disk.holds.items())
    assert memory.current == disk.current
    assert memory.staged == disk.staged
    keyed = {name: row for name, row in memory.requests.items() if row.key is not None}
    assert keyed == disk.requests
    assert could_use_slot(memory, bench.now) == could_use_slot(disk, bench.now)
    ours, theirs = job_view(memory, bench.now), job_view(disk, bench.now)
    stays_as_told(bench, ours)
    ours.cost.usd, theirs.cost.usd = round(ours.cost.usd, 6), round(theirs.cost.usd, 6)
    assert ours == theirs
    if ours.status in ENDED:
        summary = msgspec.json.decode(bench.disk.rows[SummaryRow,].job, type=Job)
        summary.cost.usd = round(summary.cost.usd, 6)
        assert summary == ours, "a list would tell of it as it is no longer"
    assert [hook_view(memory, row) for row in memory.hooks] == [hook_view(disk, row) for row in disk.hooks]
    if len(memory.sheets) <= 50:
        assert sheet_views(memory, list(memory.sheets)) == sheet_views(disk, list(memory.sheets))
