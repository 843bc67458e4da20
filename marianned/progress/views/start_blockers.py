"""What keeps a sheet from starting whose needs are done: a loop that is open, hooks of a failure.

Source: docs/reference/score-format.md §28.8, docs/design/cli.md §5.
"""

from collections.abc import Iterable

from marianned.progress.state.loops import TrackedLoop
from marianned.progress.state.run import RunState
from marianned.protocol import SheetStatus

FAILURE_HOOKS = "the on_failure hooks"
_DONE = (SheetStatus.COMPLETED, SheetStatus.SKIPPED)


def start_blockers(state: RunState, numbers: Iterable[int]) -> dict[int, str]:
    """Return by sheet what it waits for beside what it needs: `the end of loop 2-3, round 2`.

    Of a loop only where all is done that the sheet needs outside of it, of hooks only where all it needs is.
    """
    if state.run.ended is not None or not (state.failing or state.score.loops):
        return {}
    behind: dict[int, list[TrackedLoop]] = {}
    for one, sheets in zip(state.loops, state.loops.behind, strict=True):
        over = not one.is_open and all(state.sheets[end].status in _DONE for end in one.loop.ends)
        for sheet in () if over else sheets:
            behind.setdefault(sheet, []).append(one)
    found: dict[int, str] = {}
    free: dict[int, bool] = {}  # by what sheets have in common that wait for the same ones
    for number in numbers:
        loops = behind.get(number, [])
        if not (loops or state.failing):
            continue
        if state.sheets[number].status != SheetStatus.PENDING or state.blocked(number):
            continue
        group = state.group_of(number)
        if group not in free:
            inside = {sheet for one in loops for sheet in one.loop.sheets}
            waits = set(state.waits_for(number)) - inside
            free[group] = all(state.sheets[sheet].status in _DONE for sheet in waits)
        if free[group]:
            found[number] = _loop_end_text(loops[0]) if loops else FAILURE_HOOKS
    return found


def _loop_end_text(one: TrackedLoop) -> str:
    return f"the end of loop {one.loop.span}, round {one.row.round}"
