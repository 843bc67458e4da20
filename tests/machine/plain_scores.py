"""Scores as the second writing of the contract knows them: their first form, what they grow to, who was who."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One stage of a score, with one sheet."""

    name: str
    prompt: str
    needs: frozenset[str]


@dataclass(frozen=True)
class Score:
    """A score as the model knows it."""

    steps: tuple[Step, ...]
    at_once: int = 1
    fail_fast: bool = True
    on_failure: str = "fail"


def who_was_who(old: Score, new: Score) -> dict[str, str]:
    """Name the step of an old score that each of a new one is: by name, else by prompt, else by its place."""
    known = [step.name for step in old.steps]
    was = {step.name: step.name for step in new.steps if step.name in known}
    for step in new.steps:
        same = [s.name for s in old.steps if s.prompt == step.prompt and s.name not in was.values()]
        if step.name not in was and same:
            was[step.name] = same[0]
    pairs = [(place, known.index(was[step.name])) for place, step in enumerate(new.steps) if step.name in was]
    for place, (step, before) in enumerate(zip(new.steps, old.steps, strict=False)):
        free = step.name not in was and before.name not in was.values()
        if free and all((here < place) == (there < place) for here, there in pairs):
            was[step.name] = before.name
    return was


def first_score(count: int, choice: int, at_once: int, *, fail_fast: bool, on_failure: str) -> Score:
    """A score of so many stages; bit by bit `choice` says who needs whom."""
    steps = []
    for number in range(count):
        needs = {f"s{below}" for below in range(number) if choice >> (number * (number - 1) // 2 + below) & 1}
        steps.append(Step(f"s{number}", f"p{number}", frozenset(needs)))
    return Score(tuple(steps), at_once, fail_fast, on_failure)


def grown(old: Score, choice: int) -> Score:
    """Another score, near to the old one: another prompt, name or place, a new stage, one less, other manners."""
    steps = list(old.steps)
    which = choice // 8 % len(steps)
    used = [int(step.name[1:]) for step in steps]
    match choice % 8:
        case 0 | 1:
            steps[which] = Step(steps[which].name, steps[which].prompt + "'", steps[which].needs)
        case 2 | 3 if len(steps) < 7:
            needs = frozenset({steps[which].name}) if choice % 3 else frozenset()
            steps.append(Step(f"s{max(used) + 1}", f"p{max(used) + 1}", needs))
        case 4 if len(steps) > 1:
            gone = steps.pop(which).name
            steps = [Step(step.name, step.prompt, step.needs - {gone}) for step in steps]
        case 5:
            return Score(old.steps, choice // 8 % 3 + 1, old.fail_fast, old.on_failure)
        case 6:
            return Score(old.steps, old.at_once, not old.fail_fast, old.on_failure)
        case 7 if choice // 8 % 2:
            renamed = {steps[which].name: f"s{max(used) + 1}"}
            steps = [
                Step(
                    renamed.get(step.name, step.name),
                    step.prompt,
                    frozenset(renamed.get(need, need) for need in step.needs),
                )
                for step in steps
            ]
        case 7:
            steps.insert(0, steps.pop(which))
        case _:
            pass
    return Score(tuple(steps), old.at_once, old.fail_fast, old.on_failure)
