"""Walks over several scores, to an earlier one or to any: nothing done is done twice, nothing is skipped."""

from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.scores import Bench, score, stage

from marianned.lifecycle import Action
from marianned.protocol import JobStatus, Outcome, PlanLine
from marianned.rows import AttemptRow
from marianned.score.expanded import ExpandedScore, RetryPolicy

WALKS = settings(max_examples=70, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NAMES = "vwxyz"

Text = tuple[tuple[str, str | None], ...]
"""The stages of a score, each by what it does and its name."""


def made(text: Text, *, chained: bool) -> ExpandedScore:
    return score(
        *(
            stage([place] if place and chained else [], prompt=prompt, name=name)
            for place, (prompt, name) in enumerate(text)
        ),
        at_once=2,
        retry=RetryPolicy(jitter=False, max_retries=5),
        fail_fast=False,
    )


@st.composite
def walks(draw: st.DrawFn) -> tuple[list[Text], bool]:
    """Three to five modifications, the last to an earlier score; in some stages have names, or hang together."""
    named = draw(st.booleans())
    chained = draw(st.sampled_from([True, True, False]))
    prompts = draw(st.sampled_from(["abcd", "ab", "a"]))  # the fewer, the more equal ones

    def a_stage(taken: Text) -> tuple[str, str | None]:
        free = [name for name in NAMES if name not in [one[1] for one in taken]]
        return draw(st.sampled_from(prompts)), draw(st.sampled_from(free)) if named else None

    text: Text = ()
    for _ in range(draw(st.integers(2, 4))):
        text = (*text, a_stage(text))
    texts = [text]
    for _ in range(draw(st.integers(2, 4))):
        for _ in range(draw(st.integers(1, 2))):
            place = draw(st.integers(0, len(text) - 1))
            match draw(st.sampled_from(["insert", "edit", "remove", "remove", "move", "earlier"])):
                case "insert" if len(text) < 5:
                    text = (*text[:place], a_stage(text), *text[place:])
                case "edit":
                    text = (
                        *text[:place],
                        (draw(st.sampled_from(prompts)), text[place][1]),
                        *text[place + 1 :],
                    )
                case "remove" if len(text) > 1:
                    text = (*text[:place], *text[place + 1 :])
                case "move":
                    rest = (*text[:place], *text[place + 1 :])
                    to = draw(st.integers(0, len(rest)))
                    text = (*rest[:to], text[place], *rest[to:])
                case "earlier":
                    text = draw(st.sampled_from(texts))
                case _:
                    pass
        texts.append(text)
    return [*texts, draw(st.sampled_from(texts))], chained


def runs(lines: list[PlanLine]) -> Counter[int | None]:
    return Counter(line.sheet for line in lines if line.runs)


def done(bench: Bench) -> set[int]:
    return {number for number, row in bench.state.sheets.items() if row.status == "completed"}


def goes_on(bench: Bench, data: st.DataObject) -> None:
    """The job is resumed, and some of it ends: well, or to be tried again; some stays in flight."""
    if bench.status is JobStatus.PAUSED:
        bench.slots = data.draw(st.integers(0, 2))
        bench.ask(Action.RESUME)
    for _ in range(data.draw(st.integers(0, 3))):
        if not bench.flying or len(done(bench)) + len(bench.flying) == len(bench.sheets):
            return
        which = bench.flying[0]
        if data.draw(st.integers(0, 3)):
            bench.end(which)
        else:
            bench.end(which, Outcome.FAILED, category="exit", message="once more")


def each_has_an_attempt_of_its_own(bench: Bench) -> None:
    attempts: list[AttemptRow] = bench.disk.of(AttemptRow)
    succeeded = {row.uid for row in attempts if row.outcome is Outcome.SUCCEEDED}
    rows = [bench.sheet(number) for number in done(bench)]
    assert len({row.uid for row in rows}) == len(rows)
    assert {row.uid for row in rows} <= succeeded


@WALKS
@given(walks(), st.data())
def test_whatever_comes_in_between_what_was_done_of_a_score_is_done_when_it_is_back(
    walk: tuple[list[Text], bool], data: st.DataObject
) -> None:
    texts, chained = walk
    bench = Bench(made(texts[0], chained=chained), slots=2, checked=False)
    bench.go()
    known: dict[Text, set[int]] = {}
    for here, to in pairwise(texts):
        goes_on(bench, data)
        if bench.state.run.ended:
            return
        known[here] = done(bench) | set(bench.flying)
        shown = bench.answer(bench.ask(Action.MODIFY, made(to, chained=chained))).plan
        while bench.flying:
            bench.end(bench.flying[0])
        if here == to:
            continue
        if bench.state.staged is None and bench.state.run.ended:
            return
        each_has_an_attempt_of_its_own(bench)
        assert runs(bench.state.current.plan) == runs(shown)
        if data.draw(st.booleans()):
            bench.crash()
    assert known.get(texts[-1], set()) <= done(bench)
    to_run = runs(bench.state.current.plan) if texts[-2] != texts[-1] else None
    if bench.status is JobStatus.PAUSED:
        bench.slots = 0
        bench.ask(Action.RESUME)
    before = {row.uid: row.attempts for row in bench.state.sheets.values()}
    bench.slots = 16
    bench.tick(100_000)  # what waits to be tried again is tried
    bench.play()
    assert to_run in (
        None,
        Counter(n for n, row in bench.state.sheets.items() if row.attempts > before[row.uid]),
    )
    each_has_an_attempt_of_its_own(bench)


# --- to any score ------------------------------------------------------------------------------------------

Deed = tuple[str, tuple[int, ...]]
"""What a sheet does, and the sheets (uids) that it needs: as what it was done, or stands."""


@st.composite
def walks_of_unique_bodies(draw: st.DrawFn) -> tuple[list[Text], bool]:
    """Three to six scores without names, each with every body once at most: nothing tells sheets but that."""
    bodies = st.lists(st.sampled_from("aehklx"), min_size=2, max_size=5, unique=True)
    texts = draw(st.lists(bodies, min_size=3, max_size=6))
    return [tuple((body, None) for body in text) for text in texts], draw(st.booleans())


def standing(bench: Bench) -> dict[int, Deed]:
    """What each sheet (by uid) stands as."""
    state = bench.state
    return {
        row.uid: (
            state.definition(number).digests["prompt"],
            tuple(sorted(state.sheets[need].uid for need in state.definition(number).needs)),
        )
        for number, row in state.sheets.items()
    }


@WALKS
@given(walks_of_unique_bodies(), st.data())
def test_nothing_that_was_done_so_runs_again_whichever_scores_came_in_between(
    walk: tuple[list[Text], bool], data: st.DataObject
) -> None:
    """Once done, a sheet is missed only where it stands as another one that stays, or a plan said it runs.

    One that was away stays too, where it is back as what it was when it went.
    """
    texts, chained = walk
    bench = Bench(made(texts[0], chained=chained), slots=2, checked=False)
    bench.go()
    done_as: dict[int, Deed] = {}
    stood: dict[int, Deed] = {}
    for here, to in pairwise(texts):
        goes_on(bench, data)
        if bench.state.run.ended:
            return
        shown = bench.answer(bench.ask(Action.MODIFY, made(to, chained=chained))).plan
        before = standing(bench)
        stood |= before
        waiting = {deed for uid, deed in before.items() if not _is_done_or_flies(bench, uid)}
        done_as = {uid: deed for uid, deed in before.items() if deed not in waiting} | done_as
        while bench.flying:
            bench.end(bench.flying[0])
        if here == to:
            continue
        each_has_an_attempt_of_its_own(bench)
        assert runs(bench.state.current.plan) == runs(shown)
        now = standing(bench)
        stay = {uid for uid, deed in now.items() if stood.get(uid, ("",))[0] == deed[0]}
        missed = {deed for uid, deed in done_as.items() if uid not in stay} - waiting
        again = {bench.sheet(line.sheet).uid for line in bench.state.current.plan if line.runs and line.sheet}
        assert not missed.intersection(now[uid] for uid in again)
        if data.draw(st.booleans()):
            bench.crash()


def _is_done_or_flies(bench: Bench, uid: int) -> bool:
    row = bench.state.sheet_of(uid)
    return row is not None and (row.status == "completed" or row.uid in bench.state.attempts)
