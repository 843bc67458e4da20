"""Requests from inside an attempt are known as such; by default a sheet may look, pause its own job and submit."""

import pytest
from kit.asking_inside import ask, code, said
from kit.daemon import score


@pytest.mark.parametrize(("setting", "pause", "resume"), [("look", "E509", "E509"), ("all", "done", "done")])
def test_the_setting_decides(house, setting, pause, resume):
    house.configure(f'[security]\nsheets_may = "{setting}"\n')
    house.start()
    body = ask("pause", "job.pause", job_id="evil") + ask("resume", "job.resume", job_id="evil")
    house.submit(score("evil", [body]))
    house.wait_for("evil", "ended")
    assert (code(house, "pause"), code(house, "resume")) == (pause, resume)


def test_whoever_takes_the_mark_out_is_known_by_its_ancestors(daemon):
    body = f"env -u MARIANNE_ATTEMPT_ID bash <<'OUTER'\n{ask('resume', 'job.resume', job_id='evil')}OUTER\n"
    daemon.submit(score("evil", [body]))
    daemon.wait_for("evil", "ended")
    assert code(daemon, "resume") == "E509"


def test_checks_and_hooks_are_inside_too(daemon):
    (daemon.home / "check.sh").write_text(ask("check", "job.cancel", job_id="evil"))
    (daemon.home / "hook.sh").write_text(ask("hook", "job.cancel", job_id="evil"))
    text = score(
        "evil",
        ["true"],
        validations=[{"type": "command_succeeds", "command": f"bash {daemon.home}/check.sh"}],
        on_success=[{"type": "run_command", "command": f"bash {daemon.home}/hook.sh"}],
    )
    daemon.submit(text)
    daemon.wait_for("evil", "completed")
    assert code(daemon, "check") == code(daemon, "hook") == "E509"
    assert said(daemon, "check")["error"]["message"].startswith("sheet 1 of evil")
    assert said(daemon, "hook")["error"]["message"].startswith("hook 1 of evil")
