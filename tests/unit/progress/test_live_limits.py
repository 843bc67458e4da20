"""A modify that raises a time limit: what is in flight gets it at once, and keeps it."""

from typing import Any

import msgspec
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.instruments.profile import CliInstrument, Profile, ToolCommand
from marianned.lifecycle import Action
from marianned.progress.deciding.revisions import plan_version
from marianned.progress.state.run import ScoreVersion
from marianned.protocol import JobStatus, PlanLine
from marianned.rows import AttemptRow
from marianned.score.expanded import ExpandedScore, Fallback, Resources, SilencePolicy

WITH = {"digests": {"prompt": "same", "validations": "same", "settings": "other"}}


def limited(seconds: float, length: int = 2, **given: Any) -> ExpandedScore:
    """A chain each of whose sheets has this limit."""
    stages = [stage([n] if n else [], timeout_seconds=seconds, **WITH, **given) for n in range(length)]
    return score(*stages)


def running(expanded: ExpandedScore | None = None) -> Bench:
    bench = Bench(expanded or chain(2))
    bench.go()
    return bench


def attempt(bench: Bench) -> AttemptRow:
    return next(iter(bench.state.attempts.values()))


def line(bench: Bench) -> PlanLine:
    """The first line of the plan of the newest revision."""
    return bench.state.newest.plan[0]


def told(bench: Bench) -> list[tuple[int, float]]:
    assert bench.last is not None
    return [(row.sheet, row.limit_seconds) for row in bench.last.extended]


@each("action", [Action.MODIFY, Action.MODIFY_RESUME])
def test_a_longer_limit_counts_for_what_is_in_flight_before_the_revision_does(action: Action) -> None:
    bench = running()
    bench.after(60).ask(action, limited(3600))
    assert told(bench) == [(1, 3600)]
    assert (attempt(bench).limit_seconds, attempt(bench).revision) == (3600, 1)
    assert (bench.status, bench.state.run.revision) == (JobStatus.PAUSING, 1)
    assert line(bench).why == "finishes under revision 1; limit 1h"
    event = next(event for event in bench.disk.events if event.type == "attempt.extended")
    assert (event.sheet, event.attempt) == (1, 1)
    assert event.text == "sheet 1: attempt 1: limit 1h, was 15m"
    bench.crash()
    assert attempt(bench).limit_seconds == 3600


def test_a_shorter_limit_shortens_nothing_that_runs_and_the_plan_says_so() -> None:
    bench = running()
    bench.ask(Action.MODIFY, limited(60))
    assert (told(bench), attempt(bench).limit_seconds) == ([], 900)
    assert line(bench).why == "finishes under revision 1; its limit stays 15m"


def test_a_limit_that_was_raised_stays_raised() -> None:
    bench = running()
    bench.ask(Action.MODIFY, limited(3600))
    bench.ask(Action.MODIFY, limited(900))
    assert (told(bench), attempt(bench).limit_seconds) == ([], 3600)
    assert line(bench).why == "finishes under revision 1; its limit stays 1h"
    bench.ask(Action.DISCARD)
    assert (told(bench), attempt(bench).limit_seconds) == ([], 3600)
    bench.ask(Action.MODIFY, limited(7200))
    assert told(bench) == [(1, 7200)]


def test_the_same_limit_is_no_news() -> None:
    bench = running()
    bench.ask(Action.MODIFY, chain(3))
    assert (told(bench), line(bench).why) == ([], "finishes under revision 1")
    assert not [event for event in bench.disk.events if event.type == "attempt.extended"]


def test_what_else_the_modify_changes_makes_no_difference() -> None:
    bench = running()
    bench.ask(Action.MODIFY, limited(3600, 4, prompt="another"))
    assert told(bench) == [(1, 3600)]


def test_a_plan_that_is_only_looked_at_raises_nothing() -> None:
    bench = running()
    bench.ask(Action.MODIFY, limited(3600), plan=True)
    assert (told(bench), attempt(bench).limit_seconds) == ([], 900)


def test_only_the_sheets_that_are_in_flight_are_told() -> None:
    bench = Bench(score(stage(), stage(), stage([1, 2]), at_once=2))
    assert bench.go() == [1, 2]
    given = {"timeout_seconds": 3600.0, **WITH}
    bench.ask(Action.MODIFY, score(stage(), stage(**given), stage([1, 2], **given), at_once=2))
    assert told(bench) == [(2, 3600)]


def test_a_sheet_that_another_instrument_plays_from_now_on_keeps_its_limit() -> None:
    bench = running()
    bench.ask(Action.MODIFY, limited(3600, instrument="shell"))
    assert (told(bench), line(bench).why) == ([], "finishes under revision 1")


