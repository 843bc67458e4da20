"""What is accepted in which status, in the second writing of the contract.

Source: docs/design/control.md §3.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

from model_limits import is_late, is_over
from model_parts import DONE, Sheet, Wanted

if TYPE_CHECKING:
    from control_model import Model

ALLOWED = {
    "pause": {"queued", "running", "pausing"},
    "pause --now": {"queued", "running", "pausing"},
    "pause --before": {"queued", "running", "pausing", "paused", "completed", "failed", "cancelled"},
    "resume --from": {"paused", "completed", "failed", "cancelled"},
    "resume --skip/--accept": {"pausing", "paused", "failed", "cancelled"},
    "resume": {"pausing", "paused", "completed", "failed", "cancelled"},
    "modify": {"queued", "running", "pausing", "paused", "completed", "failed", "cancelled"},
    "modify -r": {"queued", "running", "pausing", "paused", "completed", "failed", "cancelled"},
    "modify --discard": {"pausing"},
    "cancel": {"queued", "running", "pausing", "paused", "cancelling"},
    "retry": {"queued", "running", "pausing", "paused"},
}
"""In which statuses a request is accepted; a pause also of a paused job all whose holds end by themselves.

Of a completed job those that would let something run, alone.
"""


def is_accepted(model: "Model", action: str, wanted: Wanted) -> bool:
    """Tell whether a request is accepted as things stand."""
    if action in ("pause", "pause --now") and model.status == "paused":
        return all(hold.ends_by_itself for hold in model.holds.values())
    if not _fits(model, action, wanted):
        return False
    if action == "cancel" and model.status == "failed":
        return model.after.due
    if model.status not in ALLOWED[action] or _too_dear(model, action, wanted):
        return False
    return model.status != "completed" or _would_run(model, action, wanted)


def _fits(model: "Model", action: str, wanted: Wanted) -> bool:
    """Tell whether what a request is about is so: something staged, a wait, sheets that stand as it wants them."""
    if action == "modify --discard" and not model.staged and not model.rewind:
        return False
    if action == "retry" and not try_now(model, wanted):
        return False
    if action == "pause --before" and not wanted.clear:
        begun = {"running", "waiting", "failed", *DONE}
        if any(model.sheets[name].status in begun or model.sheets[name].parked for name in wanted.sheets):
            return False
        if any(_stands_before(model, name) for name in wanted.sheets):
            return False
    marks = action == "resume --skip/--accept"
    return not marks or all(model.sheets[name].status not in ("running", *DONE) for name in wanted.sheets)


def _stands_before(model: "Model", name: str) -> bool:
    """Tell whether a breakpoint holds the job before a sheet, which would start else."""
    done = {other for other, sheet in model.sheets.items() if sheet.status in DONE}
    at = {number for hold in model.holds.values() for number in hold.before}
    return model.sheets[name].number in at and model.may_begin(name, done)


def _would_run(model: "Model", action: str, wanted: Wanted) -> bool:
    """Tell whether a job that has completed would have something to do."""
    trial = deepcopy(model)
    trial.bring(action, wanted)
    return trial.left()


def _too_dear(model: "Model", action: str, wanted: Wanted) -> bool:
    """Tell whether a limit would hold at once what is to go on; the last resume starts nothing."""
    goes_on = action.startswith("resume") or (
        action == "modify -r" and model.status not in ("queued", "running")
    )
    if not goes_on:
        return False
    to_come = wanted.new or model.staged or model.score
    over = is_over(model, to_come, wanted.over) or is_late(model, to_come)
    if action == "resume --skip/--accept":
        return over and not _done_with(model, wanted.sheets)
    asks = wanted.new is not None or wanted.sheets or wanted.changed
    is_last = model.holds and not model.busy and not model.left() and not model.failed() and not asks
    return over and not is_last


def _done_with(model: "Model", names: tuple[str, ...]) -> bool:
    """Tell whether all is done once these sheets are, hooks too."""
    rest = [sheet for name, sheet in model.sheets.items() if name not in names and sheet.status not in DONE]
    begun = any(sheet.attempts for sheet in model.sheets.values())
    return not (rest or model.busy or (begun and model.hooks.turn(model.score.on_failure)))


def try_now(model: "Model", wanted: Wanted) -> list[Sheet]:
    """The sheets that a retry lets wait no more; none where one that is named waits for no attempt."""
    found = [model.sheets[name] for name in wanted.sheets or model.sheets]
    waits = [sheet for sheet in found if sheet.status == "waiting" and sheet.waits_for == "retry"]
    return waits if not wanted.sheets or len(waits) == len(found) else []
