"""Loops on the bench, and where they stand."""

from kit.scores import Bench, chain

from marianned.protocol import LoopState
from marianned.score.expanded import LoopDefinition


def looped(stages: int = 3, first: int = 1, last: int = 2, **fields) -> Bench:
    """A chain of stages of which some are a loop, its first sheet in flight."""
    more = {
        name: fields.pop(name)
        for name in ("hooks", "triggers", "cost_limits", "on_failure")
        if name in fields
    }
    given = {"until": "file('ok').exists", "rounds": 3} | fields
    loop = LoopDefinition(first=first, last=last, sheets=tuple(range(first, last + 1)), ends=(last,), **given)
    bench = Bench(chain(stages, loops=(loop,), **more))
    bench.go()
    return bench


def to_the_question(bench: Bench) -> Bench:
    """Play the round to its end."""
    while not bench.state.loops.asking:
        bench.end(bench.flying[0])
    return bench


def standing(bench: Bench) -> tuple[int, LoopState]:
    (one,) = bench.state.loops
    return one.row.round, one.row.state
