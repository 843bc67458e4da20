"""After the last round, or a question without an answer: another judgement is made of what was played."""

import msgspec
from kit.scores import Bench, chain, score, stage
from kit.tables import each
from looping import looped, standing, to_the_question

from marianned.lifecycle import Action
from marianned.protocol import JobStatus, LoopState, Outcome


def judged_by(bench: Bench, *, check: str | None = None, **fields):
    """The same chain with another loop, and perhaps another prompt of its last stage."""
    loop = msgspec.structs.replace(bench.state.score.loops[0], **fields)
    made = chain(3, loops=(loop,))
    if check is None:
        return made
    stages = [
        stage([number] if number else [], **({"prompt": check} if number == 1 else {})) for number in range(3)
    ]
    return score(*stages, loops=(loop,))


def failed_by(bench: Bench, fault: str | None) -> Bench:
    to_the_question(bench).judged(None if fault else False, fault)
    assert (bench.status, bench.sheets[:2]) == (JobStatus.FAILED, ["completed", "failed"])
    return bench


@each("fault", [None, "there is no 9"])
@each("staged", [False, True])
def test_another_judgement_is_made_of_the_round_as_it_was_played_and_more_rounds_follow(fault, staged):
    bench = failed_by(looped(rounds=1), fault)
    more = judged_by(bench, rounds=3, until="file('ok').contains('it')")
    line = bench.answer(bench.ask(Action.MODIFY_RESUME, more, plan=True)).plan[1]
    assert (line.action, line.runs, line.reasons, line.rounds) == ("kept", False, ["judged"], [2, 3])
    assert line.why == "its round is judged again; runs again in round 2 if there is one"
    if staged:
        bench.ask(Action.MODIFY, more)
        assert bench.status is JobStatus.FAILED
        bench.ask(Action.RESUME)
    else:
        bench.ask(Action.MODIFY_RESUME, more)
    assert (bench.flying, bench.sheets) == ([], ["completed", "completed", "pending"])
    assert bench.state.loops.asking, "nothing is played before it is judged"
    assert [bench.sheet(number).attempts for number in (1, 2)] == [1, 1]
    bench.judged(False)
    assert (bench.flying, standing(bench)) == ([1], (2, LoopState.OPEN))


def test_a_judgement_that_is_made_again_and_holds_closes_the_loop():
    bench = failed_by(looped(rounds=1), None)
    bench.ask(Action.MODIFY_RESUME, judged_by(bench, exhausted="continue"))
    bench.judged(False)
    assert (bench.flying, standing(bench)) == ([3], (1, LoopState.CLOSED))


@each(
    ("until", "said"),
    [
        (None, "its last stage does not go well after round 1"),
        ("loop.passed", "its until does not hold after round 1"),
    ],
)
def test_what_is_said_of_rounds_that_are_used_up(until, said):
    bench = looped(rounds=1, until=until)
    bench.end(1)
    bench.end(2, Outcome.FAILED, category="exit", exit_code=1)
    bench.judged(False)
    assert (bench.sheet(2).error_category, bench.sheet(2).error_message) == ("rounds", said)


def test_a_resume_alone_or_a_changed_last_stage_plays_it_once_more():
    bench = failed_by(looped(rounds=1), None)
    bench.ask(Action.RESUME)
    assert (bench.flying, standing(bench)[0]) == ([2], 1)
    other = failed_by(looped(rounds=1), None)
    other.ask(Action.MODIFY_RESUME, judged_by(other, rounds=3, check="another check"))
    assert (other.flying, standing(other)[0]) == ([2], 1)
    same = failed_by(looped(rounds=1), None)
    same.ask(Action.MODIFY_RESUME, chain(3, loops=same.state.score.loops, on_failure="pause"))
    assert same.flying == [2], "the loop is what it was: so is its judgement"


def test_what_is_asked_for_runs_again_though_its_round_could_be_judged_again():
    bench = failed_by(looped(rounds=1), None)
    bench.ask(Action.MODIFY_RESUME, judged_by(bench, rounds=3), sheets="2")
    assert (bench.flying, standing(bench)) == ([2], (1, LoopState.OPEN))
