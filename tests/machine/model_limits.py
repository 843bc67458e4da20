"""The limits of a job, of cost and of time, and of its holds, in the second writing of the contract.

Source: docs/design/control.md §3 and §8, docs/reference/score-format.md §28.7.
"""

from typing import TYPE_CHECKING

from plain_scores import Score

if TYPE_CHECKING:
    from control_model import Model


def is_over(model: "Model", score: Score, more: float = 0) -> bool:
    """Tell whether the job has cost more than it may."""
    return score.budget is not None and model.spent > score.budget + model.over_budget + more


def is_late(model: "Model", score: Score) -> bool:
    """Tell whether the job has run as long as it may."""
    return score.wall is not None and model.ran >= score.wall


def keep_to_limits(model: "Model") -> None:
    """Hold what has cost too much or run too long and would go on; let it go where more is allowed by now.

    What is in flight is ended for the time alone.
    """
    newest = model.staged or model.score
    over, late = is_over(model, newest), is_late(model, newest)
    kept = {"budget": over, "time": late}
    model.holds = {number: hold for number, hold in model.holds.items() if kept.get(hold.cause, True)}
    if model.cancel or model.ended:
        return
    if over and "budget" not in model.causes and model.left():
        model.hold("budget")
    if late and "time" not in model.causes and not model.after.going and (model.left() or model.busy):
        model.hold("time", 0)


def end_holds(model: "Model") -> None:
    """Let go what has come to its own end."""
    paused = model.status == "paused"
    over = [
        number for number, hold in model.holds.items() if hold.ends is not None and hold.ends <= model.now
    ]
    for number in over:
        del model.holds[number]
    if over and not model.holds:
        if paused:
            model.go_on_waiting()
        model.begun = bool(model.busy)
