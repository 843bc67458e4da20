"""Matches the stages of two revisions of a score, and then the sheets within them.

Names come first and are fixed points. Between them equal definitions are paired as a longest common
subsequence, so that a stage that changes, comes or goes moves no other one; what is left is paired by an
equal definition elsewhere, then so by what it runs and by its prompt, and last by number. Source:
docs/reference/score-format.md §7.3.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple
from weakref import ref

from marianned.score.expanded import ExpandedScore, SheetDefinition

_IN_OLD, _IN_NEW = -2, -3
"""Numbers of what is in one score alone; -1 is where a circle of needs closes."""
_NO_STAGE_BELOW, _NO_STAGE_ABOVE = 0, 2**63
_CELLS_MOST = 200_000
"""How much of the table of a subsequence is filled in at once: a tenth of a second's worth.

Only scores that have little in common come so far; they are paired by definition and number alone.
"""

_RUN = ("prompt", "files", "instrument", "settings")
"""The aspects of a definition that say what runs; the others say what is made of it."""
_PROMPT = ("prompt",)

Stages = dict[int, list[SheetDefinition]]


class RevisionMatch(NamedTuple):
    """The old number of each matched stage and sheet, by its new number."""

    stages: dict[int, int]
    sheets: dict[int, int]


class _StageKey(NamedTuple):
    """What two stages are compared by: small numbers, which are equal where the stages are.

    `definition` is what a stage does, as far as it is looked at, `below` that and all it depends on, `above`
    that and all that depends on it; `sheets` are those of the stage.
    """

    number: int
    definition: int
    below: int
    above: int
    sheets: list[SheetDefinition]

    def same(self, other: "_StageKey") -> bool:
        """Tell whether two stages differ by nothing but their own numbers."""
        return self[1:4] == other[1:4]


def match_revisions(old: ExpandedScore, new: ExpandedScore) -> RevisionMatch:
    """Return which stage and sheet of `old` each of `new` is, where it is one.

    The last answer is remembered, for as long as both live: a modify is planned to be shown, to be stored and
    to be done, each time for the same two.
    """
    known = _last[0]
    if known is None or known[0]() is not old or known[1]() is not new:
        known = _last[0] = (ref(old), ref(new), _match_revisions(old, new))
    return known[2]


_last: list[tuple["ref[ExpandedScore]", "ref[ExpandedScore]", RevisionMatch] | None] = [None]


def _match_revisions(old: ExpandedScore, new: ExpandedScore) -> RevisionMatch:
    old_stages, new_stages = _sheets_by_stage(old), _sheets_by_stage(new)
    worded = all(sheet.words for sheet in (*old.sheets, *new.sheets))
    stages = _match_stages(old_stages, new_stages, worded=worded)
    sheets: dict[int, int] = {}
    for new_number, old_number in stages.items():
        olds, news = old_stages[old_number], new_stages[new_number]
        if len(olds) == len(news) == 1:  # most stages have but one
            if olds[0].instance == news[0].instance:
                sheets[news[0].sheet] = olds[0].sheet
            continue
        instances = {sheet.instance: sheet.sheet for sheet in olds}
        sheets |= {sheet.sheet: instances[sheet.instance] for sheet in news if sheet.instance in instances}
    return RevisionMatch(stages, sheets)


def _sheets_by_stage(score: ExpandedScore) -> Stages:
    stages: defaultdict[int, list[SheetDefinition]] = defaultdict(list)
    for sheet in score.sheets:
        stages[sheet.stage].append(sheet)
    return {stage: stages[stage] for stage in sorted(stages)}


def _match_stages(old: Stages, new: Stages, *, worded: bool) -> dict[int, int]:
    """Return which old stage each new one is.

    Each round is over what the ones before have left: a name that only one stage has in both scores; equal
    definitions, in their order between what is matched and then anywhere; so too what runs alike, then in as
    many instances as both have, and what has the same name, or none, and the same prompt; the same number,
    where no match crosses it. The earlier a round, the surer the match, so a later one never takes a stage
    away from an earlier one.
    """
    matched = _same_unique_name(old, new)
    prompts = _PromptComparison(old, new, worded=worded)
    whole, run = _StageNumbering(prompts), _StageNumbering(prompts, _RUN)
    grown = _StageNumbering(prompts, _RUN, first=True)
    called = _StageNumbering(prompts, _PROMPT, first=True, named=True)
    for numbering in (whole, run, grown, called):
        if numbering.any_equal(_unmatched_stages(old, matched.values()), _unmatched_stages(new, matched)):
            olds, news = numbering.of(old), numbering.of(new)
            free = _unmatched_keys(olds, matched.values()), _unmatched_keys(news, matched)
            found = _same_place(*free, matched)
            taken = {*matched.values(), *found.values()}
            found |= _same_definition(_unmatched_keys(olds, taken), _unmatched_keys(news, [*matched, *found]))
            matched |= {
                new_number: old_number
                for new_number, old_number in found.items()
                if numbering.is_match(old[old_number], new[new_number])
            }
    return matched | _same_number(
        _unmatched_stages(old, matched.values()), _unmatched_stages(new, matched), matched
    )


def _unmatched_stages(stages: Stages, matched: Iterable[int]) -> Stages:
    taken = set(matched)
    return {number: sheets for number, sheets in stages.items() if number not in taken}


def _unmatched_keys(stages: Sequence[_StageKey], matched: Iterable[int]) -> list[_StageKey]:
    taken = set(matched)
    return [stage for stage in stages if stage.number not in taken]


class _DigestOrder:
    """Reads the digests of sheets with these aspects, except the prompt's, in the order of their names."""

    def __init__(self, aspects: Iterable[str]) -> None:
        self.names = tuple(sorted({*aspects} - {"prompt"}))
        self.values = itemgetter(*self.names) if self.names else _no_digests


