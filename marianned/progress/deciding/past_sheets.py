"""Sheets of a score that are those of earlier ones: what they have done is not done twice.

Which sheet of the score in force each of the next one is, `matching` says by the two scores alone. Here the
run's own past comes in: scores that were in force, sheets that were taken out, and what stands as another
one than it was done as.
Source: docs/reference/score-format.md §7.3.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import product
from typing import Any, NamedTuple
from weakref import ref

import msgspec

from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.run import DONE, RunState
from marianned.protocol import PlanAction, PlanLine
from marianned.rows import Deleted, LeftScoreRow, PastSheetRow, SheetPlace, SheetRow
from marianned.score import plan as planner
from marianned.score.expanded import ExpandedScore
from marianned.score.expanded import SheetDefinition as Definition
from marianned.score.matching import match_revisions


class SheetOrigins(NamedTuple):
    """Where the sheets of a score come from, by their numbers there; one that is in neither is new.

    `matched` has the number, in the score in force, of the sheet that each is; `back` has those that are none
    of that score, and come back.
    """

    matched: dict[int, int]
    back: dict[int, PastSheetRow]


class _PastWork(NamedTuple):
    """Something that was done: by which sheet, where, and whether it was done so or only stood so since."""

    uid: int
    place: SheetPlace | None
    was_done: bool


# --- what a sheet is, and what it was done as ---------------------------------------------------------------


def fingerprint(sheet: Definition, needs: Iterable[int | None]) -> str:
    """Return the hash of a sheet's definition; `needs` are uids, for numbers change (None: a new sheet)."""
    parts = (sorted(sheet.digests.items()), sorted(need or 0 for need in needs))
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def done_as(state: RunState, number: int) -> dict[str, Any]:
    """Return what is kept of a sheet that is done by now: as what, and where."""
    return {"definition": _fingerprint_now(state, number), "place": _place_of(state.definition(number))}


def _fingerprint_now(state: RunState, number: int) -> str:
    definition = state.definition(number)
    return fingerprint(definition, _needs_now(state, number))


def _needs_now(state: RunState, number: int) -> list[int]:
    return [state.sheets[need].uid for need in state.definition(number).needs]


def _place_of(sheet: Definition) -> SheetPlace:
    return SheetPlace(sheet=sheet.sheet, instance=sheet.instance, name=sheet.movement)


def _score_hash(score: ExpandedScore) -> str:
    """Return the hash of all that tells the sheets of a score: two that have the same are the same score.

    The last ones are remembered, as matches are.
    """
    known = next((shape for made, shape in _shapes if made() is score), None)
    if known is None:
        known = _hash_of(score)
        _shapes[:] = [(ref(score), known), *_shapes[:2]]
    return known


_shapes: list[tuple["ref[ExpandedScore]", str]] = []


def _hash_of(score: ExpandedScore) -> str:
    parts = [
        (sheet.movement, sheet.stage, sheet.instance, sorted(sheet.digests.items()), sorted(sheet.needs))
        for sheet in score.sheets
    ]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


# --- what is remembered -------------------------------------------------------------------------------------


def remember_done(draft: DecisionDraft, leaving: Collection[int]) -> None:
    """Note what is done of the score in force, which another one follows; `leaving` are uids it has not."""
    state = draft.state
    rows = [state.sheets[sheet.sheet] for sheet in state.score.sheets]
    done = [row.uid if row.status in DONE else 0 for row in rows]
    tell = state.loops.rows.keys() | {one.row.uid for one in state.loops}
    loops = {row.sheet: row.uid for row in rows if row.status not in DONE and row.uid in tell}
    draft.put(LeftScoreRow(run_id=state.run.run_id, shape=_score_hash(state.score), done=done, loops=loops))
    for row in [row for row in rows if row.uid in leaving and row.status in DONE]:
        stood_as = _fingerprint_now(state, row.sheet)
        one = state.loops.of(row.sheet)
        span = () if one is None else one.loop.sheets
        past = PastSheetRow(
            run_id=row.run_id,
            uid=row.uid,
            definition=row.definition or stood_as,
            needs=sorted(
                {*_needs_now(state, row.sheet), *(row.needed or ())}
                | {-state.sheets[number].uid for number in span}
            ),
            row=row,
            stood_as=stood_as,
            place=_place_of(state.definition(row.sheet)),
        )
        draft.put(past)


def with_needs(state: RunState, row: SheetRow, needs: Collection[int]) -> SheetRow:
    """Return the row of a sheet in force as it will need these (uids), what it needed when done kept."""
    before = _needs_now(state, row.sheet)
    if row.status not in DONE or row.needed is not None or set(before) == set(needs):
        return row
    return msgspec.structs.replace(row, needed=before)


