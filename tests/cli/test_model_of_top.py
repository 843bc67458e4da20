"""What `mzt top` knows and makes of it: jobs by group, stages with their lines, outputs; no daemon, no terminal."""

from datetime import datetime

from kit.tables import each

from marianne_cli import times
from marianne_cli.faces.groups import JobGroup, group_of
from marianne_cli.top.model import signs
from marianne_cli.top.model.activity import ActivityLines
from marianne_cli.top.model.cells import Cell, plain_text, wrap_line
from marianne_cli.top.model.sheets import counts_text, graph_rows, sheet_rows, signs_text
from marianne_cli.top.model.stages import draw_graph, stages_of, topological_order
from marianne_cli.top.model.store import StateStore
from marianne_cli.top.output import KEPT_LINES, OutputBuffer, SearchPattern
from marianne_cli.top.widgets.bars import daemon_line
from marianned.protocol import HookStatus, JobStatus, Outcome, PlanAction, SheetStatus


def job(name="a", status="running", event=1, run=1, **fields):
    return {
        "job_id": name, "job_name": name, "status": status, "event": event, "run": run, "next": None, "in_flight": [], "waiting": [], "holds": [],
        "breakpoints": [], "staged_revision": None, "labels": [], "message": "", "workspace": "/w",
        "timing": {"created_at": f"2026-01-01T00:00:0{event % 10}.000Z"}, "cost": {"usd": 0.5, "known": True}, **fields,
    }  # fmt: skip


def sheet(number, stage, instance=1, status="pending", **fields):
    return {
        "sheet": number, "stage": stage, "instance": instance, "status": status, "label": None, "name": None, "needs": [],
        "blocked_by": [], "waiting_for": None, "until_at": None, "instrument": "cli", "attempt_count": 0, "error_message": None,
        "error_category": None, "started_at": None, "ended_at": None, "cost_usd": None, "attempts": [], **fields,
    }  # fmt: skip


NEEDS = {1: (), 2: (1,), 3: (2,)}
BEGAN = "2026-01-01T00:00:00.000Z"


def fan(count=50):
    first, last = sheet(1, 1, name="draft", status="completed"), sheet(count + 2, 3, name="merge")
    middle = [sheet(number + 1, 2, number, name="review", needs=[1]) for number in range(1, count + 1)]
    middle[3]["status"] = "failed"
    last["needs"] = [one["sheet"] for one in middle]
    return [first, *middle, last]


@each(("table", "words"), [
        (signs.JOBS, JobStatus), (signs.SHEETS, SheetStatus), (signs.HOOKS, HookStatus),
        (signs.OUTCOMES, Outcome), (signs.PLANS, PlanAction), (signs.ORDER, SheetStatus),
    ])  # fmt: skip
def test_each_word_has_a_sign(table, words):
    assert set(table) == set(words)


@each("table", [signs.JOBS, signs.SHEETS])
def test_statuses_are_told_apart_without_colours(table):
    assert len({one.sign for one in table.values()}) == len(table)


@each(
    ("told", "group"),
    [
        (job(status="failed"), JobGroup.NEEDS_YOU),
        (job(status="paused"), JobGroup.NEEDS_YOU),
        (job(status="paused", next={"code": "hold_end"}), JobGroup.WAITING),
        (job(status="running", in_flight=[{}]), JobGroup.RUNNING),
        (job(status="running", in_flight=[{}], waiting=[{}]), JobGroup.RUNNING),
        (job(status="running", waiting=[{}]), JobGroup.WAITING),
        (job(status="running", in_flight=[{}], to_type=["scontrol release 1"]), JobGroup.NEEDS_YOU),
        (job(status="paused", next={"code": "hold_end"}, to_type=["mzt doctor"]), JobGroup.NEEDS_YOU),
        (job(status="cancelled", to_type=["kill 1"]), JobGroup.ENDED),
        (job(status="queued"), JobGroup.WAITING),
        (job(status="pausing", in_flight=[{}]), JobGroup.RUNNING),
        (job(status="cancelling"), JobGroup.RUNNING),
        (job(status="completed"), JobGroup.ENDED),
        (job(status="cancelled"), JobGroup.ENDED),
        (job(status="of a newer daemon"), JobGroup.RUNNING),
    ],
)
def test_what_needs_a_person_is_told_from_what_waits_for_a_time(told, group):
    assert group_of(told) is group


