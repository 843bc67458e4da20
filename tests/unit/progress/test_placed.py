"""Where an attempt runs: chosen when it starts, noted when it has begun on its node."""

import msgspec
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.executors.base import WaitReason
from marianned.lifecycle import Action
from marianned.progress.state.triggers import AttemptEnded, AttemptWarned
from marianned.progress.views.job import job_view
from marianned.progress.views.messages import failure_text
from marianned.progress.views.reasons import accident_reasons, cluster_reasons, reasons
from marianned.protocol import HoldCause, JobStatus, Outcome
from marianned.rows import AttemptRow, EventRow, HookRow
from marianned.score.expanded import Resources


def attempt(bench: Bench) -> AttemptRow:
    return next(iter(bench.state.attempts.values()))


@each(
    ("own", "run", "whole", "setting", "runs"),
    [
        ("local", "slurm", "slurm", "slurm", "local"),
        (None, "local", "slurm", "slurm", "local"),
        (None, None, "slurm", "local", "slurm"),
        (None, None, None, "slurm", "slurm"),
    ],
)
def test_the_sheet_says_where_it_runs_else_the_run_the_score_the_setting(
    own: str | None, run: str | None, whole: str | None, setting: str, runs: str
) -> None:
    bench = Bench(score(stage([], resources=Resources(executor=own)), executor=whole), checked=False)
    bench.state.run = msgspec.structs.replace(bench.state.run, executor=run)
    bench.state.executor = setting
    bench.go()
    assert attempt(bench).executor == runs


def test_its_time_counts_from_its_beginning_on_the_node_once() -> None:
    bench = Bench(chain(1))
    bench.go()
    before = attempt(bench)
    placed = AttemptWarned(uid=before.uid, attempt=1, pid=7, node="n1", cluster_job="12")
    decision = bench.after(60).step(placed)
    begun = attempt(bench)
    assert [event.type for event in decision.changes.events] == ["attempt.placed"]
    assert (begun.node, begun.cluster_job, begun.pid) == ("n1", "12", 7)
    assert begun.limit_seconds == before.limit_seconds
    assert begun.started_at == before.started_at + 60_000
    assert bench.after(60).step(placed).changes.events == []
    assert attempt(bench).started_at == begun.started_at


def test_what_has_ended_before_it_was_seen_to_run_is_placed_by_its_end() -> None:
    bench = Bench(chain(1))
    bench.go()
    before = attempt(bench)
    began_at = before.started_at + 58_000
    ended = AttemptEnded(
        uid=before.uid,
        attempt=1,
        outcome=Outcome.FAILED,
        ended_at=began_at + 1000,
        node="n1",
        cluster_job="12",
        began_at=began_at,
    )
    changes = bench.after(60).step(ended).changes
    assert [event.type for event in changes.events][:2] == ["attempt.placed", "attempt.ended"]
    (row,) = [one for one in changes.rows if isinstance(one, AttemptRow) and one.attempt == 1]
    assert (row.node, row.cluster_job) == ("n1", "12")
    assert (row.started_at, row.ended_at) == (began_at, began_at + 1000)
    assert row.limit_seconds == before.limit_seconds


def test_the_end_says_better_when_it_began_than_what_was_seen_of_that() -> None:
    bench = Bench(chain(1))
    bench.go()
    before = attempt(bench)
    bench.after(60).step(AttemptWarned(uid=before.uid, attempt=1, node="n1", cluster_job="12"))
    began_at = before.started_at + 50_000
    ended = AttemptEnded(
        uid=before.uid, attempt=1, outcome=Outcome.FAILED, node="n1", cluster_job="12", began_at=began_at
    )
    changes = bench.after(60).step(ended).changes
    assert "attempt.placed" not in [event.type for event in changes.events]
    (row,) = [one for one in changes.rows if isinstance(one, AttemptRow) and one.attempt == 1]
    assert row.started_at == began_at


def test_where_it_begins_behind_a_return_to_the_queue_is_noted_and_its_time_counts_from_then() -> None:
    bench = Bench(chain(1))
    bench.go()
    before = attempt(bench)
    bench.after(60).step(AttemptWarned(uid=before.uid, attempt=1, node="n1", cluster_job="12"))
    moved = AttemptWarned(uid=before.uid, attempt=1, node="n3", cluster_job="12")
    decision = bench.after(60).step(moved)
    (event,) = decision.changes.events
    assert (event.type, event.text) == ("attempt.placed", "sheet 1: attempt 1 has begun on n3, as job 12")
    begun = attempt(bench)
    assert (begun.node, begun.started_at) == ("n3", before.started_at + 120_000)
    assert begun.limit_seconds == before.limit_seconds


