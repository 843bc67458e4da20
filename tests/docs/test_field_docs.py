"""Each field of a message, of a profile and of a row says what it means, in a string behind it."""

import inspect
import re

import msgspec
import pages
import pytest
from kit.tables import each

from marianned import errors, protocol, rows
from marianned.instruments import profile
from marianned.protocol import items, parts, replies, requests
from marianned.protocol.schema import _field_docs_of_module, field_docs, schema_of

MODULES = (errors, items, parts, replies, requests, profile, rows)
STRUCTS = [
    kind
    for module in MODULES
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
]


def missing(kind):
    return [name for name in kind.__struct_fields__ if name not in field_docs(kind)]


def test_every_field_is_described():
    assert len(STRUCTS) > 100
    assert {kind.__name__: missing(kind) for kind in STRUCTS if missing(kind)} == {}


def test_a_description_is_a_sentence_with_its_subject_first():
    for kind in STRUCTS:
        for name, text in field_docs(kind).items():
            assert re.match(r"[A-Z`]", text), (kind.__name__, name, text)
            assert text.endswith("."), (kind.__name__, name, text)


class Partly(msgspec.Struct):
    """A Struct of which not all is said."""

    told: int
    """How many were told."""
    untold: int
    other: int = 0
    """Another one: a text
    of two lines."""


class Derived(Partly):
    """One that has fields of its base."""

    own: str = ""


def test_a_field_without_a_description_is_found_in_bases_too():
    assert missing(Partly) == ["untold"]
    assert missing(Derived) == ["untold", "own"]
    assert field_docs(Derived) == {
        "told": "How many were told.",
        "other": "Another one: a text of two lines.",
    }


@pytest.mark.parametrize("kind", [Partly, Derived])
def test_what_is_said_of_fields_is_no_part_of_a_message(kind):
    assert msgspec.json.encode(kind(told=1, untold=2)).startswith(b'{"told":1,"untold":2,"other":0')


def test_without_the_source_a_schema_has_no_descriptions(monkeypatch):
    def without(_module):
        raise OSError("source code not available")

    monkeypatch.setattr(inspect, "getsource", without)
    _field_docs_of_module.cache_clear()
    try:
        struct = schema_of(parts.Cost)["$defs"]["Cost"]
        assert "description" not in struct["properties"]["usd"]
    finally:
        _field_docs_of_module.cache_clear()


TOLD = (
    "Job", "JobDetails", "Paused", "Resumed", "Modified", "Cancelled", "Retried", "History", "Sheet", "Attempt", "Hook",
    "HookLine", "PlanLine", "Hold", "Caller", "InFlight", "Waiting", "Next", "Drift", "FileDifference", "Event", "Progress", "LoopProgress",
)  # fmt: skip
"""What the JSON of commands about jobs is made of."""


@each("name", TOLD)
def test_the_contract_of_the_command_line_knows_every_key_of_its_json(name):
    text = pages.text_of("docs/design/cli.md")
    fields = msgspec.structs.fields(getattr(protocol, name))
    assert [field.encode_name for field in fields if field.encode_name not in text] == []
