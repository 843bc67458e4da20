"""The types of the format, as a document gives them."""

import inspect

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each
from scores import compiled, expanded, score

from marianned.score.language.expressions import expression_fault
from marianned.score.read import model
from marianned.score.read.document import parse_document
from marianned.score.read.rules import TextRule, field_rules
from marianned.yaml_tree import plain_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES))
def test_documents_are_read_as_the_safe_loaders_do(value):
    text = yaml.safe_dump({"sheet": 1, **value}, allow_unicode=True)
    assert plain_value(parse_document(text.encode()).root) == yaml.safe_load(text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_are_more_than_a_problem(data):
    result = compiled(data.decode("utf-8", "replace"))
    assert result.expanded is None
    assert result.problems


def test_merge_keys_are_resolved():
    text = (
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\n"
        "sheet: {<<: *a, x: 0}\nc: {<<: [*a, *b]}\nd: {!!str <<: 1, '<<': 2}\ne: 0o17\n"
    )
    root = plain_value(parse_document(text.replace("!!str <<: 1, ", "").encode()).root)
    assert (root["sheet"], root["c"], root["d"], root["e"]) == (
        {"x": 0, "y": 2}, {"x": 1, "y": 2, "z": 4}, {"<<": 2}, 15,
    )  # fmt: skip


@each(
    ("written", "seconds"),
    [("90", 90), ("'90'", 90), ("1.5", 1.5), ("500ms", 0.5), ("15m", 900), ("1h30m", 5400), ("1d", 86400)],
)
def test_durations(written, seconds):
    text = score() + f"retry: {{base_delay_seconds: {written}}}\n"
    assert expanded(text).retry.base_delay_seconds == seconds


def test_durations_count_in_the_unit_of_their_name():
    parallel = expanded(score() + "parallel: {stagger_delay_ms: 250}\n").parallel
    assert parallel.stagger_seconds == 0.25
    assert expanded(score() + "parallel: {stagger_delay_ms: 1s}\n").parallel.stagger_seconds == 1


@each("written", ["3", "3.0", "'3'"])
def test_integers(written):
    assert expanded(score() + f"retry: {{max_retries: {written}}}\n").retry.max_retries == 3


@each(("written", "value"), [("off", False), ("'No'", False), ("'on'", True), ("yes", True)])
def test_booleans(written, value):
    assert expanded(score() + f"retry: {{jitter: {written}}}\n").retry.jitter is value


def test_strings_are_taken_as_written():
    assert expanded(score() + "description: 0x10\n").description == "0x10"
    assert expanded(score() + "description: 2024-01-02\n").description == "2024-01-02"


def test_keys_of_numbered_mappings_may_stand_in_quotes():
    assert len(expanded(score(sheet="{size: 1, total_items: 2, fan_out: {'2': 3}}")).sheets) == 4


@each(
    ("retry", "longest"), [("{}", 3600), ("{base_delay_seconds: 2h}", 7200), ("{max_delay_seconds: 20}", 20)]
)
def test_the_longest_delay_is_never_below_the_first(retry, longest):
    assert expanded(score() + f"retry: {retry}\n").retry.max_delay_seconds == longest


@each(
    "text",
    [
        "sheets[1].status == 'completed' and not sheets.get(2).error",
        "3 in sheets",
        "stage > 1",
        "job.run in [1, -2]",
    ],
)
def test_skip_expressions(text):
    assert expression_fault(text) is None


@each(
    "text",
    [
        "",
        "a b",
        "sheets[1].__class__",
        "len(sheets)",
        "[s for s in sheets]",
        "(x := 1)",
        "a" * 3000,
    ],
)
def test_what_is_no_skip_expression_is_refused(text):
    assert expression_fault(text)


def test_no_message_shows_a_pattern_where_a_sentence_is_possible():
    wrong = [
        "executor: {memory: 64MB}",
        "executor: {memory: lots}",
        "executor: {arguments: [x]}",
        "labels: ['a b']",
        "isolation: {branch_prefix: 9a}",
    ]
    texts = [score() + part for part in wrong]
    texts.append(score(validations="[{type: file_sha256, path: a, sha256: abc}]"))
    for text in texts:
        (said,) = [one.message for one in compiled(text).problems if one.code == "S013"]
        assert " is not a" in said or " is not letters" in said
        assert not set("[]{}*?\\") & set(said), said


def test_each_pattern_of_a_field_is_said_in_words_too():
    structs = [
        one for one in vars(model).values() if inspect.isclass(one) and issubclass(one, msgspec.Struct)
    ]
    rules = [rule for one in structs for rule in field_rules(one)[0].values()]
    texts = [
        one for rule in rules if isinstance(one := getattr(rule, "item", rule), TextRule) and one.pattern
    ]
    assert len(texts) == 6
    assert all(one.wanted for one in texts)