def _no_digests(_: object) -> None:
    pass


class _PromptComparison:
    """The prompts of both scores; `worded`: without white space that says nothing.

    A template that chooses by sheet_num leaves other blank lines at each place; a sheet that has moved is
    the same all the same. What only one score has, as most of it where a template has changed, is equal to
    nothing of the other, whatever else is looked at.
    """

    def __init__(self, old: Stages, new: Stages, *, worded: bool) -> None:
        self._worded = worded
        self._old = {self.of(sheet) for group in old.values() for sheet in group}
        self._both = self._old & {self.of(sheet) for group in new.values() for sheet in group}

    def of(self, sheet: SheetDefinition) -> str | None:
        """Return what is compared of the prompt of a sheet."""
        return sheet.words if self._worded else sheet.digests.get("prompt")

    def number_if_unshared(self, sheet: SheetDefinition) -> int | None:
        """Return the number of sheets whose prompt only one score has; None: both scores have this prompt."""
        prompt = self.of(sheet)
        if prompt in self._both:
            return None
        return _IN_OLD if prompt in self._old else _IN_NEW


class _StageNumbering:
    """Numbers stages, over both scores, so that equal ones have the same number.

    `aspects` are those of a definition that are looked at, all of them if there are none; `first`: of the
    first instance alone, for a fan-out may grow; `named`: and beside them the name.
    """

    def __init__(
        self,
        prompts: _PromptComparison,
        aspects: Collection[str] = (),
        *,
        first: bool = False,
        named: bool = False,
    ) -> None:
        self._aspects = aspects
        self._prompts = prompts
        self._first = first
        self._named = named
        self._known: dict[object, int] = {}
        self._orders: dict[tuple[str, ...], _DigestOrder] = {}
        # by the identity of a sheet: both scores live as long as this
        self._number_by_sheet: dict[int, int] = {}

    def any_equal(self, old: Stages, new: Stages) -> bool:
        """Tell whether any two of these stages are equal; only then all of them are compared."""
        prompt = self._prompts.of
        prompts = {prompt(group[0]) for group in old.values()}  # what is equal has an equal one first
        if not any(prompt(group[0]) in prompts for group in new.values()):
            return False
        known = {self._group_number_alone(group) for group in old.values()}
        return any(self._group_number_alone(group) in known for group in new.values()) if known else False

    def is_match(self, old: list[SheetDefinition], new: list[SheetDefinition]) -> bool:
        """Tell whether equal stages are the same one: without a name, all common instances must be equal."""
        if not self._first or self._named:
            return True
        known = {sheet.instance: self._sheet_number(sheet) for sheet in old}
        return all(
            known.get(sheet.instance, own) == own for sheet in new for own in [self._sheet_number(sheet)]
        )

    def _group_number_alone(self, group: list[SheetDefinition]) -> int:
        if self._is_first_enough(group):
            return self._sheet_number(group[0])
        return self._group_number(group, {sheet.sheet: self._sheet_number(sheet) for sheet in group})

    def _sheet_number(self, sheet: SheetDefinition) -> int:
        known = self._number_by_sheet.get(id(sheet))
        if known is None:
            known = self._prompts.number_if_unshared(sheet)
            if known is None:
                known = self._number(self._definition(sheet))
            self._number_by_sheet[id(sheet)] = known
        return known

    def of(self, stages: Stages) -> list[_StageKey]:
        """Return what each stage is compared by."""
        own: dict[int, int] = {}
        needs: dict[int, Sequence[int]] = {}
        dependents: dict[int, list[int]] = {}
        for group in stages.values():
            for sheet in group:
                own[sheet.sheet] = self._sheet_number(sheet)
                needs[sheet.sheet] = sheet.needs
                dependents[sheet.sheet] = []
        for number, needed in needs.items():
            for need in needed:
                dependents[need].append(number)
        below = self._number_with_reachable(needs, own)
        above = self._number_with_reachable(dict(reversed(dependents.items())), own)
        found = []
        for stage, group in stages.items():
            if self._is_first_enough(group):  # most have but one
                first = group[0].sheet
                found.append(_StageKey(stage, own[first], below[first], above[first], group))
            else:
                whole, under, over = (self._group_number(group, numbers) for numbers in (own, below, above))
                found.append(_StageKey(stage, whole, under, over, group))
        return found

    def _definition(self, sheet: SheetDefinition) -> object:
        """Return what is looked at of a sheet, to be compared and hashed."""
        prompt = self._prompts.of(sheet)
        if not self._aspects:
            names = tuple(sheet.digests)
            order = self._orders.get(names) or self._orders.setdefault(names, _DigestOrder(names))
            return prompt, order.names, order.values(sheet.digests)
        told = [prompt if aspect == "prompt" else sheet.digests.get(aspect) for aspect in self._aspects]
        return (*told, sheet.movement) if self._named else tuple(told)

    def _group_number(self, group: list[SheetDefinition], numbers: Mapping[int, int]) -> int:
        """Number a stage by its sheets."""
        return self._number(tuple((sheet.instance, numbers[sheet.sheet]) for sheet in group))

    def _is_first_enough(self, group: list[SheetDefinition]) -> bool:
        return self._first or (len(group) == 1 and group[0].instance == 1)

    def _number_with_reachable(
        self, edges: Mapping[int, Sequence[int]], own: Mapping[int, int]
    ) -> dict[int, int]:
        """Number each sheet by itself and all that its edges lead to; a cycle ends where it closes.

        It is done at once where those come first that edges lead to, as they do nearly always.
        """
        number_of = self._known.setdefault
        found: dict[int, int] = {}
        opened: set[int] = set()
        for first, ends in edges.items():
            if first in found:
                continue
            if not ends or own[first] < 0:
                found[first] = own[first]
            elif len(ends) == 1 and (only := found.get(ends[0])) is not None:
                found[first] = number_of((own[first], only), len(self._known))
            else:
                self._number_reachable(first, edges, own, found, opened)
        return found

    def _number_reachable(
        self,
        first: int,
        edges: Mapping[int, Sequence[int]],
        own: Mapping[int, int],
        found: dict[int, int],
        opened: set[int],
    ) -> None:
        stack = [first]
        while stack:  # no recursion: a chain may be long
            number = stack[-1]
            opened.add(number)
            more = [other for other in edges[number] if other not in found and other not in opened]
            stack += more
            if not more:
                stack.pop()
                others = sorted([found.get(other, -1) for other in edges[number]])
                known = self._number((own[number], *others)) if others else own[number]
                found.setdefault(number, known)

    def _number(self, key: object) -> int:
        return self._known.setdefault(key, len(self._known))


