"""Validations expanded: placeholders, quoting, conditions."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scores import compiled, expanded, score

from marianned.score.language.conditions import BadCondition, parse_condition
from marianned.score.language.placeholders import UnknownPlaceholder, fill_command, fill_path

VALUES = {"stage": 2, "workspace": "/w", "name": "ann", "flag": True, "half": 0.5}


def checks(validation: str, **parts):
    return expanded(score(validations=f"[{validation}]", **parts)).sheets[1].checks


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("text", ["{color}", "{name.first}", "{names[1]}", "{name:d}"])
def test_an_unknown_placeholder_of_a_path_is_refused(text):
    with pytest.raises(UnknownPlaceholder):
        fill_path(text, VALUES)


@pytest.mark.parametrize(
    "text", ["awk '{print}' {stage:03}", '{"a": 1}', "echo ${stage}", "echo ${stage:-1}", "a{b,c}"]
)
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
]
SHELL_TEXT = st.text(st.sampled_from("ab '\"\\$`!*?#;&|()<>{}~\n=,"), max_size=12)


@pytest.mark.parametrize(("command", "shown"), CONTEXTS)
@pytest.mark.parametrize("value", ["", "a b", "it's", '"', "$HOME `id` \\", "a'b\"c $x", "{v}", "#", "é"])
def test_the_shell_sees_exactly_the_value(command, shown, value):
    done = subprocess.run(
        ["bash", "-c", fill_command(command, {"v": value})], capture_output=True, check=True
    )
    assert done.stdout.decode() == (shown or "{}").replace("{}", value)


@given(st.lists(SHELL_TEXT, min_size=1, max_size=8))
def test_any_value_reaches_the_shell_in_every_quotes(values):
    names = {f"v{index}": value for index, value in enumerate(values)}
    parts = [f"\"{{{n}}}\" '{{{n}}}' {{{n}}} $'{{{n}}}'" for n in names]
    command = fill_command("printf '%s\\0' " + " ".join(parts), names)
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(f"{value}\0" * 4 for value in values)


def test_simple_values_are_inserted_as_they_are():
    (check,) = checks("{type: command_succeeds, command: 'test -d {workspace}/{stage}'}")
    assert check.target == "test -d /s/workspace/2"


def test_a_check_has_the_defaults_of_its_kind():
    (check,) = checks("{type: file_exists, path: a}")
    assert (check.target, check.stage, check.retry_count, check.retry_delay_seconds) == (
        "/s/workspace/a",
        1,
        3,
        0.2,
    )
    (check,) = checks(
        "{type: command_succeeds, command: 'true', working_directory: sub, retry_delay_ms: 500}"
    )
    assert (check.retry_count, check.timeout_seconds, check.retry_delay_seconds) == (0, 3600, 0.5)
    assert check.working_directory == "/s/workspace/sub"


def test_paths_of_checks_may_be_absolute_or_at_home():
    assert checks("{type: file_exists, path: /etc/a}")[0].target == "/etc/a"
    assert checks("{type: file_exists, path: ~ann/a}")[0].target == "/home/ann/a"


def test_placeholders_may_name_scalar_variables():
    (check,) = checks(
        "{type: file_exists, path: '{day}-{n}'}", prompt="{template: a, variables: {day: 2024-01-02, n: 3}}"
    )
    assert check.target == "/s/workspace/2024-01-02-3"


def test_sheet_is_short_for_a_condition_and_yields_to_one():
    text = score(
        validations="[{type: file_exists, path: a, sheet: 2},"
        " {type: file_exists, path: b, sheet: 2, condition: 'stage == 3'}, {type: file_exists, path: c}]"
    )
    applied = [[check.index for check in sheet.checks] for sheet in expanded(text).sheets]
    assert applied == [[2], [0, 2], [1, 2], [2]]


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
