"""`mzt report`: what ran since a time, what stopped and why, what it cost, what needs a person."""

import json
import re

import pytest
from home_for_tests import GATED, QUICK, SCORE
from kit.tables import each
from markdown_it import MarkdownIt

from marianne_cli.commands.report import standing_causes
from marianne_cli.screens import report

pytestmark = pytest.mark.one_daemon

AGENT = """\
#!/bin/sh
cat <<'END'
{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":0.25,"usage":{"input_tokens":1000,"output_tokens":20}}
END
"""


@pytest.fixture
def night(home):
    """A job that completed, one whose sheet failed, one that ann paused, one that an agent played."""
    (home.path / "done.yaml").write_text(SCORE.format(name="done", words="", body=QUICK))
    (home.path / "broken.yaml").write_text(
        SCORE.format(name="broken", words="", body="test {{ sheet_num }} != 2")
        + "retry: {max_retries: 1, base_delay_seconds: 0.01}\n"
    )
    (home.path / "held.yaml").write_text(SCORE.format(name="held", words="", body=GATED))
    tools = home.path / "tools"
    tools.mkdir()
    (tools / "claude").write_text(AGENT)
    (tools / "claude").chmod(0o755)
    home.environment["PATH"] = f"{tools}:{home.environment['PATH']}"
    (home.path / "agent.yaml").write_text(
        "name: agent\nworkspace: ./out\ninstrument: claude-code\nsheet: {size: 1, total_items: 1}\n"
        'prompt: {template: "do | it"}\n'
    )
    home.mzt("run", "done.yaml", "--wait")
    home.mzt("run", "broken.yaml", "--wait", code=1)
    home.mzt("run", "agent.yaml", "--wait")
    home.mzt("run", "held.yaml")
    home.mzt("pause", "held", "--reason", "look | first")
    home.let_go(1)
    home.mzt("wait", "held", "--for", "paused")
    return home


def parts(text):
    """The parts of a report by their headings, each with its rows."""
    found = {}
    for block in text.split("\n\n")[1:]:
        heading, _, *rows = block.splitlines()
        found[heading] = [re.split(r" {2,}", row.strip()) for row in rows]
    return found


@pytest.mark.own_daemon("its PATH has an agent")
def test_it_says_what_ran_what_stopped_what_it_cost_and_what_to_type(night):
    text = night.mzt("report").stdout
    assert text.splitlines()[0].startswith("4 runs, 8 attempts, $0.25 since ")
    found = parts(text)
    assert [row[:3] for row in found["Needs you"]] == [
        ["broken", "failed", "mzt why broken"],
        ["held", "paused", "mzt resume held"],
    ]
    assert [row[:3] for row in found["Runs"]] == [
        ["done", "completed", "3/3"],
        ["broken", "failed", "1/3"],
        ["agent", "completed", "1/1"],
        ["held", "paused", "1/3"],
    ]
    assert found["Runs"][1][3:6] == ["3", "2", "$0.00"]
    assert found["What stopped"][0][1:] == ["broken@1", "sheet 2: exit code 1"]
    assert found["What stopped"][1][1] == "held@1"
    assert found["What stopped"][1][-1].endswith('"look | first"')
    assert found["Instruments"][0][:2] == ["claude-code", "1"]
    assert found["Instruments"][0][-3:] == ["$0.25", "1,000", "20"]
    assert found["Instruments"][1][:3] == ["cli", "7", "2"]


@pytest.mark.own_daemon("its PATH has an agent")
def test_as_markdown_and_as_json_it_says_the_same(night):
    page = night.mzt("report", "--format", "md").stdout
    assert page.startswith("# 4 runs, 8 attempts, $0.25 since ")
    assert '"look \\| first"` |' in page
    assert "| claude-code |  | 1 |  | $0.25 | 1,000 | 20 |" in page
    told = json.loads(night.mzt("report", "--format", "json").stdout)
    assert told == json.loads(night.mzt("report", "--json").stdout) | {
        "until_at": told["until_at"],
        "since_at": told["since_at"],
    }
    assert told["schema"] == 1
    assert told["cost"] == {"usd": 0.25, "known": True}
    assert [one["job_id"] for one in told["needs_person"]] == ["broken", "held"]
    assert [one["attempts"] for one in told["runs"]] == [3, 3, 1, 1]


@each("text", [
        "[a](javascript:alert(1))", "**bold** and _more_", "# no heading", "<b>no tag</b> &amp;", "a `tick` and ``two``",
        "https://example.org/x", "www.example.org", "ann@example.org", "mailto:ann@example.org", "a | b \\| c", "![i](x)",
        "`", "~~gone~~", "a line\nand another", "exit code 3",
    ])  # fmt: skip