def forget_dependents(draft: DecisionDraft, again: Collection[int], *, in_round: bool = False) -> None:
    """Forget what depended on sheets (by uid) that run again: it would have run again with them.

    With `in_round` they do so in the next round of their loop: what stood in its span would have, too.
    """
    state, gone = draft.state, set(again) | {-uid for uid in again if in_round}
    while more := [past for past in state.past_sheets.values() if gone.intersection(past.needs)]:
        gone |= {past.uid for past in more}
        for past in more:
            draft.delete(Deleted(kind=PastSheetRow, run_id=past.run_id, key=past.uid))


# --- where the sheets of a score come from ------------------------------------------------------------------


def origins(state: RunState, new: ExpandedScore) -> SheetOrigins:
    """Return which sheets of this run those of a score are.

    A score that was in force has what was done of it, as it was. Of another one, a sheet that is as it was
    in the score in force is that sheet; what was done as one of the others, at its place, is that one.
    What is in flight counts as done as what it is: a plan stays true when it ends well.
    """
    plain = match_revisions(state.score, new).sheets
    if not (state.left_scores or state.past_sheets):
        return SheetOrigins(plain, {})
    known = _recall_score(state, new)
    uids = {number: state.sheets[old].uid for number, old in plain.items()}
    taken = set(known.values())
    uids = {number: uid for number, uid in uids.items() if uid not in taken} | known
    if len(known) < len(new.sheets):
        uids = _PastWorkSearch(state, new, plain, known).uids(uids)
    in_force = {row.uid: row.sheet for row in state.sheets.values()}
    return SheetOrigins(
        matched={number: in_force[uid] for number, uid in uids.items() if uid in in_force},
        back={number: state.past_sheets[uid] for number, uid in uids.items() if uid not in in_force},
    )


def uids_of(state: RunState, where: SheetOrigins) -> dict[int, int]:
    """Return the uids of the sheets of a score that are sheets of this run, by their numbers there."""
    uids = {number: state.sheets[old].uid for number, old in where.matched.items()}
    return uids | {number: past.uid for number, past in where.back.items()}


def with_unchanged_again(
    state: RunState, score: ExpandedScore, lines: list[PlanLine], where: SheetOrigins
) -> list[PlanLine]:
    """Say of sheets that differ from the score in force, but are as they were done, that nothing differs."""
    uids = uids_of(state, where)

    def is_again(line: PlanLine) -> bool:
        if line.action != PlanAction.KEPT_CHANGED or not line.sheet or not line.old_sheet:
            return False
        sheet = score.sheets[line.sheet - 1]
        definition = fingerprint(sheet, (uids.get(need) for need in sheet.needs))
        return state.sheets[line.old_sheet].definition == definition

    def revision_of(line: PlanLine) -> int | None:
        return state.sheets[line.old_sheet].revision if line.old_sheet else None

    return [planner.restored_line(line, revision_of(line)) if is_again(line) else line for line in lines]


def loop_uids_then(state: RunState, score: ExpandedScore) -> dict[int, int]:
    """Return which sheets (uids) told loops of a score when it was in force, by number, and were not done."""
    left = state.left_scores.get(_score_hash(score)) if state.left_scores and score.loops else None
    return {} if left is None else left.loops


def _recall_score(state: RunState, new: ExpandedScore) -> dict[int, int]:
    """Return what was done of a score that was in force, by number, if this is one: as far as it still is."""
    left = state.left_scores.get(_score_hash(new))
    if left is None:
        return {}
    here = state.past_sheets.keys() | {row.uid for row in state.sheets.values()}
    return {number: uid for number, uid in enumerate(left.done, 1) if uid in here}


def _each_after_its_needs(needs: Mapping[int, Collection[int]]) -> Iterator[int]:
    """Yield sheets (by number) after all that they need, ascending where nothing tells."""
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    while ready := sorted(sorter.get_ready()):
        yield from ready
        sorter.done(*ready)


