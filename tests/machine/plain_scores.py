"""Scores as the second writing of the contract knows them: their first form, what they grow to, who was who."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache


@dataclass(frozen=True)
class Step:
    """One stage of a score, with one sheet; the real score has its name too where it is `named`.

    `skips` is what its skip rule says: `yes`, `no`, or nothing where it has none.
    """

    name: str
    prompt: str
    needs: frozenset[str]
    named: bool = True
    skips: str = ""


@dataclass(frozen=True)
class HookStep:
    """A hook: a `command`, a `job` whose end is waited for, or one that is `detached`; its name is what it does."""

    name: str
    kind: str = "command"


@dataclass(frozen=True)
class LoopPlan:
    """A loop: the stages that are played again, the last of them, and how often at most.

    `exact`: so often, whatever comes of it; `goes_on`: after the last round, whatever its question says;
    `until`: what its question is about, where a walk cares.
    """

    span: frozenset[str]
    last: str
    rounds: int
    exact: bool = False
    goes_on: bool = False
    until: str = "passed"

    @property
    def judges_as(self) -> object:
        """All that a judgement depends on."""
        return self.rounds, self.exact, self.goes_on, not self.exact and self.until


@dataclass(frozen=True)
class Score:
    """A score as the model knows it."""

    steps: tuple[Step, ...]
    at_once: int = 1
    fail_fast: bool = True
    on_failure: str = "fail"
    hooks: tuple[HookStep, ...] = ()
    budget: float | None = None
    wall: float | None = None
    loop: LoopPlan | None = None
    after: tuple[HookStep, ...] = ()
    """The hooks of a failure."""
    tool: str = ""
    """What all steps are played with."""
    checks: str = ""
    """What is made of all of them: their checks, or how often they are tried."""

    @property
    def written(self) -> object:
        """What stands in the real score: a name that is not given stands in none."""
        place = {step.name: place for place, step in enumerate(self.steps)}
        steps = [
            (s.name if s.named else "", s.prompt, sorted(place[n] for n in s.needs), s.skips)
            for s in self.steps
        ]
        loop = self.loop and (
            sorted(place[name] for name in self.loop.span),
            place[self.loop.last],
            self.loop.judges_as,
        )
        of_all = self.budget, self.wall, self.tool, self.checks
        return steps, self.at_once, self.fail_fast, self.on_failure, self.hooks, of_all, loop, self.after


Alike = Callable[[Score, Step], object]
"""What of a step is compared."""


def _defined(score: Score, step: Step) -> object:
    return step.prompt, step.skips, score.tool, score.checks


def _run(score: Score, step: Step) -> object:
    return step.prompt, score.tool


def _called(_score: Score, step: Step) -> object:
    return step.name if step.named else None, step.prompt


@lru_cache(maxsize=10_000)
def who_was_who(old: Score, new: Score) -> dict[str, str]:
    """Name the step of an old score that each of a new one is.

    By name, then by what it is in the old order and wherever it is, so too by what it runs and by what it is
    called and told, and last by its place, unless both have a name.
    """
    names = {step.name for step in old.steps if step.named}
    was = {step.name: step.name for step in new.steps if step.named and step.name in names}
    for alike in (_defined, _run, _called):
        _match_alike(old, new, was, alike)
    known = [step.name for step in old.steps]
    pairs = [(place, known.index(was[step.name])) for place, step in enumerate(new.steps) if step.name in was]
    for place, (step, before) in enumerate(zip(new.steps, old.steps, strict=False)):
        free = step.name not in was and before.name not in was.values() and not (step.named and before.named)
        if free and all((here < place) == (there < place) for here, there in pairs):
            was[step.name] = before.name
    return was


def _match_alike(old: Score, new: Score, was: dict[str, str], alike: Alike) -> None:
    if not was and not any(step.named for step in (*old.steps, *new.steps)):  # else all are told apart
        was |= max(_in_order(old, new, 0, 0, alike), key=lambda pairs: _worth(old, new, pairs, alike))
    for place, step in enumerate(new.steps):
        there = old.steps[place] if place < len(old.steps) else None
        same = there is not None and alike(new, step) == alike(old, there)
        if step.name not in was and there and same and there.name not in was.values():
            was[step.name] = there.name
    for step in new.steps:
        same_ones = [
            s.name for s in old.steps if alike(old, s) == alike(new, step) and s.name not in was.values()
        ]
        if step.name not in was and same_ones:
            was[step.name] = same_ones[0]


def _in_order(old: Score, new: Score, here: int, there: int, alike: Alike) -> Iterator[dict[str, str]]:
    """Every way to pair steps that are alike without crossing, from these places on."""
    if here == len(new.steps):
        yield {}
        return
    yield from _in_order(old, new, here + 1, there, alike)
    for place in range(there, len(old.steps)):
        if alike(old, old.steps[place]) == alike(new, new.steps[here]):
            for rest in _in_order(old, new, here + 1, place + 1, alike):
                yield {new.steps[here].name: old.steps[place].name, **rest}


def _worth(old: Score, new: Score, pairs: dict[str, str], alike: Alike) -> tuple[int, int, int, int, int]:
    """How good a way it is: the most pairs, then that hang on the same, carry the same, stay in place, come early."""
    before = {step.name: place for place, step in enumerate(old.steps)}
    now = {step.name: place for place, step in enumerate(new.steps)}
    hang = sum((_hangs(old, was, alike) == _hangs(new, name, alike)) for name, was in pairs.items())
    carry = sum((_carries(old, was, alike) == _carries(new, name, alike)) for name, was in pairs.items())
    stay = sum(before[was] == now[name] for name, was in pairs.items())
    late = sum(before[was] + now[name] for name, was in pairs.items())
    return len(pairs), hang, carry, stay, -late


@lru_cache(maxsize=10_000)
def _hangs(score: Score, name: str, alike: Alike) -> object:
    step = next(step for step in score.steps if step.name == name)
    return alike(score, step), sorted([_hangs(score, need, alike) for need in step.needs], key=repr)


@lru_cache(maxsize=10_000)
def _carries(score: Score, name: str, alike: Alike) -> object:
    step = next(step for step in score.steps if step.name == name)
    dependents = [_carries(score, s.name, alike) for s in score.steps if name in s.needs]
    return alike(score, step), sorted(dependents, key=repr)


def waits_in(score: Score, step: Step) -> frozenset[str]:
    """Tell what a step waits for: what it needs, and the end of a loop that it needs a step of."""
    loop = score.loop
    outside = loop is not None and step.name not in loop.span and step.needs & loop.span
    return step.needs | {loop.last} if loop is not None and outside else step.needs


def with_loop(score: Score, choice: int) -> Score:
    """The same score with a loop, where there can be one: all that leads from one step to another."""
    steps = score.steps
    last = steps[choice % len(steps)]
    above = _above(score, last.name)
    first = steps[choice // 7 % len(steps)].name
    span = {name for name in above if first == name or first in _above(score, name)} | {last.name}
    loop = LoopPlan(frozenset(span), last.name, choice // 3 % 3 + 1, choice % 5 == 0, choice % 4 == 0)
    return sound(replace(score, loop=loop))


def sound(score: Score) -> Score:
    """The same score, without a loop that could not go round any more."""
    loop = score.loop
    if loop is None:
        return score
    known = {step.name for step in score.steps}
    fits = loop.span <= known and loop.span - {loop.last} <= _above(score, loop.last)
    outside = [name for name in known - loop.span if fits and _above(score, name) & loop.span]
    if fits and not any(name in _above(score, loop.last) for name in outside):
        return score
    return replace(score, loop=None)


def writable(score: Score) -> Score:
    """The same score, without a loop that a real one has no words for: its stages follow each other."""
    if score.loop is None:
        return score
    numbers = {step.name: number for number, step in enumerate(score.steps)}
    span = sorted(numbers[name] for name in score.loop.span)
    fits = span == list(range(span[0], span[-1] + 1)) and span[-1] == numbers[score.loop.last]
    return score if fits else replace(score, loop=None)


def _above(score: Score, name: str) -> set[str]:
    found: set[str] = set()
    more = {name}
    while more:
        more = {need for step in score.steps if step.name in more for need in step.needs} - found
        found |= more
    return found


def first_score(
    count: int, choice: int, at_once: int, *, fail_fast: bool, on_failure: str, told_apart: bool = False
) -> Score:
    """A score of so many stages; bit by bit `choice` says who needs whom; `told_apart`: all have names."""
    steps = []
    for number in range(count):
        needs = {f"s{below}" for below in range(number) if choice >> (number * (number - 1) // 2 + below) & 1}
        named = told_apart or choice % 3 > 0
        steps.append(Step(f"s{number}", f"p{number}" if named else "p", frozenset(needs), named))
    return Score(tuple(steps), at_once, fail_fast, on_failure)


def only(old: Score, names: Collection[str]) -> Score:
    """A score without its other stages."""
    kept = [replace(s, needs=s.needs.intersection(names)) for s in old.steps if s.name in names]
    return sound(replace(old, steps=tuple(kept)))


def grown(old: Score, choice: int) -> Score:
    """Another score, near to the old one: another prompt, name or place, a new stage, one less, other manners."""
    steps = list(old.steps)
    which = choice // 8 % len(steps)
    used = [int(step.name[1:]) for step in steps]
    match choice % 8:
        case 0 | 1:
            steps[which] = replace(steps[which], prompt=steps[which].prompt + "'")
        case 2 | 3 if len(steps) < 7:
            needs = frozenset({steps[which].name}) if choice % 3 else frozenset()
            named = steps[0].named
            prompt = f"p{max(used) + 1}" if named or choice % 5 == 0 else "p"
            steps.append(Step(f"s{max(used) + 1}", prompt, needs, named))
        case 4 if len(steps) > 1:
            gone = steps.pop(which).name
            steps = [replace(step, needs=step.needs - {gone}) for step in steps]
        case 5:
            return replace(old, at_once=choice // 8 % 3 + 1)
        case 6:
            return replace(old, fail_fast=not old.fail_fast)
        case 7 if choice // 8 % 2 and steps[0].named:  # else a name is nobody's but the model's
            return renamed(old, which)
        case 7:
            steps.insert(0, steps.pop(which))
        case _:
            pass
    return sound(replace(old, steps=tuple(steps)))


def renamed(old: Score, which: int) -> Score:
    """The same score, one of whose steps has another name."""
    before = old.steps[which].name
    names = {step.name: step.name for step in old.steps} | {before: _next_name(old)}
    steps = [
        replace(step, name=names[step.name], needs=frozenset(names[need] for need in step.needs))
        for step in old.steps
    ]
    loop = old.loop and replace(
        old.loop, span=frozenset(names[one] for one in old.loop.span), last=names[old.loop.last]
    )
    return replace(old, steps=tuple(steps), loop=loop)


def reworked(old: Score, choice: int) -> Score:
    """Another score by several changes at once: one for all steps, a new step first, others under other names."""
    of_all = {("tool", "checks")[choice % 2]: ("", "1", "2")[choice // 2 % 3]}
    new = replace(old, **of_all)
    named = old.steps[0].named
    if choice // 8 % 2 and len(old.steps) < 7:
        name = _next_name(old)
        prompt = name.replace("s", "p") if named or choice % 5 == 0 else "p"
        new = replace(new, steps=(Step(name, prompt, frozenset(), named), *new.steps))
    for more in range(choice // 16 % 3 if named else 0):
        new = renamed(new, (choice + more) % len(new.steps))
    return new


def _next_name(score: Score) -> str:
    return f"s{max(int(step.name[1:]) for step in score.steps) + 1}"