@each(
    ("executor", "limit", "grace", "seconds", "by"),
    [
        ("slurm", None, 10.0, 900, None),
        ("local", 60.0, 10.0, 900, None),
        ("slurm", 3600.0, 10.0, 900, None),
        ("slurm", 60.0, 10.0, 40, "executor"),
        ("slurm", 61.0, 10.0, 100, "executor"),  # Slurm counts begun minutes
        ("slurm", 60.0, 50.0, 30, "executor"),  # no room for the grace
        ("slurm", 600.0, 0.5, 589, "executor"),
    ],
)
def test_the_time_limit_of_its_executor_ends_it_before_the_cluster_does(
    executor: str, limit: float | None, grace: float, seconds: float, by: str | None
) -> None:
    resources = Resources(executor=executor, time_limit=limit)
    bench = Bench(score(stage([], resources=resources)), checked=False)
    bench.state.grace_seconds = grace
    bench.go()
    (flight,) = job_view(bench.state, bench.now).in_flight
    assert (attempt(bench).limit_seconds, flight.time_limit_by) == (seconds, by)


def test_a_job_that_somebody_cancels_on_the_cluster_is_held_once_and_its_sheets_run_with_the_resume() -> None:
    bench = Bench(score(stage([], count=2), at_once=2), checked=False)
    assert bench.go() == [1, 2]
    told = list[EventRow]()
    for row in list(bench.state.attempts.values()):
        said = f"its job 12_{row.sheet} of Slurm was cancelled by ann"
        ending = AttemptEnded(
            uid=row.uid, attempt=1, outcome=Outcome.INTERRUPTED, message=said, cancelled=True
        )
        told += bench.step(ending).changes.events
    (hold,) = bench.state.holds.values()
    assert (hold.cause, hold.owner) == (HoldCause.CLUSTER, None)
    assert hold.reason == "sheet 1 (1.1): its job 12_1 of Slurm was cancelled by ann"
    (event,) = [one for one in told if one.type == "hold.added"]
    assert (event.sheet, event.text) == (1, "sheet 1 (1.1): its job 12_1 of Slurm was cancelled by ann")
    assert bench.status is JobStatus.PAUSED
    bench.ask(Action.RESUME)
    assert bench.flying == [1, 2]
    assert [row.tries for row in bench.state.sheets.values()] == [0, 0]


def test_a_pause_says_that_what_waits_in_the_queue_is_taken_back() -> None:
    bench = Bench(score(stage([]), stage([1]), executor="slurm"), checked=False)
    bench.go()
    first = attempt(bench)
    bench.ask(Action.PAUSE)
    view = job_view(bench.state, bench.now)
    assert view.next is not None
    assert view.next.text == "pauses when sheet 1 is taken out of the queue, or ends, if it has begun"
    bench.step(AttemptWarned(uid=first.uid, attempt=1, node="n1", cluster_job="12"))
    view = job_view(bench.state, bench.now)
    assert view.next is not None
    assert view.next.text == "pauses when sheet 1 ends"


@each("count", [1, 2])
def test_what_comes_next_of_what_only_waits_in_a_queue_is_that_it_begins(count: int) -> None:
    bench = Bench(score(*[stage([])] * count, at_once=count, executor="slurm"), checked=False)
    bench.go()

    def following() -> tuple[str, str]:
        coming = job_view(bench.state, bench.now).next
        assert coming is not None
        return coming.code, coming.text

    assert following() == ("start", "sheet 1 begins" if count == 1 else "one of sheets 1, 2 begins")
    first = bench.state.attempts[min(bench.state.attempts)]
    bench.step(AttemptWarned(uid=first.uid, attempt=1, node="n1", cluster_job="12"))
    assert following() == ("sheet_end", "sheet 1 ends" if count == 1 else "sheets 1, 2 end")


def test_what_comes_next_is_that_a_sheet_begins_also_where_another_needs_its_end() -> None:
    """What it needs waits in the queue: its end comes after that; a third that runs changes nothing of it."""
    bench = Bench(score(stage([]), stage([1]), stage([]), at_once=2, executor="slurm"), checked=False)
    bench.go()
    first, third = bench.state.attempts.values()

    def following() -> tuple[str, str]:
        coming = job_view(bench.state, bench.now).next
        assert coming is not None
        return coming.code, coming.text

    assert following() == ("start", "sheet 1 begins")
    bench.step(AttemptWarned(uid=third.uid, attempt=1, node="n1", cluster_job="12"))
    assert following() == ("start", "sheet 1 begins")
    bench.step(AttemptWarned(uid=first.uid, attempt=1, node="n1", cluster_job="13"))
    assert following() == ("start", "sheet 2 starts when sheet 1 ends")


def test_of_a_job_that_waits_in_a_queue_with_all_it_may_have_in_flight_one_begins() -> None:
    bench = Bench(score(*[stage([])] * 3, at_once=2, executor="slurm"), checked=False)
    bench.go()
    coming = job_view(bench.state, bench.now).next
    assert coming is not None
    assert (coming.code, coming.text) == ("start", "one of sheets 1, 2 begins")


IN_QUEUE = WaitReason("it waits in Slurm's queue (Resources)", queued=True)


def two_on_slurm() -> tuple[Bench, list[AttemptRow]]:
    """Return a job whose first sheet runs on a node, and whose second waits in the queue."""
    bench = Bench(score(stage([]), stage([]), at_once=2, executor="slurm"), checked=False)
    bench.go()
    first, second = bench.state.attempts.values()
    bench.step(AttemptWarned(uid=first.uid, attempt=1, node="n1", cluster_job="12"))
    return bench, [first, second]