def test_a_text_of_anybodys_is_text_in_markdown(text):
    """A link of a score's text could be clicked in the report of a night."""
    one = {"job_id": "a", "status": "failed", "hints": [text], "why": [text, text]}
    found = {"message": "m", "needs_person": [one], "next": [], "runs": [], "stopped": [], "instruments": []}
    page = MarkdownIt("gfm-like").parse("\n".join(report.markdown(found)))
    tokens = [token for block in page if block.type == "inline" for token in block.children]
    assert {token.type for token in tokens} <= {"text", "code_inline"}
    shown = text.replace("\n", " ").replace("\\|", "\\ |")
    cells = [block for block in page if block.type == "inline"]
    assert ["".join(token.content for token in cell.children) for cell in cells][-2:] == [
        shown,
        f"{text}; {text}".replace("\n", " ").replace("\\|", "\\ |"),
    ]


def test_a_pause_is_told_once_and_only_while_it_stands(home):
    """Each request to pause was told, also of a job that had gone on and was done."""
    (home.path / "held.yaml").write_text(SCORE.format(name="held", words="", body=GATED))
    home.mzt("run", "held.yaml")
    for _ in range(3):
        home.mzt("pause", "held")
    home.let_go(1)
    home.mzt("wait", "held", "--for", "paused")
    told = json.loads(home.mzt("report", "--json").stdout)
    assert len(told["stopped"]) == len({one["type"] for one in told["stopped"]})
    (needy,) = told["needs_person"]
    assert len(needy["why"]) == len({why.split(" (")[0] for why in needy["why"]})
    home.mzt("resume", "held")
    told = json.loads(home.mzt("report", "--json").stdout)
    assert told["stopped"] == []
    home.let_go(2, 3)
    home.mzt("wait", "held")
    assert json.loads(home.mzt("report", "--json").stdout)["stopped"] == []


def event(kind, sheet=None, text="", **more):
    caller = {"uid": 1} if kind.startswith(("job.", "hold.")) else None
    return {
        "type": kind,
        "sheet": sheet,
        "text": text,
        "cause": None,
        "reason": None,
        "caller": caller,
    } | more


@each(
    ("history", "stands"),
    [
        (["hold.added", "hold.added"], [("hold.added", 2)]),
        (["hold.added", "job.running"], []),
        (["sheet.failed", "hold.added", "job.running"], [("sheet.failed", 1)]),
        (["sheet.failed", "attempt.started"], []),
        (["sheet.failed", "attempt.started", "sheet.failed"], [("sheet.failed", 1)]),
        (["hold.added", "job.completed"], []),
        (["hook.failed", "job.failed"], [("hook.failed", 1)]),
    ],
)
def test_what_stopped_a_job_that_went_on_stops_it_no_more(history, stands):
    entries = [event(kind, 2 if kind.startswith(("sheet.", "attempt.")) else None) for kind in history]
    assert [(one["type"], one["times"]) for one in standing_causes(entries)] == stands


@pytest.mark.own_daemon("its PATH has an agent")
def test_of_what_ended_before_nothing_is_told_but_what_still_needs_a_person(night):
    told = json.loads(night.mzt("report", "--since", "0s", "--json").stdout)
    assert [one["job_id"] for one in told["runs"]] == ["broken", "held"]
    assert (told["stopped"], told["instruments"]) == ([], [])


def test_what_comes_next_by_itself_is_told(home):
    (home.path / "held.yaml").write_text(SCORE.format(name="held", words="", body=GATED))
    home.mzt("run", "held.yaml")
    home.mzt("pause", "held", "--for", "8h")
    told = json.loads(home.mzt("report", "--json").stdout)
    assert [one["job_id"] for one in told["next"]] == ["held"]
    home.let_go(1)
    home.mzt("wait", "held", "--for", "paused")
    told = json.loads(home.mzt("report", "--json").stdout)
    assert [one["job_id"] for one in told["next"]] == ["held"]
    assert told["needs_person"] == []


def test_with_nothing_it_says_so_and_a_time_that_is_none_is_refused(home):
    home.mzt("start")
    assert home.mzt("report").stdout.startswith("0 runs, 0 attempts, $0.00 since ")
    assert "is not a time" in home.mzt("report", "--since", "soon", code=2).stderr
    for command in ("report", "events"):
        assert "has not been yet" in home.mzt(command, "--since", "2999-01-01T00:00:00Z", code=2).stderr
    assert " since Jan 1 2025 00:00" in home.mzt("report", "--since", "2025-01-01T00:00:00Z").stdout
