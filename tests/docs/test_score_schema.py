"""The JSON Schema of a score: it is what the model says, takes what is valid, refuses what structure can refuse."""

import datetime as dt
import inspect
import json
import re
import sys
from functools import cache
from importlib import resources
from pathlib import Path

import fastjsonschema
import msgspec
import pages
import pytest
import score_codes
import score_fields
import score_schema
from kit.tables import each

from marianned.problem import SEVERITIES
from marianned.score.read import model
from marianned.score.read.document import parse_document
from marianned.score.read.variables import BUILT_IN
from marianned.yaml_tree import ListNode, Node, ScalarNode

sys.path.insert(0, str(pages.ROOT / "tests" / "unit" / "score"))
from scores import compiled, marked
from test_problems import CASES

STRUCTURAL = {"S010", "S011", "S012", "S013", "S014", "S020"}
SHARED = Path(__file__).parents[2].parent / "shared" / "scores"
MEANT = [
    "validations: [«{type: file_exists}]",
    "validations: [«{type: command_succeeds}]",
    "validations: [«{type: content_regex",
    "cost_limits: «{enabled: true}",
    "on_success: [«{type: run_job}]",
    "notifications: [«{type: webhook}]",
    "start_item: «5",
    "max_delay_seconds: «30",
    "check_interval_seconds: «10",
    "pattern: «''",
    "default: «3, choices",
]
"""What only the meaning of keys refuses: which are needed depends on the value of another."""


@cache
def schema():
    text = resources.files("marianned.score").joinpath("score.schema.json").read_text()
    return fastjsonschema.compile(json.loads(text))


def as_editors_see_it(node: Node):
    """Return a document as JSON: every key a string, dates as written."""
    if isinstance(node, ScalarNode):
        return node.text if isinstance(node.value, dt.date) else node.value
    if isinstance(node, ListNode):
        return [as_editors_see_it(item) for item in node.items]
    return {key.text: as_editors_see_it(value) for key, value in node.entries}


def accepts(text: str) -> bool:
    try:
        schema()(as_editors_see_it(parse_document(text.encode()).root))
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def without_mark(cases):
    return [marked(text)[0] for text in cases]


INVALID = [text for code, text in CASES if code in STRUCTURAL and not any(words in text for words in MEANT)]
VALID = [text for code, text in CASES if code not in STRUCTURAL and not code.startswith("S00")]
EXAMPLES = sorted((pages.ROOT / "docs" / "examples").glob("*.yaml"))


def test_the_file_is_what_the_model_says():
    assert (pages.ROOT / score_schema.FILE).read_text() == score_schema.written(), (
        "python tests/docs/generated.py writes it anew"
    )


def test_every_part_field_and_setting_of_the_model_is_described():
    parts = {one for _, one in inspect.getmembers(model, inspect.isclass) if issubclass(one, msgspec.Struct)}
    assert parts - {msgspec.Struct} == set(score_fields.SECTIONS) == set(score_fields.FIELDS)
    for struct, fields in score_fields.FIELDS.items():
        assert set(fields) == set(struct.__struct_fields__)
    assert set(score_fields.SETTINGS) == set(model.SETTINGS) | set(model.BACKEND)


def test_every_problem_has_its_cure():
    assert set(score_codes.CODES) == set(SEVERITIES)


@each("text", without_mark(INVALID))
def test_the_schema_refuses_what_structure_can_refuse(text):
    assert not accepts(text)


@each("text", without_mark(VALID))
def test_the_schema_accepts_what_is_well_formed(text):
    assert accepts(text)


@each("example", EXAMPLES)
def test_the_schema_accepts_the_examples(example):
    assert accepts(example.read_text())


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real scores are not beside the project")
def test_the_schema_accepts_real_scores():
    scores = [json.loads(file.read_text())["score"] for file in (SHARED / "expected").glob("*.json")]
    assert len(scores) == 15
    for name in scores:
        assert accepts((SHARED / name).read_text()), name


@each(
    ("key", "value"),
    [
        *(("retry", f"{{base_delay_seconds: {value}}}") for value in ("90", "'90'", "1.5", "500ms", "1h30m")),
        *(("retry", f"{{jitter: {value}}}") for value in ("off", "'No'", "'on'", "~")),
        *(("retry", f"{{max_retries: {value}}}") for value in ("3", "3.0", "'3'")),
        ("parallel", "{stagger_delay_ms: 5000}"),
        ("rate_limit", "{wait_minutes: 1, detection_patterns: ['a|b']}"),
        ("instrument_config", "{timeout_overrides: {'1': 5m}, of_somebody: [1]}"),
        ("description", "5"),
        ("description", "2024-01-02"),
        ("learning", "[]"),
    ],
)
def test_the_schema_accepts_every_spelling(key, value):
    text = f"name: 1\nsheet: {{size: '1', total_items: 1}}\nprompt: {{}}\n{key}: {value}\n"
    assert accepts(text)
    assert compiled(text + "validations: [{type: file_exists, path: a}]\n").name == "1"


def test_the_two_pages_of_the_score_name_every_key_setting_and_variable():
    """The contract and the reference for users: what one has, the other has."""
    said = pages.text_of("docs/reference/score-format.md")
    of_users = pages.text_of("docs/reference/score.md")
    keys = {*model.SETTINGS, *BUILT_IN}
    keys |= {
        field.encode_name.rstrip("_")
        for part in score_fields.SECTIONS
        for field in msgspec.structs.fields(part)
    }
    assert {key for key in keys if not re.search(rf"\b{key}\b", said)} == set()
    assert {key for key in keys if not re.search(rf"\b{key}\b", of_users)} == set()
