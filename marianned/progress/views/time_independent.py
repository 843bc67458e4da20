"""Which jobs look the same at any later moment, as long as nothing of them is committed."""

from marianned.progress.state.run import RunState
from marianned.protocol import HookStatus


def is_time_independent(state: RunState) -> bool:
    """Tell whether no part of how a job is told, its sheets included, comes with time or from other jobs.

    It may be that the passing of time changes nothing though this says that it could.
    """
    runs_out = state.newest.score.max_wall_seconds is not None or state.run.not_before is not None
    waits = bool(state.limits or state.waiting_sheets())
    holds_end = any(hold.ends is not None or hold.deadline is not None for hold in state.holds.values())
    hooks = state.hook_rows.values()
    hook_moves = any(
        hook.until is not None or hook.waiting_for is not None or hook.status == HookStatus.RUNNING
        for hook in hooks
    )
    return not (runs_out or waits or holds_end or hook_moves)
