"""Random lives of a job, step by step against a second writing of the contract.

MARIANNE_WALK_STEPS sets how long the plain walk is, MARIANNE_WALK_SEED where it begins.
"""

import os
import random
from dataclasses import replace

import hypothesis
import pytest
from control_model import Model
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from model_accepts import ALLOWED
from model_parts import DONE, Wanted
from plain_scores import HookStep, Score, first_score, grown, only, reworked, with_loop
from walking import ENDS, Walk

STEPS = int(os.environ.get("MARIANNE_WALK_STEPS", "1500"))
SEED = int(os.environ.get("MARIANNE_WALK_SEED", "1"))
LOOPED = 0.6
ONE_JOB = 60
"""Steps after which the plain walk takes up another job."""


scores = st.builds(
    first_score,
    st.integers(1, 5),
    st.integers(0, 1023),
    st.integers(1, 3),
    fail_fast=st.booleans(),
    on_failure=st.sampled_from(["fail", "pause"]),
)
slots = st.integers(0, 3)
HOW_HOOKS_END = ["succeeded", "exit", "lost", "interrupted"]


def wanted(model: Model, action: str, choice: int, *, rework: bool = True) -> Wanted:
    """What a request of this action brings; `choice` says what, with `rework` several changes at once too."""
    names = [step.name for step in model.score.steps]
    sheet = (names[choice // 4 % len(names)],)
    match action:
        case "pause":
            return Wanted(
                deadline=(None, None, 5.0, 30.0)[choice // 3 % 4], lasts=(None, None, 10.0)[choice % 3]
            )
        case "pause --now":
            return Wanted(lasts=(None, 10.0)[choice % 2])
        case "pause --before":
            clear = choice % 4 == 0
            return Wanted(sheets=() if clear and choice % 8 else sheet, clear=clear)
        case "resume --from" | "resume --skip/--accept" | "retry":
            several = action == "resume --skip/--accept" and choice % 8 == 0
            if action == "retry" and choice % 3:
                sheet = ()
            some = tuple(names[choice // 16 % len(names) :]) if several else sheet
            return Wanted(
                sheets=some, alone=action == "resume --from" and choice % 5 == 1, skip=choice % 2 > 0
            )
        case "modify" | "modify -r":
            return _modified(model, choice, sheet, rework=rework)
        case _:
            return Wanted()


def _modified(model: Model, choice: int, sheet: tuple[str], *, rework: bool) -> Wanted:
    """What a modify brings."""
    names = [step.name for step in model.score.steps]
    new = None if choice % 7 == 0 else grown(model.staged or model.score, choice)
    if choice % 11 == 1 and not model.staged and model.begun_with:
        new = only(model.score, model.begun_with)  # nothing would be left to do
    done = [name for name in names if model.sheets[name].status in DONE]
    if choice % 4 == 2 and model.earlier:
        new = model.earlier[choice // 4 % len(model.earlier)]  # as `--revision N` has it again
    elif choice % 4 == 3 and done and len(names) > 1:
        gone = done[choice // 4 % len(done)]
        new = only(model.score, [name for name in names if name != gone])
    changed = choice % 9 == 0
    named = not changed and (new is None or choice % 5 == 0)
    new = with_loop(new or model.staged or model.score, choice) if choice % 10 == 3 else new
    new = limited(new or model.staged or model.score, choice) if choice % 13 == 2 else new
    new = followed(new or model.staged or model.score, choice) if choice % 8 == 5 else new
    if choice % 3 == 1 and any(sheet.failed_by_judgement for sheet in model.sheets.values()):
        new = judged_otherwise(new if choice % 2 and new else model.score, choice)
    loop = model.score.loop
    if rework and choice % 8 == 6 and loop is not None and len(names) > 1:
        new = only(model.score, [name for name in names if name != loop.last])
    if rework and choice % 6 == 5:
        new = reworked(new or model.staged or model.score, choice // 6 + 17 * (choice % 8))
    if new is not None:
        sheet = (new.steps[choice // 4 % len(new.steps)].name,)
    return Wanted(new=new, sheets=sheet if named else (), changed=changed)


def judged_otherwise(score: Score, choice: int) -> Score:
    """The same score, whose loop may go round more often or less, and goes on after its last round or not."""
    loop = score.loop
    if loop is None:
        return score
    more = replace(loop, rounds=max(1, loop.rounds + choice // 3 % 3 - 1), goes_on=choice // 9 % 2 == 0)
    return replace(score, loop=more)


def limited(score: Score, choice: int) -> Score:
    """The same score with another time limit, or none."""
    return replace(score, wall=(None, 60.0, 600.0, 7200.0)[choice % 4])


def followed(score: Score, choice: int) -> Score:
    """The same score with other hooks after its failure, or none."""
    names = (("f1",), ("f1", "f2"), ("f2", "f1"), ("f3",), ())[choice % 5]
    return replace(score, after=tuple(map(HookStep, names)))


seconds = st.sampled_from([0, 1, 5, 10, 11, 60, 3600])


class RandomJob(RuleBasedStateMachine):
    """A job that anybody may do anything to at any moment."""

    walk: Walk

    @initialize(plan=scores, choice=st.integers(0, 9))
    def submit(self, plan: Score, choice: int) -> None:
        self.walk = Walk(followed(plan, choice))

    @rule(slots=slots, seconds=seconds)
    def time_passes(self, slots: int, seconds: float) -> None:
        self.walk.tick(seconds)
        self.walk.go(slots)

    @precondition(lambda self: self.walk.flying)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["succeeded"] * 3 + list(ENDS)), slots=slots)
    def attempt_ends(self, which: int, how: str, slots: int) -> None:
        flying = self.walk.flying
        self.walk.ends(flying[which % len(flying)], how, slots)

    @rule(
        action=st.sampled_from(sorted(ALLOWED)),
        choice=st.integers(0, 200),
        wait=st.booleans(),
        keyed=st.booleans(),
        slots=slots,
    )
    def asked(self, action: str, choice: int, wait: bool, keyed: bool, slots: int) -> None:
        self.walk.ask(action, wanted(self.walk.model, action, choice), wait=wait, keyed=keyed, slots=slots)

    @precondition(lambda self: self.walk.model.after.flying)
    @rule(how=st.sampled_from(HOW_HOOKS_END), slots=slots)
    def hook_ends(self, how: str, slots: int) -> None:
        self.walk.hook_ends(how, slots)

    @precondition(lambda self: self.walk.model.rounds.asking)
    @rule(said=st.sampled_from(["no", "no", "holds", "fault", "unknown"]), slots=slots)
    def loop_is_judged(self, said: str, slots: int) -> None:
        self.walk.judges(said, slots)

    @rule(slots=slots)
    def pause_file(self, slots: int) -> None:
        self.walk.file(slots)

    @rule()
    def fresh_run(self) -> None:
        self.walk.give_up()

    @rule()
    def daemon_dies(self) -> None:
        self.walk.crash()


TestRandomJob = RandomJob.TestCase
TestRandomJob.settings = hypothesis.settings(max_examples=25, stateful_step_count=40)


FOUND = [
    (102, 262), (102, 765), (102, 1106), (102, 1681), (102, 2469), (103, 2186), (104, 1263), (105, 707), (105, 3983),
]  # fmt: skip
"""Seeds and jobs that once differed from the second writing."""


@pytest.mark.slow
def test_a_long_walk_meets_nothing_that_the_contract_does_not_say() -> None:
    taken, jobs = 0, 0
    while taken < STEPS:
        jobs += 1
        taken += _wander_about(SEED, jobs)
    print(f"random walk: seed {SEED}, {taken} steps of {jobs} jobs")


@pytest.mark.parametrize(("seed", "job"), FOUND)
def test_what_once_differed_does_so_no_more(seed: int, job: int) -> None:
    assert _wander_about(seed, job, rework=False)


@pytest.mark.parametrize(("seed", "job"), [(232, 113)])
def test_what_differed_where_several_things_change_at_once_does_so_no_more(seed: int, job: int) -> None:
    assert _wander_about(seed, job)


def _wander_about(seed: int, job: int, *, rework: bool = True) -> int:
    """Take one job through its walk; return how many steps it had.

    Without `rework` it is as it was before there were requests that change several things at once.
    """
    chance = random.Random(f"{seed} {job}")
    plan = first_score(
        chance.randint(1, 5),
        chance.randrange(1024),
        chance.randint(1, 3),
        fail_fast=chance.random() < 0.5,
        on_failure=chance.choice(["fail", "pause"]),
    )
    if chance.random() < LOOPED:
        plan = with_loop(plan, chance.randrange(1000))
    plan = followed(plan, chance.randrange(10))
    walk = Walk(plan)
    told: list[object] = [f"seed {seed}, job {job}", plan]
    taken = 0
    try:
        for taken in range(1, ONE_JOB + 1):  # noqa: B007  how far it came is what is returned
            _wander(walk, chance, told, rework=rework)
            if walk.model.ended == "completed" and chance.random() < 0.5:
                break
    except BaseException as error:
        error.add_note("\n".join(map(str, told)))
        raise
    return taken


def _wander(walk: Walk, chance: random.Random, told: list[object], *, rework: bool) -> None:
    slots = chance.choice([0, 1, 1, 2, 3])
    flying = walk.flying
    die = chance.random()
    if walk.model.rounds.asking and die < 0.5:
        said = chance.choice(["no", "no", "holds", "fault", "unknown"])
        told.append(("judged", said, slots))
        walk.judges(said, slots)
        return
    if walk.model.after.flying and die < 0.4:
        how = chance.choice(HOW_HOOKS_END)
        told.append(("hook ends", how, slots))
        walk.hook_ends(how, slots)
        return
    if flying and die < 0.45:
        name, how = chance.choice(flying), chance.choice([*["succeeded"] * 4, *ENDS])
        told.append(("ends", name, how, slots))
        walk.ends(name, how, slots)
    elif die < 0.65:
        passed = chance.choice([0, 1, 5, 10, 60, 3600])
        told.append(("go", slots, passed))
        walk.tick(passed)
        walk.go(slots)
    elif die < 0.94:
        action = chance.choice(sorted(ALLOWED))
        new = wanted(walk.model, action, chance.randrange(200), rework=rework)
        wait, keyed = chance.random() < 0.6, chance.random() < 0.5
        told.append((action, new, wait, keyed, slots))
        walk.ask(action, new, wait=wait, keyed=keyed, slots=slots)
    elif die < 0.96:
        told.append(("file", slots))
        walk.file(slots)
    elif die < 0.98:
        told.append("fresh run")
        walk.give_up()
    else:
        told.append("crash")
        walk.crash()