def test_what_only_waits_in_a_queue_is_not_said_to_be_in_flight() -> None:
    bench, (first, second) = two_on_slurm()
    found = reasons(bench.state, bench.now, None, {}, {second.uid})
    assert [(one.code, one.text, one.sheets) for one in found] == [
        ("in_flight", "sheet 1 is in flight (on n1, job 12)", [1])
    ]
    assert reasons(bench.state, bench.now, None, {}, {first.uid, second.uid}) == []


def test_what_a_pause_takes_back_is_told_as_that_and_not_as_waiting() -> None:
    bench, (_, second) = two_on_slurm()
    (waits,) = cluster_reasons(bench.state, [(second, IN_QUEUE)])
    assert waits.text == f"sheet 2: {IN_QUEUE[0]}"
    bench.ask(Action.PAUSE)
    (taken,) = cluster_reasons(bench.state, [(second, IN_QUEUE)])
    assert (taken.text, taken.unblocked_by, taken.hints) == (
        "sheet 2 is taken out of the queue",
        "cluster",
        [],
    )
    unknown = WaitReason("Slurm does not answer, so nothing is known of it")
    (told,) = cluster_reasons(bench.state, [(second, unknown)])
    assert told.text == f"sheet 2: {unknown[0]}"


def test_those_that_wait_for_the_same_are_told_once_and_together() -> None:
    bench, flights = two_on_slurm()
    wait = WaitReason(
        "it waits in Slurm's queue (Resources)", of_many="they wait in Slurm's queue (Resources)"
    )
    (told,) = cluster_reasons(bench.state, [(one, wait) for one in flights])
    assert (told.text, told.sheets) == ("sheets 1, 2: they wait in Slurm's queue (Resources)", [1, 2])
    silent = "Slurm does not answer: Unable to contact slurm controller"
    (told,) = accident_reasons(bench.state, [(one, silent) for one in flights])
    assert (told.text, told.sheets) == (f"sheets 1, 2 wait: {silent}", [1, 2])
    first, second = accident_reasons(
        bench.state, list(zip(flights, (silent, "/x is away; type: mkdir /x"), strict=True))
    )
    assert (first.text, first.unblocked_by) == (f"sheet 1 waits: {silent}", "daemon")
    assert (second.sheets, second.unblocked_by, second.hints) == ([2], "caller", ["mkdir /x"])


def held(job: str) -> WaitReason:
    return WaitReason("held", f"scontrol release {job}", own=(job, job.partition("_")[0]))


@each(
    ("jobs", "commands"),
    [
        (["7_3"], ["scontrol release 7_3"]),
        (["12", "7_3", "9_0", "9_1", "9_0"], ["scontrol release 9,12,7_3"]),
        (
            [str(job) for job in range(1000, 1150)],
            [
                f"scontrol release {','.join(map(str, some))}"
                for some in (range(1000, 1100), range(1100, 1150))
            ],
        ),
    ],
)
def test_what_takes_several_jobs_is_typed_once_for_all_of_them(jobs: list[str], commands: list[str]) -> None:
    bench, (first, _) = two_on_slurm()
    (told,) = cluster_reasons(bench.state, [(first, held(job)) for job in jobs])
    assert (told.unblocked_by, told.hints) == ("caller", commands)
    looked_at = [WaitReason("odd", f"scontrol show job {job}") for job in jobs]
    (told,) = cluster_reasons(bench.state, [(first, one) for one in looked_at])
    assert told.hints == [*dict.fromkeys(one[1] for one in looked_at)][:3]


def test_a_hook_that_waits_for_the_same_is_named_beside_the_sheets() -> None:
    bench, flights = two_on_slurm()
    hook = HookRow(run_id=bench.state.run.run_id, hook=1, started_at=1)
    (told,) = accident_reasons(bench.state, [(flights[0], "no room"), (hook, "no room")])
    assert (told.text, told.sheets) == ("sheet 1, hook 1 wait: no room", [1])


def test_where_what_is_in_flight_runs_is_said_of_few() -> None:
    bench, (_, second) = two_on_slurm()
    bench.step(AttemptWarned(uid=second.uid, attempt=1, node=None, cluster_job="13"))
    (flying,) = reasons(bench.state, bench.now, None, {})
    assert flying.text == "sheets 1, 2 are in flight (sheet 1 on n1, job 12; sheet 2 job 13)"
    flights = [(one.node, one.cluster_job) for one in job_view(bench.state, bench.now).in_flight]
    assert flights == [("n1", "12"), (None, "13")]


def test_a_submission_that_was_refused_is_not_counted_as_an_attempt() -> None:
    bench = Bench(score(stage([]), executor="slurm"), checked=False)
    bench.go()
    first = attempt(bench)
    ending = AttemptEnded(
        uid=first.uid, attempt=1, outcome=Outcome.FAILED, category="refused", message="Slurm does not take it"
    )
    bench.step(ending)
    assert failure_text(bench.state) == "sheet 1 failed: refused: Slurm does not take it"
