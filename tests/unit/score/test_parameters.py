"""What a run can be given: values of their kind, names that the score knows, and what it is without them."""

import datetime as dt

import pytest
from kit.tables import each
from scores import compiled, expanded, score

from marianned.score.read.parameters import ValueKindError, convert_to_kind
from marianned.score.read.variables import unpack

PARAMETERS = """\
parameters:
  version: {required: true, description: what to release}
  level: {default: 2, choices: [1, 2, 3]}
  draft: {default: false}
  share: {default: 0.5}
  day: {default: 2026-01-31}
  files: {default: [a.md]}
  who: {}
"""
SCORE = score(prompt="{template: a, variables: {tone: calm, rate: 3}}") + PARAMETERS


def variables(**given):
    return unpack(expanded(SCORE, given={"version": "1", **given}).prompt.variables)


def problems(text=SCORE, **source):
    return [(p.code, p.message, p.hint) for p in compiled(text, **source).problems]


def test_without_values_the_defaults_hold():
    assert variables() == {
        "tone": "calm",
        "rate": 3,
        "version": "1",
        "level": 2,
        "draft": False,
        "share": 0.5,
        "day": dt.date(2026, 1, 31),
        "files": ["a.md"],
    }


@each(
    ("name", "typed", "value"),
    [
        ("level", "3", 3),
        ("draft", "yes", True),
        ("draft", "False", False),
        ("share", "1", 1.0),
        ("share", "2.5e-1", 0.25),
        ("share", 1, 1.0),
        ("day", "2026-02-01", dt.date(2026, 2, 1)),
        ("files", ["b", "c"], ["b", "c"]),
        ("who", "ann", "ann"),
        ("who", {"1": "ann"}, {1: "ann"}),
        ("version", 1.5, 1.5),
        ("tone", "", ""),
        ("tone", "3", "3"),
        ("rate", "-4", -4),
    ],
)
def test_a_value_takes_the_place_of_a_default_and_is_of_its_kind(name, typed, value):
    given = variables(**{name: typed})[name]
    assert (given, type(given)) == (value, type(value))


@each(
    ("value", "default", "wanted"),
    [
        ("x", 1, "a whole number is needed, this is 'x'"),
        ("1.5", 1, "a whole number is needed"),
        (1.5, 1, "a whole number is needed, this is 1.5"),
        (True, 1, "a whole number is needed, this is true"),
        ("maybe", False, "true or false is needed"),
        (1, False, "true or false is needed, this is 1"),
        ("nan", 0.5, "a number is needed"),
        ("tomorrow", dt.date(2026, 1, 1), "a date is needed"),
        (3, "x", "a text is needed, this is 3"),
        (None, "x", "a text is needed, this is nothing"),
        ("a,b", ["a"], "a list is needed"),
        (["a"], {"a": 1}, "a mapping is needed, this is a list"),
    ],
)
def test_a_value_of_another_kind_is_refused(value, default, wanted):
    with pytest.raises(ValueKindError, match=wanted):
        convert_to_kind(value, default)


def test_a_list_that_is_typed_is_told_where_lists_come_from():
    assert problems(given={"version": "1", "files": "a"}) == [
        ("S218", "the value given for 'files': a list is needed, this is 'a'", "only --vars-file can give it")
    ]


def test_a_number_of_a_file_where_a_text_is_needed_is_told_the_quotes():
    ((code, _, hint),) = problems(given={"version": "1", "tone": 1.1})
    assert (code, hint) == ("S218", 'write "1.1" in quotes in the file of --vars-file')


def test_an_unknown_name_is_an_error_with_the_nearest():
    assert problems(given={"version": "1", "levl": "3"}) == [
        ("S216", "a value is given for 'levl', which the score does not know", "did you mean 'level'?")
    ]
    ((_, _, hint),) = problems(score(), given={"a": "1"})
    assert hint == "the score has neither parameters nor variables"


def test_a_built_in_takes_no_value():
    ((code, message, _),) = problems(given={"version": "1", "stage": "3"})
    assert (code, message) == ("S216", "'stage' is the name of a built-in; no value can be given for it")


def test_a_required_parameter_without_a_value_is_one_problem_though_the_template_uses_it():
    text = score(prompt='{template: "{{ version }} {{ version.major }}"}') + PARAMETERS
    found = compiled(text, given={}).problems
    assert [(p.code, p.line, p.hint) for p in found if p.code == "S217"] == [
        ("S217", 7, "--var version=VALUE, or --vars-file FILE")
    ]
    text = score(prompt='{template: "{{ version }}"}') + PARAMETERS
    assert [code for code, *_ in problems(text)] == ["S217"]


def test_one_without_a_value_that_is_not_required_is_undefined():
    used = score(prompt='{template: "{{ who }}"}') + "parameters: {who: {}}\n"
    ((code, message, hint),) = problems(used)
    assert (code, message) == ("S202", "'who' is undefined")
    assert hint == "--var who=VALUE gives it one; '| default(…)' or a default does without"
    assert problems(used, given={"who": "ann"}) == []


