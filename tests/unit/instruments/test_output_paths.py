"""The path language: dots, indexes from either end, and a star."""

import pytest
from kit.tables import each

from marianned.instruments import json_path

DATA = {
    "result": "done",
    "usage": {"in": 3, "flag": True},
    "models": {"a-1.5": {"tokens": 1}, "b": {"tokens": 2}},
    "messages": [{"text": "first"}, {"text": "last", "parts": [{"t": "x"}, {}, {"t": "y"}]}],
    "grid": [[1, 2], [3]],
}


@each(
    ("path", "wanted"),
    [
        ("result", ["done"]),
        ("usage.in", [3]),
        ("models.*.tokens", [1, 2]),
        ("messages[0].text", ["first"]),
        ("messages[-1].text", ["last"]),
        ("messages[-1].parts.*.t", ["x", "y"]),
        ("messages.*.text", ["first", "last"]),
        ("grid[0][1]", [2]),
        ("missing.deeper", []),
        ("messages[7]", []),
        ("messages[-3]", []),
        ("result.deeper", []),
        ("result[0]", []),
        ("usage[0]", []),
        ("result.*", []),
    ],
)
def test_a_path_leads_to_its_values(path, wanted):
    assert json_path.matches(DATA, path) == wanted


def test_a_path_may_begin_with_an_index():
    assert json_path.matches([1, {"a": 2}], "[-1].a") == [2]


def test_truth_is_no_number():
    assert json_path.matching_numbers(DATA, "usage.*") == [3]


@each("path", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[1]b", "a b", "a.[0]"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="is not a path"):
        json_path.parse(path)
