"""The names of stages: beside the numbers wherever sheets are shown, and typed wherever sheets are."""

import pytest

pytestmark = pytest.mark.one_daemon

NAMED = """\
name: feature
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 3, fan_out: {2: 2}, dependencies: {2: [1], 3: [2]}}
movements: {1: {name: plan}, 2: {name: implement}, 3: {name: report}}
retry: {max_retries: 0}
prompt: {template: "echo {{ stage }}.{{ instance }}; test {{ stage }} != 3"}
validations:
  - {type: command_succeeds, command: "true"}
"""


@pytest.fixture
def feature(home):
    """A job whose last stage has failed."""
    (home.path / "feature.yaml").write_text(NAMED)
    home.mzt("run", "feature.yaml", "--wait", code=1)
    return home


def test_what_is_shown_names_stages_beside_their_numbers(feature):
    explained = feature.mzt("validate", "feature.yaml", "--explain").stdout
    assert "sheet 2 (2.1 implement): cli, needs 1" in explained
    assert "sheet 4 (3.1 report) failed after 1 attempt" in feature.mzt("why", "feature").stdout
    history = feature.mzt("history", "feature").stdout
    assert "sheet 2 (2.1 implement): attempt 1" in history
    plan = feature.mzt("resume", "feature", "--from", "implement", "--plan").stdout.splitlines()
    assert [line.split()[:4] for line in plan if line.startswith(("2", "4"))] == [
        ["2", "2.1", "implement", "completed"],
        ["4", "3.1", "report", "failed"],
    ]
    assert feature.mzt("logs", "feature", "implement").stdout == "2.1 implement| 2.1\n2.2 implement| 2.2\n"
    (feature.path / "wrong.yaml").write_text(
        NAMED.replace("{{ stage }}.", "{% if stage == 3 %}{{ nope }}{% endif %}")
    )
    assert "'nope' is undefined (sheet 4: report)" in feature.mzt("validate", "wrong.yaml", code=1).stdout


def test_stages_are_typed_by_name_wherever_sheets_are(feature):
    assert feature.mzt("logs", "feature", "implement.2").stdout == "2.2\n"
    for command in (("status",), ("why",), ("history",)):
        assert feature.mzt(command[0], "feature", "report").stdout
    assert [
        line["sheet"] for line in feature.json("status", "feature", "implement.all,report")["sheets"]
    ] == [2, 3, 4]
    planned = feature.json("modify", "feature", "--rerun", "implement.1", "--plan")["plan"]
    assert [line["sheet"] for line in planned if line["action"] == "rerun"] == [2]
    refused = feature.json("resume", "feature", "--from", "reprot", code=4)
    assert refused["error_code"] == "E510"
    assert "did you mean 'report'?" in refused["message"]
    (feature.path / "second.yaml").write_text(NAMED.replace("name: feature", "name: second"))
    run = feature.json("run", "second.yaml", "--before", "report")
    assert [stop["sheet"] for stop in run["breakpoints"]] == [4]
    feature.mzt("wait", "second", "--for", "paused")
    assert (
        "nothing has been printed yet by report of 'second'" in feature.mzt("logs", "second", "report").stderr
    )