# --- by name -------------------------------------------------------------------------------------------


def _same_unique_name(old: Stages, new: Stages) -> dict[int, int]:
    old_names = _unique_names(old)
    return {stage: old_names[name] for name, stage in _unique_names(new).items() if name in old_names}


def _unique_names(stages: Stages) -> dict[str, int]:
    names = {stage: sheets[0].movement for stage, sheets in stages.items()}
    counts = Counter(names.values())
    return {name: stage for stage, name in names.items() if name is not None and counts[name] == 1}


# --- by definition and place ---------------------------------------------------------------------------


def _same_place(
    old: Sequence[_StageKey], new: Sequence[_StageKey], known: Mapping[int, int]
) -> dict[int, int]:
    """Match equal definitions in their order, between those that are matched and have kept theirs."""
    fixed = _longest_increasing(known)
    turned = len(fixed) < len(known) and _comparison_key(old) > _comparison_key(new)
    if turned:  # of several longest ones the same is chosen there and back
        inverted = _longest_increasing(_inverted(known))
        fixed = [(new_number, old_number) for old_number, new_number in inverted]
    found: dict[int, int] = {}
    old_from = new_from = 0
    for new_number, old_number in [*fixed, (_NO_STAGE_ABOVE, _NO_STAGE_ABOVE)]:
        old_end, new_end = _end_below(old, old_from, old_number), _end_below(new, new_from, new_number)
        found |= _common_subsequence(old[old_from:old_end], new[new_from:new_end])
        old_from, new_from = old_end, new_end
    return found


