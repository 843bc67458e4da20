"""A job with hooks that anybody may do anything to: the bench's invariants hold, and nothing is done twice."""

import os
import random
from contextlib import suppress

from kit.hooks import HookBench, command, hooked, job

from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.protocol import JobStatus, Outcome

STEPS = int(os.environ.get("MARIANNE_WALK_STEPS", "1500")) // 2
SEED = int(os.environ.get("MARIANNE_WALK_SEED", "1"))
ONE_JOB = 50
ENDS = [Outcome.SUCCEEDED] * 3 + [Outcome.FAILED, Outcome.LOST, Outcome.INTERRUPTED, Outcome.TIMED_OUT]
REQUESTS = [action for action in Action if action is not Action.BREAK]


def score(chance: random.Random):
    made = [
        command("a"),
        command("b", abort_on_failure=chance.random() < 0.3),
        job("x"),
        job("y", detached=True),
    ]
    made[2:3] = [
        job("x", pause_before_chain=chance.random() < 0.3, timeout_seconds=chance.choice([None, 30.0]))
    ]
    hooks = chance.sample(made, chance.randint(1, 4))
    return hooked(
        *hooks,
        sheets=chance.randint(1, 3),
        cooldown=chance.choice([0.0, 5.0]),
        max_chain_depth=chance.choice([5, 5, 1]),
    )


def wander(bench: HookBench, chance: random.Random) -> None:
    bench.after(0.001)
    running = [row for row in bench.state.hooks if row.status == "running"]
    waiting = [row for row in bench.state.hooks if row.waiting_for == "job"]
    die = chance.random()
    if running and die < 0.5:
        definition = bench.state.hook_definition(running[0].hook)
        outcome = chance.choice(ENDS)
        if definition.starts_job and outcome is Outcome.SUCCEEDED:
            keeps = definition.detached and running[0].pending_revision is None
            bench.hook_ends(pending_revision=b"x") if keeps else bench.chains()
        else:
            bench.hook_ends(outcome, asked=chance.random() < 0.5)
    elif waiting and die < 0.4:
        bench.chained_ends(waiting[0].hook, chance.choice([JobStatus.COMPLETED, JobStatus.FAILED]))
    elif bench.flying and die < 0.6:
        bench.end(bench.flying[0])
    elif die < 0.75:
        bench.tick(chance.choice([0, 1, 5, 60]))
    elif die < 0.78:
        bench.crash()
    else:
        action = chance.choice(REQUESTS)
        new = score(chance) if action in (Action.MODIFY, Action.MODIFY_RESUME) else None
        with suppress(WrongStatus):  # that nothing follows from it is the bench's to see
            bench.ask(action, new, sheets="1" if action is Action.RESUME_FROM else None)


def test_no_hook_that_succeeded_runs_again_unless_sheets_do() -> None:
    for walk in range(STEPS // ONE_JOB):
        chance = random.Random(f"{SEED} {walk}")
        bench = HookBench(score(chance))
        bench.go()
        done: set[tuple[object, ...]] = set()
        for _ in range(ONE_JOB):
            rewound = sum(event.type == "sheets.rewound" for event in bench.disk.events)
            wander(bench, chance)
            if sum(event.type == "sheets.rewound" for event in bench.disk.events) > rewound:
                done = set()
            pairs = list(zip(bench.state.score.hooks, bench.state.hooks, strict=True))
            again = [hook for hook, row in pairs if row.status == "running" and hook.identity in done]
            assert not again, (walk, again)
            done |= {hook.identity for hook, row in pairs if row.status == "completed"}
            assert bench.status in ("running", "pausing", "cancelling") or not bench.state.flights