def test_a_choice_is_one_of_them_and_the_nearest_is_told():
    text = score() + "parameters: {mode: {choices: [quick, thorough]}}\n"
    assert problems(text, given={"mode": "thorough"}) == []
    ((code, message, hint),) = problems(text, given={"mode": "thorogh"})
    assert (code, hint) == ("S218", "did you mean 'thorough'?")
    assert message == "the value given for 'mode', 'thorogh', is not one of quick, thorough"


def test_values_that_a_run_was_given_before_stay_and_only_warn():
    kept = {"version": "1", "level": "3", "gone": "x"}
    assert problems(kept=kept) == [
        ("S219", "the run's value for 'gone' is kept, though the score does not know it any more", None)
    ]
    assert unpack(expanded(SCORE, kept=kept, given={"version": "2"}).prompt.variables)["version"] == "2"


def test_a_value_of_before_that_fits_no_more_is_told_how_it_is_replaced():
    ((code, _, hint),) = problems(kept={"version": "1", "level": "7"})
    assert (code, hint) == ("S218", "the run was given it before; --var level=VALUE replaces it")


def test_a_value_is_there_wherever_a_variable_is():
    text = score(
        sheet="{size: 1, total_items: 2, skip_when_command: {2: {command: 'test {color} = red'}}}",
        prompt='{template: "paint {{ color }}"}',
        validations="[{type: file_exists, path: '{color}.txt', condition: \"color == 'red'\"}]",
    )
    text += "parameters: {color: {default: blue}}\n"
    assert expanded(text).sheets[0].checks == ()
    red = expanded(text, given={"color": "red"})
    assert red.sheets[0].checks[0].target == "/home/me/workspaces/n/red.txt"
    assert red.sheets[1].skip.command == "test red = red"


def test_only_what_a_value_changes_has_another_fingerprint():
    text = score(
        prompt='{template: "{% if stage == 2 %}{{ tone }}{% endif %}x", variables: {tone: calm, idle: 1}}'
    )
    old, loud, idle = (expanded(text, given=given) for given in ({}, {"tone": "loud"}, {"idle": "2"}))
    differ = [a.sheet for a, b in zip(old.sheets, loud.sheets, strict=True) if a.digests != b.digests]
    assert differ == [2]
    assert [sheet.digests for sheet in idle.sheets] == [sheet.digests for sheet in old.sheets]


def test_what_can_be_given_is_told_though_it_is_missing():
    told = {one.name: one for one in compiled(SCORE).parameters}
    assert list(told) == ["version", "level", "draft", "share", "day", "files", "who", "tone", "rate"]
    assert (told["version"].required, told["version"].value) == (True, None)
    assert (told["level"].default, told["level"].choices, told["level"].value) == (2, [1, 2, 3], 2)


FANNED = (
    score(
        sheet="{size: 1, total_items: 2, fan_out_from: {1: files}, dependencies: {2: [1]}}",
        prompt='{template: "check {{ files[instance - 1] }}"}',
    )
    + "parameters: {files: {required: true}}\nparallel: {enabled: true}\n"
)


def test_a_stage_has_an_instance_for_each_item_of_a_list():
    made = expanded(FANNED, given={"files": ["a", "b", "c"]})
    assert [(one.stage, one.instance, one.fan_count) for one in made.sheets] == [
        (1, 1, 3),
        (1, 2, 3),
        (1, 3, 3),
        (2, 1, 1),
    ]
    assert made.sheets[3].needs == (1, 2, 3)


def test_a_list_that_grows_at_its_end_leaves_the_others_as_they_were():
    two, three = (expanded(FANNED, given={"files": files}) for files in (["a", "b"], ["a", "b", "c"]))
    assert [one.digests for one in two.sheets[:2]] == [one.digests for one in three.sheets[:2]]


@each(
    ("change", "given", "code", "message"),
    [
        ("", {"files": []}, "S013", "the list 'files' is empty: a stage has one sheet at least"),
        ("", {"files": "a"}, "S012", "a variable that is a list is needed, 'files' is not a list"),
        ("filse", {"files": ["a"]}, "S012", "a variable that is a list is needed, 'filse' is not a variable"),
        ("", {}, "S217", "'files' needs a value"),
    ],
)
def test_what_is_no_list_is_refused(change, given, code, message):
    text = FANNED.replace("{1: files}", f"{{1: {change or 'files'}}}")
    found = problems(text, given=given)
    assert (code, message) in [one[:2] for one in found]
    assert len(found) == 1


def test_a_number_of_instances_beside_the_list_is_a_contradiction():
    text = FANNED.replace("fan_out_from", "fan_out: {1: 3}, fan_out_from")
    assert ("S015", "'fan_out' gives stage 1 a number of instances, too") in [
        one[:2] for one in problems(text, given={"files": ["a", "b", "c"]})
    ]


@each("endless", ["1e400", "-1e400", float("inf"), float("nan")])
def test_a_number_is_finite(endless):
    with pytest.raises(ValueKindError, match="a finite number is needed, this is"):
        convert_to_kind(endless, 0.5)