def test_jobs_are_shown_by_group_and_keep_their_order_when_they_change():
    store = StateStore()
    store.replace_jobs(
        [job("b", event=2, in_flight=[{}]), job("a", event=1, in_flight=[{}]), job("z", "failed", event=3)]
    )
    order = [(group, [one["job_id"] for one in jobs]) for group, jobs in store.jobs_by_group()]
    assert order == [(JobGroup.NEEDS_YOU, ["z"]), (JobGroup.RUNNING, ["a", "b"])]
    store.put_job({**job("a", event=9, in_flight=[{}]), "timing": {"created_at": "2026-01-01T00:00:01.000Z"}})
    assert [(group, [one["job_id"] for one in jobs]) for group, jobs in store.jobs_by_group()] == order


def test_what_is_older_than_what_is_known_is_not_taken():
    store = StateStore()
    store.put_job(job(event=5, status="paused"))
    store.put_job(job(event=4))
    assert store.jobs["a"]["status"] == "paused"
    store.put_job(job(event=6, status="running"))
    assert store.jobs["a"]["status"] == "running"


def test_a_fresh_run_has_none_of_the_sheets_of_the_one_before():
    store = StateStore()
    store.put_job(job(event=5))
    store.put_sheets("a", 1, fan(), 52)
    store.put_job(job(event=6, run=2))
    assert store.sheets == {}


def test_a_snapshot_forgets_what_is_no_more():
    store = StateStore()
    store.replace_jobs([job("a"), job("b")])
    store.put_sheets("a", 1, fan(), 52)
    store.replace_jobs([job("b")])
    assert list(store.jobs) == ["b"]
    assert store.sheets == {}


def test_a_frozen_state_stays_as_it_is():
    store = StateStore()
    store.replace_jobs([job("a")])
    store.put_sheets("a", 1, fan(), 52)
    frozen = store.frozen_copy()
    store.put_job(job("a", event=7, status="paused"))
    store.put_sheets("a", 1, [sheet(1, 1, status="failed")], 52)
    store.remove_run("a", 1)
    assert frozen.jobs["a"]["status"] == "running"
    assert frozen.sheets["a"][0]["status"] == "completed"
    assert store.changes > frozen.changes


def test_what_was_printed_last_is_put_at_its_attempt():
    store = StateStore()
    flights = [
        {"sheet": number, "hook": None, "attempt": 1, "job_id": None, "last_line": None} for number in (1, 2)
    ]
    store.put_job(job(in_flight=flights))
    store.put_output("a", 1, [{**flights[1], "last_line": "at\x07 it"}])
    store.put_output("a", 2, [{**flights[0], "last_line": "of another run"}])
    assert [one["last_line"] for one in store.jobs["a"]["in_flight"]] == [None, "at\\x07 it"]


def test_a_job_that_is_looked_at_stays_though_a_snapshot_of_all_has_it_not():
    store = StateStore()
    store.put_job(job("old", "completed"))
    store.replace_jobs([job("new")], keep={"old"})
    assert sorted(store.jobs) == ["new", "old"]
    store.replace_jobs([job("new")])
    assert sorted(store.jobs) == ["new"]


def test_texts_are_made_harmless_where_they_come_in():
    store = StateStore()
    store.put_job(job(message="\x1b]52;c;evil\x07\nsecond \u202e line"))
    assert store.jobs["a"]["message"] == "\\x1b]52;c;evil\\x07\\nsecond \\u202e line"


def test_sheets_that_changed_are_put_among_the_others():
    store = StateStore()
    store.put_sheets("a", 1, fan(4), 6)
    store.put_sheets("a", 1, [sheet(2, 2, status="running")], 5)
    assert [one["status"] for one in store.sheets["a"]][:2] == ["completed", "running"]
    assert [one["sheet"] for one in store.sheets["a"]] == [1, 2, 3, 4, 5]


