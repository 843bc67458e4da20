"""Hooks as people see them: in the status, in why, in plans, and in what was printed."""

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