class _PastWorkSearch:
    """Looks for what was done as the sheets of a score; `known` are those of which it is known already."""

    def __init__(
        self, state: RunState, new: ExpandedScore, plain: Mapping[int, int], known: Mapping[int, int]
    ) -> None:
        self._state = state
        self._new = {sheet.sheet: sheet for sheet in new.sheets}
        self._plain = plain
        self._known = dict(known)
        self._order: list[int] = []
        names = Counter({(sheet.stage, sheet.movement) for sheet in new.sheets})
        self._stages_of = Counter(name for _, name in names)
        self._done: defaultdict[str, list[_PastWork]] = defaultdict(list)
        self._collect()

    def _collect(self) -> None:
        state, taken = self._state, set(self._known.values())
        free = [pair for pair in self._plain.items() if pair[0] not in self._known]
        unchanged = {old for number, old in free if self._is_unchanged(number, old)}
        for past in sorted(state.past_sheets.values(), key=lambda past: past.uid):
            if past.uid not in taken:
                place = past.row.place or past.place
                self._done[past.definition].append(_PastWork(past.uid, place, was_done=True))
                if past.stood_as is not None and (past.stood_as, past.place) != (past.definition, place):
                    self._done[past.stood_as].append(_PastWork(past.uid, past.place, was_done=False))
        for row in state.sheets.values():
            if row.uid in taken or row.sheet in unchanged:
                continue
            if row.status in DONE and row.definition is not None and row.place is not None:
                self._done[row.definition].append(_PastWork(row.uid, row.place, was_done=True))
            elif row.uid in state.attempts or row.uid in state.skips:
                place = _place_of(state.definition(row.sheet))
                self._done[_fingerprint_now(state, row.sheet)].append(
                    _PastWork(row.uid, place, was_done=True)
                )
        for doings in self._done.values():
            doings.sort(key=lambda doing: not doing.was_done)

    def _is_unchanged(self, number: int, old: int) -> bool:
        new, before = self._new[number], self._state.definition(old)
        return new.digests == before.digests and {self._plain.get(n) for n in new.needs} == {*before.needs}

    def uids(self, uids: dict[int, int]) -> dict[int, int]:
        """Return which sheet each is; `uids` says so by the two scores alone.

        What is found stays found. It may take a sheet from one that stands before it, so it is looked again
        until nothing more is found; only then also at other places, of what is none of the score in force.
        What a sheet was done as goes before what it only stood as since.
        """
        if not self._done:
            return uids
        self._order = list(_each_after_its_needs({n: sheet.needs for n, sheet in self._new.items()}))
        for stood, anywhere in product((False, True), repeat=2):
            found = -1
            while found < len(self._known):
                found = len(self._known)
                self._search_once(uids, stood=stood, anywhere=anywhere)
        return uids

    def _search_once(self, uids: dict[int, int], *, stood: bool, anywhere: bool) -> None:
        taken = set(self._known.values())
        plain = {n: self._state.sheets[old].uid for n, old in self._plain.items()}
        plain = {number: uid for number, uid in plain.items() if uid not in taken}
        for number in self._order:
            if number in self._known:
                continue
            before = plain.get(number)
            needs = [uids.get(need) for need in self._new[number].needs]
            if before is None or not self._is_now(number, needs):
                widely = anywhere and (before is None or self._gives_nothing(number))
                fits = self._find(number, needs, taken, stood=stood, widely=widely)
                if fits is not None:
                    self._known[number] = uids[number] = fits
                    taken.add(fits)
                    continue
            if before is None or before in taken:
                uids.pop(number, None)
            else:
                uids[number] = before

    def _is_now(self, number: int, needs: list[int | None]) -> bool:
        """Tell whether a sheet of the score in force is this one, unchanged."""
        old = self._plain[number]
        same = self._new[number].digests == self._state.definition(old).digests
        return same and {*needs} == {*_needs_now(self._state, old)}

    def _gives_nothing(self, number: int) -> bool:
        """Tell whether the sheet it is by the two scores alone would run as it: nothing of it is done."""
        row = self._state.sheets[self._plain[number]]
        in_flight = row.uid in self._state.attempts or row.uid in self._state.skips
        return row.status not in DONE and not in_flight

    def _find(
        self, number: int, needs: list[int | None], taken: set[int], *, stood: bool, widely: bool
    ) -> int | None:
        """Return the sheet that was done as this one; with `stood` also one that only stood as it since."""
        sheet = self._new[number]
        for doing in self._done.get(fingerprint(sheet, needs), ()):
            known = doing.uid not in taken and (doing.was_done or stood)
            if known and self._fits(doing.place, sheet, widely=widely):
                return doing.uid
        return None

    def _fits(self, place: SheetPlace | None, sheet: Definition, *, widely: bool) -> bool:
        """Tell whether something was done at the place of a sheet; of an older daemon that is not known."""
        if place is None:
            return True
        if (place.name, place.instance) != (sheet.movement, sheet.instance):
            return False
        told_by_name = sheet.movement is not None and self._stages_of[sheet.movement] == 1
        return widely or told_by_name or place.sheet == sheet.sheet
