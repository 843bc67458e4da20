"""What stands behind a loop starts when that is over: its rounds, and its last stage where that runs again alone."""

from kit.scores import Bench, score, stage

from marianned.lifecycle import Action
from marianned.progress.views.job import job_view, sheet_views
from marianned.protocol import LoopState
from marianned.score.expanded import LoopDefinition


def test_what_is_behind_a_closed_loop_waits_for_its_last_stage_that_runs_again_alone_and_is_told_so():
    """`next` named a sheet that did not start when what is in flight had ended."""
    loop = LoopDefinition(first=1, last=2, sheets=(1, 2), ends=(2,), until="file('ok').exists", rounds=3)
    stages = [stage(), stage([1]), stage(), stage([1, 3]), stage()]
    bench = Bench(score(*stages, loops=(loop,), fail_fast=False))
    bench.go()
    while bench.flying != [3] or bench.state.loops.asking:
        if bench.state.loops.asking:
            bench.judged(True)
        else:
            bench.end(bench.flying[0])
    bench.ask(Action.PAUSE)
    bench.end(3)
    bench.ask(Action.RESUME_FROM, sheets="2", alone=True)
    (one,) = bench.state.loops
    assert (one.row.round, one.row.state, bench.flying) == (1, LoopState.CLOSED, [2])
    bench.fail(2, "exit")
    assert bench.flying == [5]
    view = job_view(bench.state, bench.now)
    assert view.next is not None
    assert view.next.text == "sheet 5 ends"
    assert sheet_views(bench.state, [4])[0].kept_back_by == "the end of loop 1-2, round 1"
    bench.tick(7200)
    bench.end(5)
    assert bench.flying == [2]
    bench.end(2)
    assert bench.flying == [4]
