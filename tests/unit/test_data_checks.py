"""Checks that look into data: where a path leads, fields, digests, columns."""

import errno
import hashlib

import pytest

from marianned.data_checks import data_fault
from marianned.score.expanded import DataCheck


@pytest.mark.parametrize(
    ("path", "fails"),
    [(".", False), ("a/b", False), ("not/there", False), ("../x", True), ("out/x", True), ("in/x", False)],
)
def test_a_path_is_in_scope_where_it_really_leads(tmp_path, path, fails):
    scope = tmp_path / "scope"
    (scope / "a").mkdir(parents=True)
    (scope / "out").symlink_to(tmp_path)
    (scope / "in").symlink_to(scope / "a")
    why = data_fault("path_in_scope", str(scope / path), DataCheck(source=str(scope)))
    assert (why is not None) is fails
    beside = data_fault("path_in_scope", f"{scope}-too", DataCheck(source=str(scope)))
    assert beside == f"it lies in {tmp_path}, outside of {scope}"


def field(tmp_path, text, path, expected=None, name="a.json"):
    (tmp_path / name).write_text(text)
    return data_fault("field_match", str(tmp_path / name), DataCheck(field=path, expected=expected))


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ('{"a": {"b": [1, {"c": "x"}]}}', "a.b[1].c", "x"),
        ('{"a": 1.0}', "a", 1),
        ("a: {2: yes}", "a.2", True),
        ("- {v: null}", "[0].v", None),
        ("a: [1, 2]", "a", [1, 2]),
        ("a: [1, 2]", "a[-1]", 2),
        ("day: 2026-01-02", "day", "2026-01-02"),
    ],
)
def test_a_field_matches(tmp_path, text, path, expected):
    assert field(tmp_path, text, path, expected) is None


@pytest.mark.parametrize(
    ("text", "path", "expected", "why"),
    [
        ('{"a": "1"}', "a", 1, "'a' is \"1\", not 1"),
        ('{"a": true}', "a", 1, "'a' is true, not 1"),
        ('{"a": 0}', "a", None, "'a' is 0, not null"),
        ('{"a": 1}', "b", 1, "there is no field 'b' in the file"),
        ('{"a": [1]}', "a[1]", 1, "there is no field 'a[1]' in the file"),
        ('{"a": 1}', "a.b", 1, "there is no field 'a.b' in the file"),
    ],
)
def test_a_field_of_another_kind_or_value_or_none_fails(tmp_path, text, path, expected, why):
    assert field(tmp_path, text, path, expected) == why


def test_a_field_may_be_that_of_another_file(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.json"
    one.write_text("count: 3\n")
    other.write_text('{"total": 3.0}')
    data = DataCheck(field="count", source=str(other), source_field="total")
    assert data_fault("field_match", str(one), data) is None
    other.write_text('{"total": 4}')
    assert data_fault("field_match", str(one), data) == f"'count' is 3, not 4, that of {other}"
    other.unlink()
    assert data_fault("field_match", str(one), data) == f"{other} is not there"


@pytest.mark.parametrize("text", ["a: [", "[" * 5000, "a: !!python/object:os.x {}"])
def test_what_is_neither_json_nor_yaml_fails(tmp_path, text):
    assert "is neither JSON nor YAML" in field(tmp_path, text, "a", 1)


def test_a_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"x\r\n")
    digest = hashlib.sha256(b"x\r\n").hexdigest()
    assert data_fault("file_sha256", str(tmp_path / "a"), DataCheck(digest=digest)) is None
    (tmp_path / "a").write_bytes(b"x\n")
    assert data_fault("file_sha256", str(tmp_path / "a"), DataCheck(digest=digest)).startswith(
        "its SHA-256 is "
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,name\n1,a\n2,b\n", None),
        ('\ufeffid,name\n"1","a\nb"\n\n2,b\n', None),
        ("id,name\n1,a\n1,b\n", "\"1\" stands twice in the column 'id', in lines 2 and 3"),
        ("name\na\n", "there is no column 'id'"),
        ("", "there is no column 'id'"),
    ],
)
def test_a_column_holds_no_value_twice(tmp_path, text, why):
    (tmp_path / "a.csv").write_text(text, "utf-8")
    assert data_fault("csv_unique_key", str(tmp_path / "a.csv"), DataCheck(field="id")) == why


@pytest.mark.parametrize("kind", ["field_match", "file_sha256", "csv_unique_key"])
def test_what_is_no_file_to_look_into_fails(tmp_path, kind):
    data = DataCheck(field="a", digest="a")
    assert data_fault(kind, str(tmp_path / "gone"), data) == "no such file"
    assert data_fault(kind, str(tmp_path), data) == "not a regular file"
    (tmp_path / "large").touch()
    with (tmp_path / "large").open("r+b") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert data_fault(kind, str(tmp_path / "large"), data) == "larger than 64 MiB"


def test_what_runs_short_here_says_nothing_of_the_data(tmp_path, monkeypatch):
    def short(*_):
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr("marianned.data_checks._read", short)
    with pytest.raises(OSError, match="too many"):
        data_fault("file_sha256", "/a", DataCheck(digest="a"))
