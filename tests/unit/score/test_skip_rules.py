"""`skip_when` and `skip_when_command`: what they may say, what that means, what is found wrong with them."""

from types import SimpleNamespace

import pytest
from kit.tables import each
from scores import MARK, compiled, expanded, marked, score

from marianned.score.language.expressions import (
    BadExpression,
    JobValue,
    SheetValue,
    describe_python_error,
    evaluate,
    expression_fault,
    sheets_of,
)
from marianned.workers import _ExpressionFile

VALUES = {
    "sheets": {
        1: SheetValue(status="completed", validation_passed=True, exit_code=0, attempts=2),
        2: SheetValue(status="skipped"),
        3: SheetValue(status="failed", validation_passed=False, exit_code=3, attempts=1, error="it broke"),
    },
    "job": JobValue(name="n", run=4, workspace="/w"),
    "stage": 3,
    "previous_outputs": {1: "NOTHING TO DO"},
    "mode": "fast",
    "limits": {"high": [1, 2]},
}


@each(
    "text",
    [
        "sheets[1].status == 'completed'",
        "sheets[1].validation_passed",
        "sheets[1].validation_passed is True",
        "sheets[2].validation_passed is None and sheets[2].exit_code == None",
        "not sheets[3].validation_passed",
        "sheets[3].exit_code in [3, 4]",
        "sheets[1].attempts > 1 >= sheets[3].attempts",
        "'broke' in sheets[3].error",
        "sheets.get(9) is None",
        "sheets.get(2).status == 'skipped'",
        "2 in sheets and 9 not in sheets",
        "sheets[stage].exit_code is not None",
        "job.name == 'n' and job.run == 4 and job.workspace == '/w'",
        "'NOTHING' in previous_outputs[1]",
        "mode == 'slow' or limits['high'][1] == 2",
        "-1 < 0",
        "9 in sheets and sheets[9].attempts > 1 or True",
        "(1, 2) == (1, 2)",
    ],
)
def test_an_expression_is_true(text):
    assert expression_fault(text) is None
    assert evaluate(text, VALUES) is True


@each("text", ["''", "sheets[2].validation_passed", "sheets[1].status == 'failed'", "1 is True"])
def test_an_expression_is_false(text):
    assert evaluate(text, VALUES) is False


@each(
    ("text", "kind"),
    [
        ("loop < 3", "the loop"),
        ("sheets[1] < 3", "a sheet"),
        ("job < 3", "the job"),
        ("file('a') < 3", "a file"),
    ],
)
def test_what_has_no_order_is_named_as_in_the_score(text, kind):
    values = {
        "loop": SimpleNamespace(round=1),
        "sheets": VALUES["sheets"],
        "job": JobValue(name="a", run=1, workspace="/w"),
        "file": lambda name: _ExpressionFile(name, {}, "/w"),
    }
    with pytest.raises(BadExpression) as found:
        evaluate(text, values)
    assert found.value.message == f"'<' is not possible between {kind} and a number"
    assert (
        describe_python_error(TypeError("a bytes-like object is wanted")) == "a bytes-like object is wanted"
    )


@each(
    ("text", "fault"),
    [
        ("sheets[9].status", "there is no 9"),
        ("sheets.get(9).status", "'sheets.get(9)' is not a sheet"),
        ("sheets[3].error > 1", "'>' is not possible between text and a number"),
        ("nothing == 1", "unknown name 'nothing'"),
    ],
)
def test_an_expression_without_a_value_says_why(text, fault):
    with pytest.raises(BadExpression) as found:
        evaluate(text, VALUES)
    assert found.value.message.startswith(fault)


@each(
    ("text", "fault"),
    [
        ("sheets[1].status ==", "cannot be parsed"),
        ("open('/etc/passwd')", "cannot be called"),
        ("sheets.get(1, 2)", "cannot be called"),
        ("sheets.items()", "cannot be called"),
        ("sheets.get", "there is no attribute 'get'"),
        ("sheets[1].__class__", "there is no attribute '__class__'"),
        ("job.status", "there is no attribute 'status'"),
        ("mode.status", "there is no attribute 'status'"),
        ("[s for s in sheets]", "is not possible here"),
        ("(a := 1)", "is not possible here"),
        ("lambda: 1", "is not possible here"),
        ("1 + 1", "is not possible here"),
        ("f'{mode}'", "is not possible here"),
        ("x" * 2001, "longer than 2000 characters"),
        ("(" * 300 + "1" + ")" * 300, "cannot be parsed"),
    ],
)
def test_what_is_outside_the_language_is_refused(text, fault):
    assert fault in (expression_fault(text) or "")


def test_only_the_sheets_that_are_named_are_looked_at():
    assert sheets_of("sheets[1].attempts > 1 and sheets.get(3)") == {1, 3}
    assert sheets_of("stage == 1") == set()
    assert sheets_of("sheets[stage].attempts") is None
    assert sheets_of("9 in sheets") is None


def test_rules_are_of_stages_and_a_command_is_filled_like_that_of_a_check():
    rules = (
        "{size: 1, total_items: 3, fan_out: {2: 2}, skip_when: {3: 'sheets[1].attempts > 1'},"
        " skip_when_command: {2: {command: 'test -e \"{workspace}/{instance} {word}\" ${HOME} {other}',"
        " description: there already, timeout_seconds: 2}}}"
    )
    text = score(sheet=rules, prompt='{template: "do {{ stage }}", variables: {word: "a b"}}')
    skips = [sheet.skip for sheet in expanded(text + "parallel: {enabled: true}\n").sheets]
    assert skips[0] is None
    assert [skip.command for skip in skips[1:3]] == [
        f'test -e "/home/me/workspaces/n/{instance} a b" ${{HOME}} {{other}}' for instance in (1, 2)
    ]
    assert (skips[1].description, skips[1].timeout_seconds, skips[1].when) == ("there already", 2.0, None)
    assert (skips[3].when, skips[3].command) == ("sheets[1].attempts > 1", None)


def test_an_unknown_name_is_found_at_its_rule_with_the_nearest():
    text, line, column = marked(
        score(sheet=f"{{size: 1, total_items: 2, skip_when: {{2: {MARK}'stag == 1'}}}}")
    )
    (problem,) = compiled(text).problems
    assert (problem.code, problem.severity, problem.line, problem.column) == ("S206", "error", line, column)
    assert (problem.message, problem.hint) == ("bad expression: unknown name 'stag'", "did you mean 'stage'?")


def test_doubled_braces_in_a_skip_command_are_told():
    text = score(
        sheet="{size: 1, total_items: 1, skip_when_command: {1: {command: 'test -e {{ workspace }}'}}}"
    )
    assert [problem.code for problem in compiled(text).problems] == ["S207"]
