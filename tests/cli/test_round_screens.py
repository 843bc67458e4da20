"""Rounds of a loop as people see them: in the status, in what was printed, and before they are played."""

import pytest

pytestmark = pytest.mark.one_daemon

SCORE = """\
name: polish
workspace: ./polish
instrument: cli
sheet: {size: 1, total_items: 3, loops: {"1-2": {until: "loop.round == 2", max_iterations: 5}}}
prompt:
  template: "{% if stage < 3 %}echo sheet {{ stage }}, round {{ loop.round }}{% else %}echo at last{% endif %}"
"""


def test_rounds_are_seen_in_status_and_logs(home):
    (home.path / "polish.yaml").write_text(SCORE)
    assert "up to 5 rounds" in home.mzt("validate", "polish.yaml", "--explain").stdout
    home.mzt("run", "polish.yaml", "--wait")
    assert "loop 1-2: round 2, closed" in home.mzt("status", "polish").stdout
    assert home.json("status", "polish")["progress"]["loops"] == [
        {"span": "1-2", "round": 2, "up_to": 5, "state": "closed"}
    ]
    assert home.mzt("logs", "polish", "--round", "1").stdout == (
        "1.1| sheet 1, round 1\n2.1| sheet 2, round 1\n"
    )
    assert home.mzt("logs", "polish", "2", "--round", "2").stdout == "sheet 2, round 2\n"
    refused = home.mzt("logs", "polish", "3", "--round", "2", code=4)
    assert "no sheet of 'polish' has an attempt of a round 2" in refused.stderr
    assert "round 2 of up to 5 begins" in home.mzt("history", "polish").stdout


def test_an_accepted_sheet_says_who_accepted_it_and_why(home):
    (home.path / "bad.yaml").write_text(
        "name: bad\nworkspace: ./bad\ninstrument: cli\nsheet: {size: 1, total_items: 2}\n"
        "retry: {max_retries: 0}\nprompt: {template: 'test {{ sheet_num }} = 2'}\n"
    )
    home.mzt("run", "bad.yaml", "--wait", code=1)
    home.mzt("resume", "bad", "--accept", "1", "--reason", "good enough")
    home.mzt("wait", "bad")
    status = home.mzt("status", "bad").stdout
    assert "accepted by" in status
    assert '"good enough"' in status
