"""A sheet whose attempt ended for no try goes on in its tool's session: when, and when it begins anew."""

import msgspec
from kit.scores import Bench, chain
from kit.tables import each

from marianned.instruments.profile import CliInstrument, Profile, ToolCommand
from marianned.lifecycle import Action
from marianned.protocol import Outcome
from marianned.score.expanded import ExpandedScore


def resumable(*, resumes: bool = True) -> ExpandedScore:
    """A chain of two whose instrument can go on in a session."""
    made = chain(2)
    name = made.sheets[0].instrument
    command = ToolCommand(executable="x", resume_args=["--session", "{session}"] if resumes else [])
    profile = Profile(name=name, kind="cli", cli=CliInstrument(command=command))
    return msgspec.structs.replace(made, profiles={**made.profiles, name: profile})


def interrupted(expanded: ExpandedScore, session: str | None = "s-1") -> Bench:
    bench = Bench(expanded)
    bench.go()
    bench.ask(Action.PAUSE_NOW)
    bench.end(1, Outcome.INTERRUPTED, session_id=session)
    return bench


def kind(bench: Bench) -> str:
    return next(iter(bench.state.attempts.values())).kind


def test_it_goes_on_in_the_session_that_the_attempt_told_of() -> None:
    bench = interrupted(resumable())
    bench.crash()
    bench.ask(Action.RESUME)
    assert (kind(bench), bench.sheet(1).tries) == ("resumed", 0)


@each(("expanded", "session"), [(resumable(), None), (resumable(resumes=False), "s-1")])
def test_without_a_session_it_begins_anew(expanded: ExpandedScore, session: str | None) -> None:
    bench = interrupted(expanded, session)
    bench.ask(Action.RESUME)
    assert kind(bench) == "first"


def test_a_sheet_that_is_to_run_again_begins_anew() -> None:
    bench = interrupted(resumable())
    bench.ask(Action.RESUME_FROM, sheets="1")
    assert kind(bench) == "first"


def test_a_session_that_is_gone_costs_no_try_and_is_not_tried_twice() -> None:
    bench = interrupted(resumable())
    bench.ask(Action.RESUME)
    bench.end(1, Outcome.FAILED, category="exit")
    assert (kind(bench), bench.sheet(1).tries) == ("first", 0)
    bench.end(1, Outcome.FAILED, category="exit")
    assert (bench.sheet(1).tries, bench.sheet(1).next_kind) == (1, "retry")


def test_checks_that_fail_in_a_resumed_attempt_use_a_try_as_ever() -> None:
    bench = interrupted(resumable())
    bench.ask(Action.RESUME)
    bench.end(1, Outcome.FAILED, category="validation")
    assert (bench.sheet(1).tries, bench.sheet(1).next_kind) == (1, "retry")


@each(
    ("outcome", "category"),
    [(Outcome.RATE_LIMITED, "rate_limit"), (Outcome.LOST, "lost"), (Outcome.FAILED, "auth")],
)
def test_what_else_ends_for_no_try_goes_on_in_its_session(outcome: Outcome, category: str) -> None:
    bench = Bench(resumable())
    bench.go()
    bench.end(1, outcome, category=category, session_id="s-1")
    assert (bench.sheet(1).next_kind, bench.sheet(1).tries) == ("resumed", 0)


def test_a_failure_begins_anew() -> None:
    bench = Bench(resumable())
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit", session_id="s-1")
    assert bench.sheet(1).next_kind == "retry"


def test_losses_are_counted_over_sessions_that_are_gone() -> None:
    """Else what takes each attempt away, and its session, would go round for ever."""
    bench = Bench(resumable())
    bench.go()
    bench.end(1, Outcome.LOST, category="lost", session_id="s-1")
    bench.end(1, Outcome.FAILED, category="exit")
    assert (kind(bench), bench.sheet(1).lost) == ("first", 1)
