"""When a waiting request is answered, in the second writing of the contract: its goal, and what takes it back.

Source: docs/design/control.md §3 "Waiting".
"""

from typing import TYPE_CHECKING

from model_parts import Waiter

if TYPE_CHECKING:
    from control_model import Model


def undone(model: "Model", waiter: Waiter) -> bool:
    """Tell whether what a modify wanted to run again was taken back."""
    mine = waiter.action in ("modify", "modify -r") and model.revision == waiter.revision
    return mine and model.rerun_dropped


def goal_reached(model: "Model", waiter: Waiter) -> bool:
    status = model.status
    in_force = model.revision == waiter.revision and not model.rewind and not undone(model, waiter)
    match waiter.action:
        case "pause" | "pause --now" | "pause --before":
            return status == "paused"
        case "resume" | "resume --from" | "resume --skip/--accept":
            held = model.holds or model.staged or model.rewind
            return status in ("running", "completed", "failed") and not held
        case "modify":
            stands = not model.ended or model.had_ended or waiter.name == model.just_asked
            return in_force and stands
        case "modify -r":
            return in_force and not model.holds and status != "cancelled"
        case "modify --discard":
            return not model.staged and not model.rewind
        case _:
            over = status == "cancelled" or (status == "failed" and not model.after.going)
            return waiter.action == "retry" or over


def _still_comes(model: "Model", waiter: Waiter) -> bool:
    """Tell whether a hook of a failure, in a job that had ended, keeps back what is waited for."""
    known = waiter.revision in (model.revision, model.last_revision) and not undone(model, waiter)
    staged = waiter.action == "modify" and (model.staged or model.rewind) and known
    return bool(staged) or waiter.action == "cancel"


def taken_back(model: "Model", waiter: Waiter) -> bool:
    if model.ended or model.cancel:
        waits = model.had_ended and _still_comes(model, waiter)
        return not waits if model.ended else waiter.action != "cancel"
    later = [h for number, h in model.holds.items() if number >= waiter.mark and not h.ends_by_itself]
    living = {model.revision} | ({model.last_revision} if model.staged else set())
    match waiter.action:
        case "pause" | "pause --now":
            return waiter.hold not in model.holds
        case "pause --before" | "cancel":
            return waiter.action == "cancel" or not model.breaks
        case "resume" | "resume --from" | "resume --skip/--accept":
            return bool(later)
        case "modify" | "modify -r":
            gone = undone(model, waiter) or waiter.revision not in living
            return gone or (waiter.action == "modify -r" and bool(later))
        case _:
            return False