def test_on_a_fallback_the_limit_of_that_instrument_counts() -> None:
    def with_fallback(seconds: float) -> ExpandedScore:
        other = Fallback(
            instrument="shell", settings={}, timeout_seconds=seconds, working_directory="/home/ann"
        )
        made = chain(1)
        sheet = msgspec.structs.replace(made.sheets[0], fallbacks=(other,))
        return msgspec.structs.replace(made, sheets=(sheet,))

    bench = running(with_fallback(60))
    bench.end(1, "failed", category="unavailable", message="no such program")
    while not bench.flying:
        bench.tick(3600)
    assert attempt(bench).instrument == "shell"
    bench.ask(Action.MODIFY, with_fallback(7200))
    assert told(bench) == [(1, 7200)]


def test_where_the_tool_itself_was_told_the_limit_the_plan_says_so() -> None:
    cli = CliInstrument(command=ToolCommand(executable="x", timeout_flag="--timeout"))
    tools = {"claude-code": Profile(name="claude-code", kind="cli", cli=cli)}
    bench = running(msgspec.structs.replace(limited(900), profiles=tools))
    bench.ask(Action.MODIFY, msgspec.structs.replace(limited(3600), profiles=tools))
    assert line(bench).why == "finishes under revision 1; limit 1h (claude-code was told 15m)"


def on_a_cluster(seconds: float, limit: float) -> ExpandedScore:
    return limited(seconds, resources=Resources(executor="slurm", time_limit=limit))


BOUND = "for the time_limit of its executor can't be raised while it runs"


@each(
    ("seconds", "limit", "told_of", "said"),
    [
        (3600, 1200, [(1, 1180)], f"limit 19m40s, {BOUND}"),
        (1000, 1200, [(1, 1000)], "limit 16m40s"),
        (900, 7200, [], None),
    ],
)
def test_a_limit_is_raised_as_far_as_the_executors_leaves_room(
    seconds: float, limit: float, told_of: list[tuple[int, float]], said: str | None
) -> None:
    bench = Bench(on_a_cluster(900, 1200), checked=False)
    bench.state.grace_seconds = 10.0
    bench.go()
    bench.ask(Action.MODIFY, on_a_cluster(seconds, limit))
    assert told(bench) == told_of
    assert line(bench).why == "finishes under revision 1" + ("" if said is None else f"; {said}")


@each(("seconds", "limit"), [(7200, 1200), (3600, 7200)])
def test_what_its_executor_limits_can_not_be_raised_and_the_plan_says_so(
    seconds: float, limit: float
) -> None:
    bench = Bench(on_a_cluster(3600, 1200), checked=False)
    bench.state.grace_seconds = 10.0
    bench.go()
    bench.ask(Action.MODIFY, on_a_cluster(seconds, limit))
    assert told(bench) == []
    assert line(bench).why == f"finishes under revision 1; its limit stays 19m40s, {BOUND}"


def test_the_plan_of_what_is_applied_later_says_nothing_of_limits() -> None:
    bench = running()
    bench.ask(Action.MODIFY, limited(3600))
    bench.end(1)
    assert "limit" not in line(bench).why
    version: ScoreVersion = bench.state.current
    assert all("limit" not in one.why for one in plan_version(bench.state, version).lines)


def silent(seconds: float | None) -> ExpandedScore:
    limit = (
        None if seconds is None else SilencePolicy(idle_timeout_seconds=seconds, check_interval_seconds=10)
    )
    return msgspec.structs.replace(chain(2), silence=limit)


def silences(bench: Bench) -> list[float | None]:
    assert bench.last is not None
    return [row.silence_seconds for row in bench.last.extended]


def test_a_longer_limit_of_silence_counts_for_what_is_in_flight_too() -> None:
    bench = running(silent(600))
    bench.ask(Action.MODIFY, silent(1800))
    assert (silences(bench), attempt(bench).silence_seconds) == ([1800], 1800)
    assert line(bench).why == "finishes under revision 1; limit of silence 30m"
    event = next(event for event in bench.disk.events if event.type == "attempt.extended")
    assert event.text == "sheet 1: attempt 1: limit of silence 30m, was 10m"
    bench.ask(Action.MODIFY, silent(900))
    assert (silences(bench), attempt(bench).silence_seconds) == ([], 1800)
    assert line(bench).why == "finishes under revision 1; its limit of silence stays 30m"
    bench.crash()
    assert attempt(bench).silence_seconds == 1800


def test_a_limit_of_silence_that_is_taken_away_is_so_for_what_is_in_flight() -> None:
    bench = running(silent(600))
    bench.ask(Action.MODIFY, silent(None))
    assert line(bench).why == "finishes under revision 1; no limit of silence"
    assert (attempt(bench).silence_seconds or 0) > 1e8


def test_what_has_none_gets_no_limit_of_silence() -> None:
    bench = running(silent(None))
    bench.ask(Action.MODIFY, silent(60))
    assert (silences(bench), attempt(bench).silence_seconds) == ([], None)
    assert line(bench).why == "finishes under revision 1"
