"""Validations expanded: placeholders, quoting, conditions."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each
from scores import compiled, expanded, score

from marianned.score.language.conditions import BadCondition, parse_condition
from marianned.score.language.placeholders import (
    MisplacedPlaceholder,
    UnknownPlaceholder,
    fill_command,
    fill_path,
)

VALUES = {"stage": 2, "workspace": "/w", "name": "ann", "flag": True, "half": 0.5}


def checks(validation: str, **parts):
    return expanded(score(validations=f"[{validation}]", **parts)).sheets[1].checks


@each(
    ("text", "filled"),
    [
        ("{workspace}/a-{stage}.md", "/w/a-2.md"),
        ("{stage:03}", "002"),
        ("{{ stage }}/{{name}}", "2/ann"),
        ("${name}", "${name}"),
        (r"\{name}", r"\{name}"),
        ("{{}} {a b} {1}", "{{}} {a b} {1}"),
    ],
)
def test_placeholders_of_a_path(text, filled):
    assert fill_path(text, VALUES) == filled


@each("text", ["{color}", "{name.first}", "{names[1]}", "{name:d}"])
def test_an_unknown_placeholder_of_a_path_is_refused(text):
    with pytest.raises(UnknownPlaceholder):
        fill_path(text, VALUES)


@each("text", ["awk '{print}' {stage:03}", '{"a": 1}', "echo ${stage}", "echo ${stage:-1}", "a{b,c}"])
def test_braces_of_a_command_that_are_no_placeholders_stay(text):
    assert fill_command(text, VALUES) == text


CONTEXTS = [
    ("printf %s {v}", None),
    ("printf %s a{v}b", "a{}b"),
    ("printf %s '{v}'", None),
    ('printf %s "{v}"', None),
    ("printf %s $'{v}'", None),
    ("""printf %s "it's {v}" """, "it's {}"),
    ("""printf %s "$(printf %s {v})" """, None),
    ("""printf %s "$(printf %s "{v}")" """, None),
    ("printf %s `printf %s x`{v}", "x{}"),
    ("true # don't\nprintf %s {v}", None),
    ("(printf %s {v})", None),
    ("printf %s \\'{v}", "'{}"),
    ("cat <<E\n{v}\nE", "{}\n"),
    ("cat <<'E'\n{v}\nE", "{}\n"),
    ("cat <<-E\n\tx {v}\n\tE\nprintf %s '{v}'", "x {}\n{}"),
    ("cat <<< x; printf %s {v}", "x\n{}"),
    ("if true; then printf %s {v}; fi", None),
    ("cat <<END-1\n{v}\nEND-1\nprintf %s {v}", "{}\n{}"),
    ("cat <<'E F'\n{v}\nE F\nprintf %s {v}", "{}\n{}"),
    ("cat <<E\n\tE\n{v}\nE\nprintf %s {v}", "\tE\n{}\n{}"),
    ("x=1; cat <<E\n${x}{v}\nE", "1{}\n"),
    ("printf %s $((1<<2)) {v}", "4{}"),
    ("x='a #b'; printf %s ${x/ #b/} {v}", "a{}"),
    ("case x in x) printf %s {v} ;; esac", None),
]
SHELL_TEXT = st.text(st.sampled_from("ab '\"\\$`!*?#;&|()<>{}~\n=,"), max_size=12)


@each(("command", "shown"), CONTEXTS)
@each("value", ["", "a b", "it's", '"', "$HOME `id` \\", "a'b\"c $x", "{v}", "#", "é"])
def test_the_shell_sees_exactly_the_value(command, shown, value):
    done = subprocess.run(
        ["bash", "-c", fill_command(command, {"v": value})], capture_output=True, check=True
    )
    assert done.stdout.decode() == (shown or "{}").replace("{}", value)


@each(
    ("command", "where"),
    [
        ("""echo "`printf %s {v}`" """, "inside backticks"),
        ("echo `printf %s '{v}'`", "inside backticks"),
        ("echo $(case x in x) printf %s {v} ;; esac)", "after 'case' in parentheses"),
        ("(case x in x) :;; esac; printf %s {v})", "after 'case' in parentheses"),
        ("echo $(( {v} ))", "in arithmetic"),
        ("echo $(( (1) + {v} ))", "in arithmetic"),
        ("echo $[{v}]", "in arithmetic"),
        ("echo ${a:-{v}}", "inside '${…}'"),
        ('echo "${a:-"{v}"}"', "inside '${…}'"),
        ("cat <<E\n$(echo {v})\nE", "after code in a here-document"),
        ("cat <<E\n`echo {v}`\nE", "after code in a here-document"),
    ],
)
def test_a_place_where_the_shell_would_not_see_the_value_is_refused(command, where):
    with pytest.raises(MisplacedPlaceholder) as refused:
        fill_command(command, {"v": "a'b\"c `id` ; echo"})
    assert where in refused.value.message


def test_a_value_that_would_end_its_here_document_is_refused():
    with pytest.raises(MisplacedPlaceholder, match="v"):
        fill_command("cat <<'END'\n{v}\nEND", {"v": "a\nEND\nid"})


def test_a_plain_value_stands_anywhere_and_braces_of_other_languages_stay():
    assert fill_command("echo `cat {v}`", {"v": "/a/b"}) == "echo `cat /a/b`"
    text = "node -e 'console.log(`${f({v})}`)'"
    assert fill_command(text, {"v": "a b"}) == text


def test_a_misplaced_placeholder_is_named_with_its_place_in_checks_hooks_and_skips():
    command = "'echo `printf %s {who}`'"
    found = compiled(
        score(
            prompt="{template: hi, variables: {who: 'a b'}}",
            validations=f"[{{type: command_succeeds, command: {command}}}]",
            on_success=f"[{{type: run_command, command: {command}}}]",
            sheet=f"{{size: 1, total_items: 1, skip_when_command: {{1: {{command: {command}}}}}}}",
        )
    )
    problems = found.problems
    places = sorted(problem.path for problem in problems if problem.code == "S515")
    assert places == ["on_success.0.command", "sheet.skip_when_command.1.command", "validations.0.command"]


@given(st.lists(SHELL_TEXT, min_size=1, max_size=8))
def test_any_value_reaches_the_shell_in_every_quotes(values):
    names = {f"v{index}": value for index, value in enumerate(values)}
    parts = [f"\"{{{n}}}\" '{{{n}}}' {{{n}}} $'{{{n}}}'" for n in names]
    command = fill_command("printf '%s\\0' " + " ".join(parts), names)
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(f"{value}\0" * 4 for value in values)


def test_simple_values_are_inserted_as_they_are():
    (check,) = checks("{type: command_succeeds, command: 'test -d {workspace}/{stage}'}")
    assert check.target == "test -d /home/me/workspaces/n/2"


def test_a_check_has_the_defaults_of_its_kind():
    (check,) = checks("{type: file_exists, path: a}")
    assert (check.target, check.stage, check.retry_count, check.retry_delay_seconds) == (
        "/home/me/workspaces/n/a",
        1,
        3,
        0.2,
    )
    (check,) = checks(
        "{type: command_succeeds, command: 'true', working_directory: sub, retry_delay_ms: 500}"
    )
    assert (check.retry_count, check.timeout_seconds, check.retry_delay_seconds) == (0, 3600, 0.5)
    assert check.working_directory == "/home/me/workspaces/n/sub"


def test_paths_of_checks_may_be_absolute_or_at_home():
    assert checks("{type: file_exists, path: /etc/a}")[0].target == "/etc/a"
    assert checks("{type: file_exists, path: ~ann/a}")[0].target == "/home/ann/a"


def test_placeholders_may_name_scalar_variables():
    (check,) = checks(
        "{type: file_exists, path: '{day}-{n}'}", prompt="{template: a, variables: {day: 2024-01-02, n: 3}}"
    )
    assert check.target == "/home/me/workspaces/n/2024-01-02-3"


def test_sheet_is_short_for_a_condition_and_yields_to_one():
    text = score(
        validations="[{type: file_exists, path: a, sheet: 2},"
        " {type: file_exists, path: b, sheet: 2, condition: 'stage == 3'}, {type: file_exists, path: c}]"
    )
    applied = [[check.index for check in sheet.checks] for sheet in expanded(text).sheets]
    assert applied == [[2], [0, 2], [1, 2], [2]]


@each(
    ("text", "holds"),
    [
        ("stage == 2", True),
        ("stage >= 2 and name == 'ann'", True),
        ('stage < 2 or name == "bob"', False),
        ("not stage == 1", True),
        ("not not stage == 1", False),
        ("stage == 1 or stage == 2 and name == 'bob'", False),
        ("(stage == 1 or stage == 2) and flag == true", True),
        ("stage in [1, 2]", True),
        ("stage not in [1, 2]", False),
        ("'nn' in name", True),
        ("flag == 1", False),
        ("stage == 'two'", False),
        ("half < stage", True),
        ("-1 < stage", True),
        ("[1, 2] == [1, 2]", True),
    ],
)
def test_conditions_hold(text, holds):
    assert parse_condition(text).holds(VALUES) is holds


@each(
    "text",
    [
        *("", "stage", "stage == ", "== 2", "stage = 2", "stage == 2 3", "(stage == 2", "stage == 2)"),
        *("stage is 2", "stage.x == 1", "f(1) == 1", "stage == 1.5", "1 < stage < 3", "stage == ["),
        *("stage == []", "aaaaa ! 1", "(" * 300 + "stage == 1" + ")" * 300, "stage == and", "stage not 2"),
    ],
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(BadCondition):
        parse_condition(text)


@each(
    "text",
    [
        "color == 1",
        "stage == 2 or color == 1",
        "stage < 'a'",
        "flag < true",
        "[1] < [2]",
        "stage in name",
        "1 in 2",
    ],
)
def test_a_condition_that_cannot_be_decided_is_refused(text):
    with pytest.raises(BadCondition):
        parse_condition(text).holds(VALUES)


def test_an_undecidable_condition_lists_its_sheets():
    (problem,) = compiled(
        score(validations="[{type: file_exists, path: a, condition: 'stages == 1'}]")
    ).problems
    assert (problem.code, problem.sheets, problem.hint) == ("S205", [1, 2, 3, 4], "did you mean 'stage'?")
