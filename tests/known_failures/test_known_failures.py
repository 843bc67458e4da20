"""Failures known from systems like this one, put back one by one: each is caught by a test of this repository.

A failure is a patch of one function; the test that must catch it runs where the function has that (see
forking_pytest.py), and must fail. docs/durability.md tells of them.
"""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kit import putting_back

ROOT = Path(__file__).parents[2]
SECONDS = 110
"""How long the answer may take at most, of which most wait in vain for MARIANNE_DEADLINE."""
CAUGHT = re.compile("(failure|error on teardown): (AssertionError|assert |Failed: )(?!it is not ready)")
"""How the test fails that catches it: by what it asserts, at its end too. A daemon that does not start is no catch."""


class Known(NamedTuple):
    """A failure: the function that keeps it out (`module:name`), what stood there before, and who notices.

    `right` stands in that function once, wherever it is in its file and whatever else the file has. `says` is
    what the test fails with, where that is no assertion of its own: it waits in vain, or finds nothing.
    """

    function: str
    right: str
    wrong: str
    caught_by: str
    says: str = "nothing else"


KNOWN = {
    "a pause is forgotten over a restart": Known(
        "conductor.core.loading:_state",
        "found.holds,",
        "",
        "conductor/test_restarting.py::test_paused_stays_paused_over_a_kill",
    ),
    "a staged revision is forgotten over a restart": Known(
        "conductor.core.loading:_state",
        "state.stage(await _version_of(run, staged, run.staged_revision))",
        "pass",
        "conductor/test_restarting.py::test_a_staged_revision_is_applied_when_the_sheet_has_ended",
    ),
    "a cancel is forgotten over a restart": Known(
        "progress.deciding.decide:flights_to_terminate",
        "return state.flights if state.run.cancelling else to_end",
        "return to_end",
        "unit/progress/test_requests.py::test_a_cancel_in_force_is_finished_after_a_restart_of_the_daemon",
    ),
    "a status is told before it is on disk": Known(
        "conductor.core.job:JobActor._decide",
        'faults.point(f"{name}.decided")',
        'faults.point(f"{name}.decided"); self._become(decision.state)',
        "daemon/test_before_the_commit.py::test_nothing_is_told_before_it_is_on_disk",
    ),
    "a request is acknowledged and not synced": Known(
        "store.opening:connect_writer",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        "unit/store/test_opening.py::test_a_new_database_is_private_and_durable",
    ),
    "a repeated key has its effect twice": Known(
        "conductor.core.idempotency:IdempotencyKeys.run",
        "if known is None or known.asked.until(now()) > DAY:",
        "if True:",
        "conductor/test_repeating.py::test_the_same_key_again_is_the_same_answer_and_one_effect",
    ),
    "who waits for what was taken back waits for ever": Known(
        "progress.deciding.answers:_why_overridden",
        "lost = next((said for about, is_so, said in _LOST if action in about and is_so(state, request)), None)",
        "lost = None",
        "unit/progress/test_races.py::test_of_two_modifies_the_later_is_in_force_and_the_earlier_is_told",
        "KeyError: 'request 1'",
    ),
    "paused is told while a sheet still runs": Known(
        "lifecycle:status",
        "if (facts.held or facts.staged) and facts.in_flight:",
        "if facts.staged and facts.in_flight:",
        "unit/progress/test_races.py::test_what_ended_by_itself_before_it_was_interrupted_counts_as_it_ended",
    ),
    "an exit while the daemon was down is lost": Known(
        "conductor.run.attempt:AttemptRunner.run",
        "if record is None:",
        "if record is None or presence is Presence.ENDED:",
        "daemon/test_restart.py::test_a_sheet_that_ends_while_the_daemon_is_down_is_taken_as_it_ended",
        "kit.daemon.Refused: 'duo' is still running after",
    ),
    "an attempt starts twice after a crash": Known(
        "executors.shim:open_claim",
        "os.O_CREAT | os.O_EXCL | os.O_WRONLY",
        "os.O_CREAT | os.O_WRONLY",
        "unit/executors/test_shim_ending.py::test_a_second_shim_over_the_same_attempt_refuses",
    ),
    "a process that has the pid by now is taken for the attempt": Known(
        "executors.host.supervisors:_living_of",
        "if found is not None and found.start_time == started and traces.has_mark(pid, mark):",
        "if found is not None:",
        "unit/executors/test_local.py::test_another_process_with_the_same_pid_is_left_alone",
    ),
    "what a command left behind goes on": Known(
        "executors.children:Children.sweep",
        "while self.reap():",
        "while False:",
        "unit/executors/test_shim_ending.py::test_what_a_command_leaves_behind_does_not_outlive_it[local]",
        "TimeoutError",
    ),
    "a lost attempt uses up a try": Known(
        "progress.deciding.outcomes:_retry_lost",
        "draft.update_sheet(row, status=SheetStatus.PENDING, lost=row.lost + 1, next_kind=kind)",
        "draft.update_sheet(row, status=SheetStatus.PENDING, lost=row.lost + 1, next_kind=kind, tries=row.tries + 1)",
        "unit/progress/test_outcomes.py::test_an_attempt_that_is_lost_runs_again_at_once_and_is_not_counted",
    ),
    "an exit that nobody knows counts as done": Known(
        "executors.base:describe_loss",
        "if record.signal in FOREIGN:",
        "if False:",
        "daemon/test_restart.py::test_an_attempt_whose_processes_were_all_killed_is_lost_and_runs_again",
    ),
    "a late record of a closed attempt changes its sheet": Known(
        "progress.deciding.outcomes:attempt_ended",
        "if row is None or attempt is None or attempt.attempt != ending.attempt:",
        "if row is None or attempt is None:",
        "unit/progress/test_outcomes.py::test_a_late_record_of_an_attempt_does_not_end_the_one_after_it",
    ),
    "a wait is counted by a clock that began anew with the boot": Known(
        "clock:Instant.until",
        "if self.boot == later.boot:",
        "if self.boot:",
        "unit/test_clock.py::test_the_boot_clock_decides_on_the_same_boot_and_utc_after_another",
    ),
    "a retry's wait runs out while the job is paused": Known(
        "progress.deciding.requests:_release_holds",
        "resume_waits(draft)",
        "pass",
        "unit/progress/test_outcomes.py::test_a_wait_goes_on_over_a_pause_with_what_remained_of_it",
    ),
    "what has completed runs again with a resume": Known(
        "progress.deciding.requests:_reset_sheets",
        "if row.status in (SheetStatus.FAILED, SheetStatus.CANCELLED):",
        "if row.status in (SheetStatus.FAILED, SheetStatus.CANCELLED, SheetStatus.COMPLETED):",
        "unit/progress/test_requests.py::test_a_resume_of_a_failed_job_runs_the_failed_sheets_afresh_and_no_completed_one",
    ),
    "a finished sheet runs again because its text was changed": Known(
        "score.plan:_STAYS",
        "_STAYS = (SheetStatus.COMPLETED, SheetStatus.SKIPPED)",
        "_STAYS = ()",
        "unit/score/test_plan.py::test_a_finished_sheet_stays_finished_when_its_definition_changes",
    ),
    "a sheet that changes moves the equal ones behind it": Known(
        "score.matching:_match_stages",
        "found = _same_place(*free, matched)",
        "same = [[s for s in all_ if s.definition == free[1][0].definition] for all_ in free]\n"
        "            found = {now.number: was.number for was, now in zip(*same)}",
        "unit/score/test_matching.py::test_a_finished_sheet_that_changes_moves_no_other_one",
    ),
    "a held job ends by itself": Known(
        "lifecycle:_end",
        "if facts.held and not _overtakes_holds(settling_context):",
        "if False:",
        "unit/progress/test_held_jobs.py::"
        "test_a_revision_that_takes_the_rest_away_leaves_the_job_paused_when_its_sheet_ends",
    ),
    "a hook that comes back is run again": Known(
        "progress.deciding.hooks:revise_hooks",
        "rows[number] = known.row",
        "pass",
        "unit/progress/test_hook_turns.py::test_a_hook_that_succeeded_is_not_run_again_when_it_comes_back",
    ),
    "what another database's attempts left is taken for ours": Known(
        "conductor.services:Services.place",
        "incarnation = self.store.incarnations.get(flight.incarnation)",
        "incarnation = None",
        "daemon/test_whose_attempts.py::"
        "test_what_ran_after_a_copy_was_made_is_not_taken_for_what_runs_after_it_was_put_back[by_hand]",
    ),
    "an attempt is not found once the setting of its directory has changed": Known(
        "conductor.services:Services.place",
        "_top(incarnation.name, incarnation.attempts, self.attempts)",
        "self.attempts / incarnation.name",
        "daemon/test_whose_attempts.py::test_where_its_directory_is_not_there_how_it_ended_is_waited_for_and_said",
        "TimeoutError: timed out",
    ),
    "an attempt whose files are gone counts as gone": Known(
        "executors.host.local:LocalExecutor.presence",
        "found = await _in_thread(traces.find_supervisors, place.id)",
        "found: list[tuple[int, int]] = []",
        "unit/executors/test_local.py::test_an_attempt_lives_while_its_process_does_whatever_becomes_of_its_files",
    ),
    "a worker that is killed fails the sheet that it read": Known(
        "worker_pool:_PoolCall.once",
        'Accident("a worker process died")',
        'WorkerLimit("the worker process died over it")',
        "daemon/test_helpers_that_die.py::test_a_finished_sheet_is_read_again_when_its_worker_dies_over_it",
    ),
    "a check that is killed from outside fails its sheet": Known(
        "conductor.run.checks:CheckRunner._run_until_it_ends",
        "if why is None:",
        "if True:",
        "daemon/test_helpers_that_die.py::test_a_skip_command_that_is_ended_from_outside_is_asked_again",
    ),
    "a check that is killed three times fails its sheet": Known(
        "conductor.run.checks:CheckRunner._run_until_it_ends",
        "if why is None:",
        "if why is None or losses.count == 2:",
        "conductor/test_how_attempts_end.py::"
        "test_a_check_that_always_ends_by_a_kill_is_waited_for_and_another_is_run_on_the_same_attempt",
        "TimeoutError: timed out",
    ),
    "what lies in a directory that is away at a start never ran": Known(
        "executors.host.local:_conclude",
        "return Presence.LOST if asked else Presence.UNKNOWN",
        "pass",
        "daemon/test_whose_attempts.py::"
        "test_where_all_attempts_are_away_at_a_start_none_is_taken_for_one_that_never_ran[all]",
        "TimeoutError: timed out",
    ),
    "a copy of a state directory is served beside the original": Known(
        "service:Daemon._refuse_copy",
        "if held is not None and held.pid != os.getpid():",
        "if False:",
        "daemon/test_displaced.py::test_a_copy_of_a_state_directory_whose_daemon_lives_is_not_served",
        "subprocess.TimeoutExpired: ",
    ),
    "a stop that loses all jobs is called safe": Known(
        "conductor.core.hindrances:safe_from",
        "if displaced is None:",
        "if True:",
        "unit/conductor/test_hindrances.py::"
        "test_where_the_database_is_gone_a_stop_is_not_safe_and_is_refused_and_the_way_out_is_said",
    ),
    "a stop that loses all jobs is not refused": Known(
        "conductor.requests.shutdown:ShutdownCoordinator._begin",
        "if displaced is not None and displaced.lost",
        "if False",
        "unit/conductor/test_hindrances.py::"
        "test_where_the_database_is_gone_a_stop_is_not_safe_and_is_refused_and_the_way_out_is_said",
        "WrongStatus('the daemon is stopping already')",
    ),
    "a time is promised for what waits until it can be known": Known(
        "progress.state.run:RunState.limit_of_flights",
        "if limits and not self.endless() else None",
        "if limits else None",
        "unit/conductor/test_hindrances.py::"
        "test_a_job_that_waits_until_it_can_be_known_how_an_attempt_ended_says_so_and_promises_no_time",
    ),
    "a sheet starts beside one of its own that a copy put back does not know": Known(
        "conductor.run.attempt:AttemptRunner._wait_for_stranger",
        "if (one.job_id, one.run, one.sheet) == (run.job_name, run.run, sheet):",
        "if False:",
        "unit/conductor/test_hindrances.py::"
        "test_an_attempt_that_the_database_does_not_know_is_told_and_its_sheet_is_not_started_beside_it",
        "TimeoutError",
    ),
    "a sheet that was done runs again when it is taken out and put back": Known(
        "progress.deciding.past_sheets:origins",
        "if not (state.left_scores or state.past_sheets):",
        "if True:",
        "unit/progress/test_past_sheets.py::"
        "test_what_was_done_before_it_was_taken_out_is_done_when_it_is_back_and_the_plan_says_so",
    ),
    "a sheet that was changed and taken out runs again when the score is back": Known(
        "progress.deciding.past_sheets:_recall_score",
        "if left is None:",
        "if True:",
        "unit/progress/test_past_sheets.py::"
        "test_what_stood_behind_a_sheet_that_never_ran_is_done_when_both_are_back",
    ),
    "a sheet that stands as another one is not found where its own definition is back": Known(
        "progress.deciding.past_sheets:_PastWorkSearch._collect",
        "if row.uid in taken or row.sheet in unchanged:",
        "if True:",
        "unit/progress/test_past_sheets.py::test_a_sheet_that_was_edited_is_itself_again_where_both_are_wanted",
    ),
    "two daemons write one database": Known(
        "lock:_take_lock",
        "fcntl.LOCK_EX",
        "fcntl.LOCK_SH",
        "unit/test_lock.py::test_a_second_daemon_is_told_who_holds_the_directory",
    ),
    "a lock whose file is deleted lets a second daemon in": Known(
        "lock:locked",
        "database = _take_lock(database_path(state).resolve(), state)",
        "database = _open_lock_file(database_path(state).resolve())",
        "daemon/test_displaced.py::test_the_lock_deleted_a_second_daemon_meets_the_database_s_own",
        "subprocess.TimeoutExpired: ",
    ),
    "a database that is deleted under the daemon is written on": Known(
        "store.writer:Store._write_group",
        "self._place.check()",
        "pass",
        "daemon/test_displaced.py::test_nothing_is_acknowledged_any_more_and_status_and_doctor_say_why[remove]",
    ),
    "a round is judged by the word that a modify has replaced": Known(
        "progress.deciding.rounds:until_judged",
        "draft.facts.staged or ",
        "",
        "unit/progress/test_rounds.py::test_an_answer_that_finds_a_new_revision_is_dropped_and_asked_again",
    ),
    "hooks begin before a round is judged": Known(
        "progress.state.loops:LoopTracker.undecided",
        "any(one.is_open for one in self)",
        "False",
        "unit/progress/test_rounds.py::test_hooks_and_the_end_wait_for_the_answer",
    ),
    "a breakpoint stops the first round alone": Known(
        "progress.deciding.rounds:_next_round",
        "rearm_breakpoints(draft, uids)",
        "pass",
        "unit/progress/test_rounds.py::test_a_breakpoint_in_the_span_stops_each_round_once",
    ),
    "a pause now waits for the judgement of a round": Known(
        "progress.deciding.draft:DecisionDraft.interrupt_all",
        "[*self.state.sheet_flights, *self.state.loops.asking]",
        "self.state.sheet_flights",
        "conductor/test_rounds_of_loops.py::test_a_pause_now_gives_up_the_question_whether_another_round_follows",
        says="kit.daemon.Refused: 'asks' is still pausing",
    ),
    "a breakpoint is acknowledged that the next resume voids": Known(
        "progress.deciding.breakpoints:set_breakpoints",
        "if state.stands_before(row):",
        "if False:",
        "unit/progress/test_holds.py::test_there_is_no_breakpoint_where_its_own_hold_stands",
    ),
}


