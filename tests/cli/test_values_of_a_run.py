"""Files of values for the variables of a score, as `mzt` reads them."""

import pytest
from kit.tables import each

from marianne_cli.variables import VariableError, read_values


def test_a_file_of_values_is_one_mapping():
    assert read_values(b"version: 1.2\ntargets: [a, b]\n") == {"version": 1.2, "targets": ["a", "b"]}


@each("text", [b"", b"# none yet\n", b"---\n", b"{}\n"])
def test_an_empty_file_gives_no_values(text):
    assert read_values(text) == {}


@each(
    ("text", "line", "message"),
    [
        (b"a: 1\na: 2\n", 2, "'a' is given twice"),
        (b"a:\n  b: 1\n  b: 2\n", 3, "'b' is given twice"),
        (b"- 1\n", 1, "a file of values is one mapping: NAME: VALUE"),
        (b"a: [\n", 2, "did not find expected node content"),
    ],
)
def test_what_is_wrong_in_one_is_told_with_its_line(text, line, message):
    with pytest.raises(VariableError) as refused:
        read_values(text)
    assert (refused.value.line, refused.value.message) == (line, message)