def _end_below(stages: Sequence[_StageKey], start: int, below: int) -> int:
    """Return where those stages stop, from `start`, whose numbers are below a number."""
    return bisect_left(stages, below, start, key=lambda stage: stage.number)


def _longest_increasing(pairs: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return as many of these pairs as possible that don't cross: a longest increasing subsequence.

    Patience sorting: `lowest[k]` is the smallest old number that a run of k + 1 pairs can end with so far,
    so the list ascends and a bisection finds the longest run that each pair can be put behind. `before`
    remembers behind which pair that was; followed from the end of the longest run, it gives the run
    backwards.
    """
    ordered = sorted(pairs.items())
    lowest: list[int] = []  # the lowest old number that a run of this length can end with
    ends: list[int] = []  # and the pair with it
    before: list[int] = []
    for index, (_, old_number) in enumerate(ordered):
        place = bisect_left(lowest, old_number)
        lowest[place : place + 1] = [old_number]  # where none is so long yet, this puts it behind the last
        ends[place : place + 1] = [index]
        before.append(ends[place - 1] if place else -1)
    found: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        found.append(ordered[index])
        index = before[index]
    return found[::-1]


def _common_subsequence(old: Sequence[_StageKey], new: Sequence[_StageKey]) -> dict[int, int]:
    """Return a longest common subsequence by definition, and of those one that keeps the most in place.

    In place is, first, what depends on the same, for that is unchanged, then what the same depends on, then
    what has the same number; of what is as good then, the earlier stages are taken.
    The table is filled in along its diagonal only, as wide as the number of stages that are in one of the two
    alone: no longest subsequence leaves that band.
    """
    found: dict[int, int] = {}
    start = 0
    while start < min(len(old), len(new)) and old[start].same(new[start]):
        found[new[start].number] = old[start].number
        start += 1
    end = 0
    if len(old) == len(new):  # else a pair at the end may be one that has not kept its number
        while end < len(old) - start and old[-1 - end].same(new[-1 - end]):
            found[new[-1 - end].number] = old[-1 - end].number
            end += 1
    olds, news = old[start : len(old) - end], new[start : len(new) - end]
    width = _count_unshared(olds, news) + 2
    turned: bool | None = None
    while olds and news and min(2 * width + 1, len(news)) * len(olds) <= _CELLS_MOST:
        if turned is None:  # of two that are as good the same is chosen there and back
            turned = _comparison_key(olds) > _comparison_key(news)
        pairs = _inverted(_best_in_band(news, olds, width)) if turned else _best_in_band(olds, news, width)
        if len(olds) + len(news) - 2 * len(pairs) <= width:
            return found | pairs
        width *= 2
    return found


def _count_unshared(old: Sequence[_StageKey], new: Sequence[_StageKey]) -> int:
    """Count the stages that are in one of the two alone, as few as there can be."""
    ours, theirs = Counter(s.definition for s in old), Counter(s.definition for s in new)
    return ((ours - theirs) + (theirs - ours)).total()


def _comparison_key(stages: Sequence[_StageKey]) -> list[object]:
    return [
        (stage.number, [(s.instance, sorted(s.digests.items())) for s in stage.sheets]) for stage in stages
    ]


def _inverted(pairs: Mapping[int, int]) -> dict[int, int]:
    return {old_number: new_number for new_number, old_number in pairs.items()}


def _best_in_band(old: Sequence[_StageKey], new: Sequence[_StageKey], width: int) -> dict[int, int]:
    """Return the best common subsequence whose pairs are at most `width` places apart.

    The textbook table, a row at a time: `best[column + 1]` is the weight of the best subsequence of the
    rows and columns so far, `corner` the one diagonally before it, `left` the one beside it. A weight is a
    number to the `base` of more than there can be pairs: how many pairs, then how many that depend on the
    same, then that the same depends on, then that keep their number, and last how early they are, so that no
    number of the later ones outweighs one of the earlier. How each cell was come by takes a byte, from which
    `_trace_back` reads the pairs backwards.
    """
    base = len(old) + len(new) + 1
    ways: list[tuple[int, bytearray]] = []  # of each row: its first column, and how each cell was come by
    best = [0] * (len(new) + 1)
    for row, old_stage in enumerate(old):
        low, high = max(0, row - width), min(len(new), row + width + 1)
        steps = bytearray(max(0, high - low))
        corner = best[low]
        left = corner if low else 0
        for column in range(low, high):
            above = best[column + 1]
            new_stage = new[column]
            value, step = (above, _UP) if above >= left else (left, _LEFT)
            if new_stage.definition == old_stage.definition:
                place = (base + (new_stage.below == old_stage.below)) * base
                place = (place + (new_stage.above == old_stage.above)) * base
                place += new_stage.number == old_stage.number
                weight = place * base * base + len(old) + len(new) - row - column
                if corner + weight >= value:
                    value, step = corner + weight, _PAIR
            steps[column - low] = step
            corner, best[column + 1] = above, value
            left = value
        ways.append((low, steps))
    return _trace_back(old, new, ways)


_UP, _LEFT, _PAIR = range(3)


def _trace_back(
    old: Sequence[_StageKey], new: Sequence[_StageKey], ways: list[tuple[int, bytearray]]
) -> dict[int, int]:
    """Follow the table back from its end."""
    found: dict[int, int] = {}
    row, column = len(old) - 1, len(new) - 1
    while row >= 0 and column >= 0:
        low, steps = ways[row]
        if column < low:
            row -= 1
        elif column >= low + len(steps):
            column -= 1
        elif steps[column - low] == _PAIR:
            found[new[column].number] = old[row].number
            row, column = row - 1, column - 1
        elif steps[column - low] == _UP:
            row -= 1
        else:
            column -= 1
    return found


# --- by definition elsewhere, by number ----------------------------------------------------------------


def _same_definition(old: Sequence[_StageKey], new: Sequence[_StageKey]) -> dict[int, int]:
    """Match equal definitions wherever they are; of several, those first that have the same number."""
    free: defaultdict[int, dict[int, None]] = defaultdict(dict)
    for stage in old:
        free[stage.definition][stage.number] = None
    found: dict[int, int] = {}
    for stage in new:
        if stage.number in free[stage.definition]:
            del free[stage.definition][stage.number]
            found[stage.number] = stage.number
    for stage in new:
        if stage.number not in found and free[stage.definition]:
            found[stage.number] = next(iter(free[stage.definition]))
            del free[stage.definition][found[stage.number]]
    return found


def _same_number(old: Stages, new: Stages, matched: Mapping[int, int]) -> dict[int, int]:
    """Match stages of the same number, between whose neighbours on both sides no match crosses it.

    Where both have a name and these differ, they are two stages: that they have the same number says nothing.
    """
    pairs = sorted(matched.items())
    highest = list(accumulate((old_number for _, old_number in pairs), max, initial=_NO_STAGE_BELOW))
    backwards = (old_number for _, old_number in reversed(pairs))
    lowest = list(accumulate(backwards, min, initial=_NO_STAGE_ABOVE))[::-1]
    found = {}
    index = 0
    for stage, sheets in new.items():
        while index < len(pairs) and pairs[index][0] < stage:
            index += 1
        fits = stage in old and highest[index] < stage < lowest[index]
        if fits and (sheets[0].movement is None or old[stage][0].movement in (None, sheets[0].movement)):
            found[stage] = stage
    return found