def test_a_stage_tells_how_many_of_its_sheets_are_in_each_status():
    middle = stages_of(fan())[1]
    assert (middle.number, middle.label, len(middle.sheets)) == (2, "review", 50)
    assert counts_text(middle) == "✗ 1 failed  ○ 49 pending"
    assert signs_text(middle) == "✗1 ○49"


def test_a_wide_fan_out_is_folded_and_unfolds():
    told = job()
    assert [row.key for row in sheet_rows(told, fan(), NEEDS, {})] == [
        ("sheet", 1),
        ("stage", 2),
        ("sheet", 52),
    ]
    assert len(sheet_rows(told, fan(), NEEDS, {2: True})) == 53
    assert len(sheet_rows(told, fan(5), NEEDS, {})) == 8


def test_a_row_is_made_again_only_where_its_sheet_or_time_changes_it(monkeypatch):
    def at(clock):
        monkeypatch.setattr(times, "now", lambda: datetime.fromisoformat(f"2026-01-01T{clock}Z"))

    sheets = [
        sheet(1, 1, status="failed", started_at=BEGAN, ended_at=BEGAN, error_message="exit code 3"),
        sheet(2, 1, 2, status="running", started_at=BEGAN),
        sheet(3, 1, 3),
        sheet(4, 1, 4, status="failed"),
    ]
    kept = {}

    def rows(told):
        return [
            row for row in sheet_rows(told, sheets, {1: ()}, {1: True}, kept=kept) if row.key[0] == "sheet"
        ]

    at("00:00:30.000")
    first = rows(job())
    at("00:00:30.100")
    assert [one is other for one, other in zip(first, rows(job()), strict=True)] == [True, False, True, True]
    at("00:02:00.000")
    first = rows(job())
    at("00:02:59.000")
    assert [one is other for one, other in zip(first, rows(job()), strict=True)] == [True] * 4
    at("00:03:00.000")
    assert [one is other for one, other in zip(first, rows(job()), strict=True)] == [True, False, True, True]
    told = job(in_flight=[{"sheet": 2, "attempt": 1, "started_at": BEGAN, "time_limit_at": BEGAN}])
    assert "limit" in rows(told)[1].cells[-1].text
    first = rows(job())
    sheets[3] = {**sheets[3], "error_message": "exit code 4"}
    told = job(breakpoints=[{"sheet": 3}])
    again = rows(told)
    assert [one is other for one, other in zip(first, again, strict=True)] == [True, True, False, False]
    assert (again[2].cells[-1].text, again[3].cells[-1].text) == ("the job pauses before it", "exit code 4")
    assert again == sheet_rows(told, sheets, {1: ()}, {1: True})[1:]


def test_failed_sheets_and_words_unfold_what_they_find():
    keys = [row.key for row in sheet_rows(job(), fan(), NEEDS, {}, failed_only=True)]
    assert keys == [("stage", 2), ("sheet", 5)]
    assert [row.key for row in sheet_rows(job(), fan(), NEEDS, {}, "MERGE")] == [("sheet", 52)]
    assert sheet_rows(job(), fan(), NEEDS, {}, "nothing like it") == []


def picture(needs):
    stages = sorted({*needs, *(other for others in needs.values() for other in others)})
    return [f"{one.gutter.rstrip()} {one.stage}" for one in draw_graph(stages, needs)]


@each(
    ("needs", "lines"),
    [
        ({2: [1], 3: [2]}, ["* 1", "* 2", "* 3"]),
        ({2: [1], 3: [1], 4: [2, 3]}, ["* 1", "├─* 2", "* │ 3", "*─╯ 4"]),
        ({3: [1, 2], 4: [3], 5: [3]}, ["* 1", "│ * 2", "*─╯ 3", "├─* 4", "* 5"]),
        ({1: [2]}, ["* 2", "* 1"]),
        ({}, []),
    ],
)
def test_a_line_runs_from_each_stage_to_all_that_need_it(needs, lines):
    assert picture(needs) == lines


