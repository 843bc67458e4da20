"""Hooks as people see them: in the status, in why, in plans, and in what was printed."""

import pytest

pytestmark = pytest.mark.one_daemon

SCORE = """\
name: ship
workspace: ./ship
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "echo built"}
validations: [{type: command_succeeds, command: "true"}]
on_success:
  - {type: run_command, command: "echo published", description: publish}
  - {type: run_command, command: "echo oh no >&2; exit 3"}
"""


def test_hooks_are_seen_on_every_screen(home):
    (home.path / "ship.yaml").write_text(SCORE)
    home.mzt("run", "ship.yaml", "--wait", code=1)
    status = home.mzt("status", "ship").stdout.splitlines()
    assert "hook 2 failed: exit 3; stays failed" in status[0]
    assert status[3:5] == [
        "  hook 1  completed  publish",
        "  hook 2  failed     echo oh no >&2; exit 3  exit 3",
    ]
    assert "  stderr   | oh no" in home.mzt("why", "ship").stdout.splitlines()
    assert home.mzt("logs", "ship").stdout == "oh no\n"
    assert home.mzt("logs", "ship", "1,hook.all").stdout == ("1.1| built\nhook 1| published\nhook 2| oh no\n")
    assert home.mzt("logs", "ship", "hook.1", "-F", code=1).stdout == "hook 1| published\n"
    plan = home.mzt("resume", "ship", "--from", "1", "--plan").stdout
    assert "hook 1  completed  rerun  sheets run again, all hooks do" in plan


def test_hooks_that_had_no_work_to_follow_are_not_promised_once_the_job_has_completed(home):
    skipped = SCORE.replace("total_items: 1", 'total_items: 1, skip_when_command: {1: {command: "true"}}')
    (home.path / "ship.yaml").write_text(skipped)
    home.mzt("run", "ship.yaml", "--wait")
    assert (
        home.mzt("status", "ship").stdout.splitlines()[3] == "  hooks 1, 2  skipped  no sheet was attempted"
    )
    one = skipped.rpartition("  - {type")[0]
    (home.path / "ship.yaml").write_text(one)
    home.mzt("run", "ship.yaml", "--fresh", "--wait")
    assert home.mzt("status", "ship").stdout.splitlines()[3] == "  hook 1  skipped  no sheet was attempted"
    (hook,) = home.json("status", "ship")["hooks"]
    assert (hook["status"], hook["skip_reason"]) == ("pending", "no sheet was attempted")


def test_a_job_that_was_to_be_started_at_the_end_is_not_promised_any_more_once_that_is_over(home):
    chained = SCORE.replace("ship", "next").partition("on_success")[0]
    (home.path / "next.yaml").write_text(chained)
    hooks = """\
on_success:
  - {type: run_job, job_path: next.yaml, detached: true}
  - {type: run_command, command: "exit 3"}
concert: {enabled: true, abort_concert_on_hook_failure: true, cooldown_between_jobs_seconds: 0}
"""
    (home.path / "ship.yaml").write_text(SCORE.partition("on_success")[0] + hooks)
    home.mzt("run", "ship.yaml", "--wait", code=1)
    row = home.mzt("status", "ship").stdout.splitlines()[3]
    assert row.startswith("  hook 1  waiting")
    assert row.endswith("  not submitted: this job has ended without it")
