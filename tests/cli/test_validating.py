"""`mzt validate` with each of its options, without a daemon."""

import json
import time

import pytest

from marianned.instruments.loader import builtin_profiles
from marianned.score.check.compiler import compile_score
from marianned.score.read.reader import DiskReader, ScoreSource

pytestmark = pytest.mark.one_daemon

BASE = {"schema", "success", "job_id", "status", "message", "error_code", "hints", "problems"}
FOUND = {
    *("valid", "job_name", "config_file", "error_count", "warning_count", "total_sheets", "total_stages"),
    *("parameters", "stage_names", "sheets", "hooks"),
}
PROBLEM = {"code", "severity", "message", "file", "line", "column", "path", "sheets", "names", "hint"}
SHEET = {
    *("sheet", "stage", "instance", "fan_count", "start_item", "end_item", "dependencies", "instrument"),
    *("instrument_config", "fallbacks", "raw_prompt", "body", "validations", "chain", "loop"),
}
WARNED = """\
name: warned
instrument: cli
on_failure: pause
sheet: {size: 1, total_items: 2}
prompt: {template: "echo {{ stage }}"}
"""
THOUSAND = (
    "name: big\ninstrument: cli\nsheet: {size: 1, total_items: 500, fan_out: {2: 501}}\n"
    "parallel: {enabled: true}\n"
    "prompt: {template: '{% if stage == 1 %}one{% else %}echo {{ stage }} > {{ workspace }}/a{% endif %}'}\n"
    "validations:\n"
    + "".join(
        f"  - {{type: file_exists, path: '{{workspace}}/{n}', condition: 'stage == {n}'}}\n"
        for n in range(1, 101)
    )
)


@pytest.fixture
def warned(home):
    (home.path / "warned.yaml").write_text(WARNED)
    return home


def test_the_object_has_the_keys_of_the_contract(warned):
    found = warned.json("validate", "warned.yaml")
    assert found.keys() == BASE | FOUND
    assert all(problem.keys() == PROBLEM for problem in found["problems"])
    assert (found["valid"], found["error_count"], found["warning_count"]) == (True, 0, 1)
    assert (found["job_name"], found["total_sheets"], found["total_stages"]) == ("warned", 2, 2)
    assert (found["config_file"], found["sheets"]) == (str(warned.path / "warned.yaml"), [])


def test_strict_makes_warnings_errors(warned):
    found = warned.json("validate", "warned.yaml", "--strict", code=1)
    assert (found["success"], found["error_code"], found["valid"]) == (False, "E505", False)
    assert [(p["code"], p["severity"]) for p in found["problems"]] == [("S504", "error")]
    assert found["message"] == "warned.yaml: 1 error, 0 warnings"


def test_portable_lists_the_extensions(warned):
    said = warned.mzt("validate", "warned.yaml", "--portable").stdout.splitlines()
    ours = "warning S510: 'on_failure' is an extension: other readers of the format refuse it"
    assert f"warned.yaml:3:1: {ours}" in said
    assert warned.json("validate", "warned.yaml", "--portable")["warning_count"] == 2


def test_explain_shows_sheets_and_prompts_their_prompts(warned):
    for sheet in warned.json("validate", "warned.yaml", "--explain")["sheets"]:
        assert sheet.keys() == SHEET
    for sheet in warned.json("validate", "warned.yaml", "--prompts")["sheets"]:
        assert sheet.keys() == SHEET | {"prompt"}
        assert sheet["prompt"] == f"echo {sheet['stage']}"
    said = warned.mzt("validate", "warned.yaml", "--prompts").stdout
    assert "sheet 2 (2.1): cli, needs 1, 0 validations\n  | echo 2\n" in said


def test_explain_names_the_loops_that_a_sheet_waits_for(home):
    (home.path / "loops.yaml").write_text(
        "name: loops\ninstrument: cli\nsheet:\n  size: 1\n  total_items: 6\n"
        "  dependencies: {2: [1], 4: [3], 5: [1], 6: [2, 4, 5]}\n"
        "  loops: {1-2: {max_iterations: 3}, 3-4: {count: 2}}\nprompt: {template: 'true'}\n"
    )
    sheets = home.json("validate", "loops.yaml", "--explain")["sheets"]
    assert [sheet.get("after_loops") for sheet in sheets] == [*[None] * 4, ["1-2"], ["1-2", "3-4"]]
    assert [sheet.keys() - SHEET for sheet in sheets] == [*[set()] * 4, {"after_loops"}, {"after_loops"}]
    said = home.mzt("validate", "loops.yaml", "--explain").stdout
    assert "sheet 5 (5.1): cli, needs 1, when loop 1-2 has ended, 0 validations\n" in said
    assert "sheet 6 (6.1): cli, needs 2, 4, 5, when loops 1-2 and 3-4 have ended, 0 validations\n" in said
    assert "sheet 2 (2.1): cli, needs 1, 0 validations, up to 3 rounds (loop 1-2)\n" in said


def test_explain_shows_the_hooks_of_both_lists(warned):
    hook = "[{type: run_command, command: tell, description: NAME}]"
    lists = f"on_success: {hook.replace('NAME', 'push')}\non_failure: {hook.replace('NAME', 'call')}\n"
    (warned.path / "hooked.yaml").write_text(WARNED.replace("on_failure: pause\n", lists))
    assert [
        (hook["hook"], hook["label"], hook["after_failure"])
        for hook in warned.json("validate", "hooked.yaml", "--explain")["hooks"]
    ] == [(1, "push", False), (2, "call", True)]
    said = warned.mzt("validate", "hooked.yaml", "--explain").stdout
    assert "hook 1 (run_command): push, when all sheets are done\n" in said
    assert "hook 2 (run_command): call, if the job fails\n" in said


def test_several_files_are_all_checked_a_missing_one_too(warned):
    done = warned.mzt("validate", "gone.yaml", "warned.yaml", code=1)
    assert "gone.yaml: error S001: it can't be read: no such file or directory\n" in done.stdout
    assert done.stdout.endswith("warned.yaml: 0 errors, 1 warning\n")
    both = warned.mzt("validate", "gone.yaml", "warned.yaml", "--json", code=1).stdout
    assert len(json.loads(both)["results"]) == 2


def test_a_dry_run_tells_the_same_by_the_daemon_and_starts_nothing(warned):
    alone = warned.json("validate", "warned.yaml", "--prompts")
    asked = warned.json("run", "warned.yaml", "--dry-run")
    assert asked["sheets"] == alone["sheets"]
    assert [p["code"] for p in asked["problems"]] == [p["code"] for p in alone["problems"]]
    assert warned.json("list")["jobs"] == []


def test_a_thousand_sheets_are_checked_in_less_than_a_second():
    source = ScoreSource(
        text=THOUSAND.encode(), file="/f", directory="/", submit_directory="/", workspace="/tmp"
    )
    builtin = builtin_profiles()
    before = time.process_time()
    compiled = compile_score(source, DiskReader(), builtin)
    assert time.process_time() - before < 1
    assert compiled.total_sheets == 1000
    assert compiled.expanded is not None


def test_a_file_without_an_end_is_refused_before_the_memory_is_full(home):
    refused = "larger than 8 MiB, which is more than a request takes"
    assert f"/dev/zero: error S001: it is {refused}\n" in home.mzt("validate", "/dev/zero", code=1).stdout
    assert f"'/dev/zero' is {refused}\n" in home.mzt("run", "/dev/zero", code=2).stderr