def test_each_stage_comes_after_those_it_needs_and_a_circle_hangs_nothing():
    assert topological_order([1, 2, 3, 4], {1: [4], 4: [3], 2: []}) == [2, 3, 4, 1]
    assert topological_order([1, 2], {1: [2], 2: [1]}) == [1, 2]


def test_the_graph_has_a_row_a_stage_with_how_much_is_done():
    rows = graph_rows(job(), fan(), NEEDS, {})
    assert [row.key for row in rows] == [("sheet", 1), ("stage", 2), ("sheet", 52)]
    assert [row.cells[1].text for row in rows] == ["completed", "0/50", "pending"]


@each(
    ("done", "total", "drawn_as"),
    [(0, 4, "····"), (2, 4, "██··"), (4, 4, "████"), (1, 8, "▌···"), (0, 0, "····")],
)
def test_a_bar_is_as_wide_as_it_is_wanted(done, total, drawn_as):
    assert signs.bar(done, total, 4) == drawn_as


def daemon(**fields):
    return {
        "status": "ready", "slots": {"used": 1, "total": 16}, "degraded_by": [], "rate_limits": [], "damaged": [], **fields,
    }  # fmt: skip


def test_the_first_line_says_what_is_wrong_with_the_daemon_and_whether_the_screen_is_live():
    store = StateStore()
    store.replace_jobs([job("a", "failed")])
    limit = {"instrument": "claude-code", "model": None, "until_at": "2026-01-01T00:00:00.000Z"}
    store.put_daemon(daemon(degraded_by=["the disk is nearly full"], rate_limits=[limit], damaged=["b"]))
    said = plain_text(daemon_line(store, read_only=True, behind=3))
    assert "FROZEN 3 changes behind" in said
    assert "read-only" in said
    assert "1 needs you · 1 job · $0.50 · the disk is nearly full · claude-code limited until" in said
    assert said.endswith("1 job can't be read")
    store.put_broken("no daemon answers at /s")
    assert "no daemon" in plain_text(daemon_line(store, read_only=False, behind=None))


def test_what_was_asked_is_shown_until_it_is_carried_out_and_then_what_became_of_it():
    activity = ActivityLines()
    first, second = activity.add_sent("mzt pause a --wait"), activity.add_sent("mzt pause b --wait")
    assert [plain_text(line) for line in activity.lines()] == [
        f"… $ mzt pause {name} --wait  sent; waiting until it is so" for name in ("a", "b")
    ]
    activity.mark_done(first, "a: paused")
    assert plain_text(activity.lines()[-1]) == "✓ $ mzt pause a --wait  a: paused"
    activity.mark_refused("mzt pause b --wait", "no", ["mzt list"], second)
    assert [plain_text(line) for line in activity.lines()] == ["✗ $ mzt pause b --wait  no  (mzt list)"]


@each(("text", "line", "spans"), [
        ("ab", "xAbab", [(1, 3), (3, 5)]), ("Ab", "xAbab", [(1, 3)]), ("[a", "x[a]", [(1, 3)]),
        ("", "x", []), ("aa", "aaa", [(0, 2)]),
    ])  # fmt: skip
def test_what_is_looked_for_is_taken_as_it_is_typed(text, line, spans):
    assert list(SearchPattern(text).spans(line)) == spans


def test_lines_that_are_too_many_are_dropped_from_the_beginning_and_said():
    output = OutputBuffer()
    output.add(("plain", f"{number}\tx") for number in range(KEPT_LINES + 2_001))
    assert len(output.lines) == KEPT_LINES
    assert output.lines[-1].text == f"{KEPT_LINES + 2_000}".ljust(8) + "x"
    assert output.earlier.startswith("2,001 earlier lines are no longer kept here")


def test_a_long_line_is_wrapped_below_the_beginning_of_its_text():
    line = [Cell("14:00  ", "dim"), Cell("sheet 1: attempt 1 failed", "")]
    assert all(len(plain_text(part)) <= 24 for part in wrap_line(line, 24))
    assert [plain_text(part) for part in wrap_line(line, 24)] == [
        "14:00  sheet 1: attempt",
        "       1 failed",
    ]
    assert wrap_line(line, 80) == [line]