class Forking:
    """The pytest that runs a test with a failure put back."""

    def __init__(self, room: Path) -> None:
        tests = sorted({f"{ROOT}/tests/{known.caught_by}" for known in KNOWN.values()})
        options = ["-c", f"{ROOT}/pyproject.toml", "-n0", "-p", "no:cacheprovider", f"--basetemp={room}"]
        self.program = subprocess.Popen(
            [sys.executable, "-P", f"{ROOT}/tests/known_failures/forking_pytest.py", *options, *tests],
            cwd=room.parent,  # where Hypothesis keeps what has failed
            env={**os.environ, "MARIANNE_DEADLINE": "8"},  # some wait in vain
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, known: Known, room: Path) -> list[str] | int:
        """Run the test that catches a failure; return what goes wrong in it, or how that has ended early."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        asked = {
            "failure": putting_back.told(known.function, known.right, known.wrong),
            "caught_by": f"tests/{known.caught_by}",
            "in_programs": known.caught_by.startswith("daemon/"),
            "room": str(room),
        }
        print(json.dumps(asked), file=self.program.stdin, flush=True)
        assert select.select([self.program.stdout], [], [], SECONDS)[0], "it does not answer"
        answer: list[str] | int = json.loads(self.program.stdout.readline())
        return answer

    def end(self) -> None:
        try:
            self.program.communicate(timeout=10)
        finally:
            self.program.kill()


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    """That pytest, which all tests of this module ask."""
    made = Forking(tmp_path_factory.mktemp("forking") / "base")
    yield made
    made.end()


@pytest.mark.parametrize("name", KNOWN)
def test_it_is_caught_when_it_comes_back(name: str, tmp_path: Path, forking: Forking) -> None:
    known = KNOWN[name]
    wrong = forking.run(known, tmp_path)
    said = (tmp_path / "said").read_text()
    assert isinstance(wrong, list), (wrong, said)
    assert wrong, said
    for message in wrong:
        assert CAUGHT.match(message) or message.startswith(f"failure: {known.says}"), (message, said)


@pytest.mark.parametrize(
    "name",
    [
        "a sheet that stands as another one is not found where its own definition is back",
        "a check that is killed from outside fails its sheet",
    ],
)
def test_without_a_failure_the_same_test_passes_behind_one_that_has_failed(
    name: str, tmp_path: Path, forking: Forking
) -> None:
    """Else it might be caught by the way it is run, or by what another failure has left there."""
    known = KNOWN[name]
    for wrong in (known.wrong, known.right):
        (room := tmp_path / str(wrong == known.right)).mkdir()
        found = forking.run(known._replace(wrong=wrong), room)
        assert bool(found) == (wrong == known.wrong), (found, (room / "said").read_text())
