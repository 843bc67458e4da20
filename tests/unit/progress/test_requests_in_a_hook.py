"""Every request in every situation of a hook: what the table of docs/design/control.md says, written out by hand."""

import pytest
from kit.hooks import HookBench, command, hooked, job
from kit.scores import chain
from kit.tables import each

from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.run import RunState
from marianned.protocol import JobStatus, Outcome

SITUATIONS = (
    *("runs", "cools down", "waits for its job", "pausing", "paused", "cancelling"),
    *("completed", "failed", "cancelled"),
)
REFUSED = "E502"
AFTER = {
    Action.PAUSE: ("pausing", "paused", "paused", "pausing", *[REFUSED] * 5),
    Action.PAUSE_NOW: ("pausing", "paused", "paused", "pausing", *[REFUSED] * 5),
    Action.BREAK: (*["running"] * 3, "pausing", "paused", REFUSED, REFUSED, "failed", "cancelled"),
    Action.RESUME: (*[REFUSED] * 3, "running", "running", REFUSED, REFUSED, "running", "running"),
    Action.RESUME_FROM: (*[REFUSED] * 4, "running", REFUSED, "running", "running", "running"),
    Action.RESUME_MARK: (REFUSED,) * 9,  # its sheets are all done
    Action.MODIFY: (
        "pausing",
        "paused",
        "paused",
        "pausing",
        "paused",
        REFUSED,
        "completed",
        "failed",
        "cancelled",
    ),
    Action.MODIFY_RESUME: (
        *("pausing", "running", "running", "pausing", "running"),
        *(REFUSED, "running", "running", "running"),
    ),
    Action.DISCARD: (REFUSED,) * 9,
    Action.CANCEL: (
        "cancelling",
        "cancelled",
        "cancelled",
        "cancelling",
        "cancelled",
        "cancelling",
        *[REFUSED] * 3,
    ),
    Action.RETRY: (REFUSED,) * 9,
}
"""The status after a request, in the order of SITUATIONS."""


def standing(situation: str) -> HookBench:
    """A job with two hooks, of which the first is in this situation."""
    cooldown = 5.0 if situation == "cools down" else 0.0
    first = job("x") if situation in ("cools down", "waits for its job") else command("a")
    bench = HookBench(hooked(first, command("b"), cooldown=cooldown))
    bench.play()
    match situation:
        case "waits for its job":
            bench.chains()
        case "pausing":
            bench.ask(Action.PAUSE)
        case "paused":
            bench.ask(Action.PAUSE)
            bench.hook_ends()
        case "cancelling":
            bench.ask(Action.CANCEL)
        case "completed":
            bench.hook_ends()
            bench.hook_ends()
        case "failed":
            bench.hook_ends(Outcome.FAILED)
            bench.hook_ends()
        case "cancelled":
            bench.ask(Action.CANCEL)
            bench.hook_ends(Outcome.INTERRUPTED)
    return bench


def facts(state: RunState) -> object:
    return state.run, dict(state.hook_rows), dict(state.holds), dict(state.sheets), state.staged


@each("situation", SITUATIONS)
@each("action", AFTER)
def test_a_request_in_a_hook_does_what_the_table_says(action: Action, situation: str) -> None:
    bench = standing(situation)
    wanted = AFTER[action][SITUATIONS.index(situation)]
    to = hooked(command("a"), sheets=2) if action in (Action.MODIFY, Action.MODIFY_RESUME) else None
    fields = {"clear": True} if action is Action.BREAK else {}
    fields |= {"sheets": "1"} if action is Action.RESUME_FROM else {}
    fields |= {"accept": "1"} if action is Action.RESUME_MARK else {}
    before, events = facts(bench.state), len(bench.disk.events)
    if wanted == REFUSED:
        with pytest.raises(WrongStatus):
            bench.ask(action, to, **fields)
        assert facts(bench.state) == before
        assert len(bench.disk.events) == events, "a refused request leaves no event"
        return
    bench.ask(action, to, **fields)
    assert bench.status == wanted
    assert [event.status for event in bench.disk.events[events:]].count(wanted) > 0
    assert bench.last is not None
    interrupts = action in (Action.PAUSE_NOW, Action.CANCEL) and situation in ("runs", "pausing")
    assert interrupts <= (bench.last.hook_interrupt is not None), "what runs is told to end"


def test_a_plan_says_that_hooks_of_a_failure_which_were_interrupted_run_first():
    bench = HookBench(
        chain(1, failure_hooks=(command("a", after_failure=True), command("b", after_failure=True)))
    )
    bench.go()
    bench.fail(1)
    assert bench.status is JobStatus.FAILED

    def told() -> list[tuple[bool, str]]:
        plan = bench.answer(bench.ask(Action.RESUME, plan=True)).hook_plan
        return [(line.runs, line.why) for line in plan]

    first, later = (True, "is one of the failure, and runs first"), (False, "runs if the job fails")
    assert told() == [first, first]
    bench.ask(Action.RESUME)
    bench.ask(Action.PAUSE_NOW)
    bench.hook_ends(Outcome.INTERRUPTED)
    assert (bench.status, told()) == (JobStatus.PAUSED, [first, first])
    bench.ask(Action.RESUME)
    assert (bench.hooks, bench.flying) == (["running", "pending"], [])
    bench.hook_ends()
    bench.ask(Action.PAUSE_NOW)
    assert told() == [later, first]
    bench.hook_ends()
    assert told() == [later, later]
