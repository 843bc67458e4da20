"""Which sheets of this run those of a score are, as the second writing of the contract has it.

Slow and plain: everything is looked at again until nothing more is found. Source:
docs/reference/score-format.md §7.3.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_parts import DONE, Definition, Place, Sheet
from plain_scores import Score, Step, who_was_who

if TYPE_CHECKING:
    from control_model import Model


Doing = tuple[Definition, Place, int]


@dataclass(frozen=True)
class Past:
    """A sheet that was done and was taken out: as what and where it stood then."""

    stood_as: Definition
    stood_at: Place
    sheet: Sheet
    played_with: frozenset[int] = frozenset()
    """The numbers of the sheets of the loop it stood in."""

    @property
    def needs(self) -> frozenset[int | None]:
        """What it needed when it was done, and when it was taken out."""
        assert self.sheet.made_as
        return self.sheet.made_as.needs | self.stood_as.needs


@dataclass(frozen=True)
class Origins:
    """By the name of each step: which one of the score in force it is, or which sheet comes back."""

    was: dict[str, str]
    back: dict[str, int]


def place_of(score: Score, step: Step) -> Place:
    """Where a step stands: by its name, if the real score has it, and by its number."""
    return step.name if step.named else None, score.steps.index(step)


def shape(score: Score) -> str:
    """All that tells the steps of a score."""
    places = {step.name: place for place, step in enumerate(score.steps)}
    return repr(
        [
            (
                step.name if step.named else None,
                step.prompt,
                step.skips,
                sorted(places[n] for n in step.needs),
                score.tool,
                score.checks,
            )
            for step in score.steps
        ]
    )


def forget(model: "Model", again: set[int]) -> None:
    """Forget, of what was taken out, all that hangs on sheets that run again."""
    while hangs := {number for number, past in model.past.items() if past.needs & again}:
        model.past = {number: past for number, past in model.past.items() if number not in hangs}
        again = again | hangs


def forget_played(model: "Model", again: set[int]) -> None:
    """Forget what was taken out of a loop as well, where its sheets are played in the next round."""
    forget(model, again | {number for number, past in model.past.items() if past.played_with & again})
    model.past = {number: past for number, past in model.past.items() if not past.played_with & again}


def origins(model: "Model", new: Score) -> Origins:
    """Tell where the steps of a score come from."""
    was = who_was_who(model.score, new)
    if not model.left_scores and not model.past:
        return Origins(was, {})
    numbers = {name: model.sheets[before].number for name, before in was.items()}
    in_force = {sheet.number: name for name, sheet in model.sheets.items()}
    left = model.left_scores.get(shape(new), [0] * len(new.steps))
    known = {
        step.name: number
        for step, number in zip(new.steps, left, strict=True)
        if number in in_force or number in model.past
    }
    done, stood = _doings(model, new, was, known)
    chosen = {name: n for name, n in numbers.items() if n not in known.values()} | known
    for known_as in (done, [*done, *stood]):
        for widely in (False, True):
            while _find_more(model, new, numbers, known, chosen, known_as, widely=widely):
                pass
    return Origins(
        {name: in_force[number] for name, number in chosen.items() if number in in_force},
        {name: number for name, number in chosen.items() if number not in in_force},
    )


def _doings(
    model: "Model", new: Score, was: dict[str, str], known: dict[str, int]
) -> tuple[list[Doing], list[Doing]]:
    """What was done, where, and by which sheet; beside it what only stood so."""
    done = [(past.sheet.made_as, past.sheet.made_at, number) for number, past in sorted(model.past.items())]
    stood = [(past.stood_as, past.stood_at, number) for number, past in sorted(model.past.items())]
    stays = {
        before
        for name, before in was.items()
        if name not in known and _is_unchanged(model.score, new, name, was)
    }
    for step in model.score.steps:
        sheet = model.sheets[step.name]
        if step.name in stays:
            continue
        if sheet.status in DONE:
            done.append((sheet.made_as, sheet.made_at, sheet.number))
        elif sheet.status == "running":
            done.append((model.stands_as(step.name), place_of(model.score, step), sheet.number))
    told = [
        [(what, where, number) for what, where, number in found if what and where] for found in (done, stood)
    ]
    return told[0], told[1]


def _is_unchanged(old: Score, new: Score, name: str, was: dict[str, str]) -> bool:
    now, then = _step(new, name), _step(old, was[name])
    same = Definition.of(new, now, ()) == Definition.of(old, then, ())
    return same and {was.get(need) for need in now.needs} == set(then.needs)


def _step(score: Score, name: str) -> Step:
    return next(step for step in score.steps if step.name == name)


def _depth(score: Score, name: str) -> int:
    return max((1 + _depth(score, need) for need in _step(score, name).needs), default=0)


def _find_more(
    model: "Model",
    new: Score,
    numbers: dict[str, int],
    known: dict[str, int],
    chosen: dict[str, int],
    doings: list[Doing],
    *,
    widely: bool,
) -> bool:
    """Go through the steps, each after what it needs; tell whether one was found to be another sheet."""
    before = len(known)
    free = {name: number for name, number in numbers.items() if number not in known.values()}
    for step in sorted(new.steps, key=lambda step: _depth(new, step.name)):
        name = step.name
        if name in known:
            continue
        definition = Definition.of(new, step, (chosen.get(need) for need in step.needs))
        in_force = {sheet.number: old for old, sheet in model.sheets.items()}
        if name not in free or definition != model.stands_as(in_force[free[name]]):
            for what, where, number in doings:
                anywhere = widely and (name not in free or _would_run(model, in_force[free[name]]))
                fits = _fits(where, place_of(new, step), widely=anywhere)
                if what == definition and fits and number not in known.values():
                    known[name] = chosen[name] = number
                    break
        if name not in known:
            chosen.pop(name, None)
            if name in free and free[name] not in known.values():
                chosen[name] = free[name]
    return len(known) > before


def _would_run(model: "Model", name: str) -> bool:
    """Tell whether nothing is done of a step, nor about to be."""
    return model.sheets[name].status not in ("running", *DONE)


def _fits(there: Place, here: Place, *, widely: bool) -> bool:
    """The same name; without one the same number, or any."""
    return there[0] == here[0] and (widely or here[0] is not None or there[1] == here[1])
