"""`file("p")` of an `until`: whatever lies there, it answers or says why not, and waits for nothing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from marianned import files, workers
from marianned.score.language.expressions import BadExpression, evaluate


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("DONE")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def ask(work: Path, expression: str, **variables: object) -> bool:
    values = {"workspace": str(work), **variables}
    return evaluate(
        expression, values | {"file": lambda name: workers._ExpressionFile(name, values, str(work))}
    )


def answers(work: Path, name: str) -> tuple[bool, bool, bool]:
    found = [
        ask(work, f"file({name!r}).{what}") for what in ("exists", "contains('DONE')", "matches('^DONE$')")
    ]
    return found[0], found[1], found[2]


def test_a_text_answers_each_question_by_every_way_to_name_it(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "a").write_text("first\nDONE\nlast")
    (work / "here").symlink_to("a")
    monkeypatch.setenv("HOME", str(work))
    for name in ("a", "./a", "{workspace}/a", str(work / "a"), "here", "../work/a", "{name}", "~/a"):
        assert [
            ask(work, f"file({name!r}).{what}", name="a") for what in ("exists", "matches('^DONE$')")
        ] == [True] * 2
    assert answers(work, "../secret") == (True, True, True), "the author of the score says where"
    assert not ask(work, "file('a').matches('^first last')")


def test_what_is_no_regular_file_is_not_there_and_nothing_waits_for_it(work: Path) -> None:
    os.mkfifo(work / "pipe")
    (work / "directory").mkdir()
    for name, target in (
        ("zero", "/dev/zero"),
        ("dangling", "gone"),
        ("round", "round"),
        ("out", "/nowhere/x"),
    ):
        (work / name).symlink_to(target)
    names = ["gone", "pipe", "directory", "zero", "dangling", "round", "out", "a/b/c", "", "x" * 300, "a\0b"]
    (work / "a").write_text("DONE")
    assert [answers(work, name) for name in names] == [(False, False, False)] * len(names)


def test_a_file_of_other_bytes_is_read_as_text_as_far_as_it_is_one(work: Path) -> None:
    (work / "bytes").write_bytes(b"\x00\xff\xfe\nDONE\n\x80")
    (work / "empty").touch()
    assert answers(work, "bytes") == (True, True, True)
    assert answers(work, "empty") == (True, False, False)


def test_a_file_over_the_limit_has_no_answer_and_is_not_read_half(work: Path) -> None:
    with (work / "huge").open("wb") as huge:
        huge.truncate(files.RECORD_MOST + 1)
        huge.seek(0, os.SEEK_END)
        huge.write(b"DONE")
    assert ask(work, "file('huge').exists")
    with pytest.raises(BadExpression, match=r"^file\('huge'\): larger than 64 MiB$"):
        ask(work, "file('huge').contains('DONE')")


@pytest.mark.parametrize("what", ["exists", "contains('DONE')", "matches('D')"])
@pytest.mark.parametrize("name", ["key", "link/secret"])
def test_a_link_out_of_the_workspace_is_not_followed_and_named(work: Path, what: str, name: str) -> None:
    (work / "key").symlink_to("../secret")
    (work / "link").symlink_to(work.parent)
    with pytest.raises(BadExpression, match=rf"^file\('{name}'\): a link leads out of '.*/work'$"):
        ask(work, f"file({name!r}).{what}")


def test_what_vanishes_between_two_looks_contains_nothing(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "a").write_text("DONE")
    look = files.is_regular

    def takes_it_away(path: files.Name, **more: files.Name | None) -> bool:
        found = look(path, **more)
        Path(path).unlink(missing_ok=True)
        return found

    monkeypatch.setattr(files, "is_regular", takes_it_away)
    assert answers(work, "a") == (True, False, False)


def failing(number: int) -> Callable[[files.Name], int]:
    def fails(_: files.Name) -> int:
        raise OSError(number, os.strerror(number))

    return fails


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE])
def test_what_can_t_be_looked_at_says_why(work: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(files, "_handle", failing(number))
    with pytest.raises(BadExpression, match=rf"^file\('a'\): {os.strerror(number)}$"):
        ask(work, "file('a').exists")


def test_a_machine_that_runs_short_is_no_answer_so_that_it_is_asked_again(work: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_handle", failing(errno.EMFILE))
    with pytest.raises(OSError, match="Too many open files"):
        ask(work, "file('a').contains('DONE')")
