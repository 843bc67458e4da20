"""Checks decide whether a sheet is done, and say in one line why not."""

import os
import shlex
import signal

import anyio
import pytest

from marianned import validations, workers
from marianned.score.expanded import Check
from marianned.validations import CommandResult, run_checks, snapshot

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_pool")]
ENDLESS = ("(a+)+$", "a" * 40 + "b")
"""A pattern that backtracks for longer than anybody lives, and a text for it."""


@pytest.fixture
def impatient(monkeypatch):
    """Makes the limit of workers short enough for a test."""
    monkeypatch.setattr(workers, "LIMIT_SECONDS", 0.5)


def check(kind, target, **changes):
    given = {
        "index": 1,
        "stage": 1,
        "description": None,
        "working_directory": "/",
        "retry_count": 0,
        "retry_delay_seconds": 0.01,
        "timeout_seconds": 5.0,
    }
    return Check(type=kind, target=str(target), **(given | changes))


async def bash(name, command, cwd, timeout_seconds):
    """Runs a command for real, without the supervision that the daemon gives it."""
    try:
        with anyio.fail_after(timeout_seconds):
            ended = await anyio.run_process(["bash", "-c", command], cwd=cwd, check=False)
    except TimeoutError:
        return CommandResult(timed_out=True)
    return CommandResult(
        exit_code=ended.returncode, output_tail=(ended.stdout + ended.stderr)[-4096:].decode()
    )


async def reports_of(*checks, runner=bash, before=None, **more):
    return await run_checks(checks, runner, before or {}, **more)


async def outcome_of(one, **more):
    (report,) = await reports_of(one, **more)
    return report.result, report.reason


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "out.txt"
    file.write_text("first line\nDONE\n")
    return file


async def test_a_regular_file_exists(file):
    assert await outcome_of(check("file_exists", file)) == ("passed", None)


async def test_links_to_files_are_followed(file):
    link = file.with_name("link")
    link.symlink_to(file)
    assert await outcome_of(check("file_exists", link)) == ("passed", None)


async def test_a_missing_file_is_told(tmp_path):
    assert await outcome_of(check("file_exists", tmp_path / "none")) == ("failed", "no such file")


async def test_a_directory_is_no_regular_file(tmp_path):
    assert await outcome_of(check("file_exists", tmp_path)) == ("failed", "not a regular file")


@pytest.mark.parametrize(
    ("kind", "pattern", "wanted"),
    [
        ("content_contains", "line\nDONE", ("passed", None)),
        ("content_contains", "done", ("failed", "'done' is not in it")),
        ("content_contains", "f.rst", ("failed", "'f.rst' is not in it")),
        ("content_regex", "^DONE$", ("passed", None)),
        ("content_regex", "^first$", ("failed", "'^first$' finds nothing")),
        ("content_regex", "x" * 200, ("failed", f"'{'x' * 100}…' finds nothing")),
    ],
)
async def test_the_text_of_a_file_is_searched(kind, pattern, wanted, file):
    assert await outcome_of(check(kind, file, pattern=pattern)) == wanted


@pytest.mark.parametrize("kind", ["content_contains", "content_regex"])
async def test_a_file_without_text_to_search_fails(kind, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "hidden").mkdir()
    for name, reason in [
        ("none", "no such file"),
        ("pipe", "not a regular file"),
        ("hidden", "not a regular file"),
    ]:
        assert await outcome_of(check(kind, tmp_path / name, pattern="x")) == ("failed", reason)


async def test_invalid_bytes_are_replaced(tmp_path):
    (tmp_path / "raw").write_bytes(b"a\xffDONE")
    assert await outcome_of(check("content_contains", tmp_path / "raw", pattern="a�DONE")) == ("passed", None)


async def test_a_file_over_the_limit_fails(tmp_path):
    with (tmp_path / "big").open("wb") as big:
        big.truncate(validations.TEXT_LIMIT + 1)
    found = await outcome_of(check("content_contains", tmp_path / "big", pattern="x"))
    assert found == ("failed", "larger than 64 MiB")


async def test_a_regex_without_end_fails_while_the_loop_goes_on(tmp_path, impatient):
    (tmp_path / "bad").write_text(ENDLESS[1])
    await workers.warm()
    found = []

    async def judge():
        found.append(
            await outcome_of(check("content_regex", tmp_path / "bad", pattern=ENDLESS[0], retry_count=3))
        )

    async with anyio.create_task_group() as group:
        group.start_soon(judge)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
            assert await outcome_of(check("file_exists", tmp_path / "bad")) == ("passed", None)
        assert found == [], "other checks are done while it is looked for"
    assert found == [("failed", "'(a+)+$' could not be looked for: it takes over 0.5 s")]


async def test_a_command_that_exits_with_0_passes(tmp_path):
    assert await outcome_of(check("command_succeeds", "test -d .", working_directory=str(tmp_path))) == (
        "passed",
        None,
    )


async def test_a_command_runs_in_its_directory(tmp_path):
    await reports_of(check("command_succeeds", "echo > here", working_directory=str(tmp_path)))
    assert (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (CommandResult(exit_code=1), "exit code 1"),
        (CommandResult(signal="SIGKILL"), "killed by SIGKILL"),
        (CommandResult(timed_out=True, signal="SIGTERM"), "timed out after 5s"),
        (CommandResult(error="no 'bash'\non PATH"), "no 'bash' on PATH"),
        (CommandResult(), "exit code None"),
    ],
)
async def test_the_end_of_a_command_is_told(result, reason):
    async def runner(name, command, cwd, timeout_seconds):
        return result

    assert await outcome_of(check("command_succeeds", "x"), runner=runner) == ("failed", reason)


async def test_a_report_keeps_what_the_command_printed():
    (report,) = await reports_of(check("command_succeeds", "echo said; exit 3"))
    assert (report.exit_code, report.output, report.reason) == (3, "said\n", "exit code 3")


async def test_a_command_is_repeated_only_as_often_as_it_says(tmp_path):
    command = check("command_succeeds", "echo >> tries; exit 1", working_directory=str(tmp_path))
    await reports_of(command)
    assert (tmp_path / "tries").read_text() == "\n"


async def test_each_repetition_has_a_name_of_its_own():
    names = []

    async def runner(name, command, cwd, timeout_seconds):
        names.append(name)
        return CommandResult(exit_code=1)

    await reports_of(check("command_succeeds", "x", index=4, retry_count=2), runner=runner)
    assert names == ["check-4", "check-4-1", "check-4-2"]


async def test_a_file_that_appears_between_two_looks_passes(tmp_path):
    late = check("file_exists", tmp_path / "late", retry_count=10, retry_delay_seconds=0.2, index=1)

    async with anyio.create_task_group() as group:
        group.start_soon(
            reports_of, check("command_succeeds", f"echo > {shlex.quote(str(tmp_path / 'late'))}")
        )
        assert await outcome_of(late) == ("passed", None)


async def test_a_file_check_is_repeated(tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(validations, "_file_fault", lambda path, was: looks.append(path) or "no such file")
    await reports_of(check("file_exists", tmp_path / "none", retry_count=3, retry_delay_seconds=0))
    assert len(looks) == 4


async def test_a_file_that_is_what_it_was_is_not_modified(file):
    one = check("file_modified", file)
    before = await snapshot([one])
    assert await outcome_of(one, before=before) == ("failed", "not modified")


@pytest.mark.parametrize("change", ["size", "mtime", "inode"])
async def test_another_size_inode_or_time_means_modified(change, file):
    one = check("file_modified", file)
    before = await snapshot([one])
    old = file.stat()
    if change == "size":
        file.write_text("other")
        os.utime(file, ns=(old.st_mtime_ns, old.st_mtime_ns))
    elif change == "mtime":
        os.utime(file, ns=(old.st_mtime_ns + 1, old.st_mtime_ns + 1))
    else:
        file.rename(file.with_name("old"))
        file.write_bytes(b"x" * old.st_size)
        os.utime(file, ns=(old.st_mtime_ns, old.st_mtime_ns))
    assert await outcome_of(one, before=before) == ("passed", None)


async def test_a_new_file_is_modified_and_a_missing_one_is_not(tmp_path):
    one = check("file_modified", tmp_path / "new")
    before = await snapshot([one])
    assert before == {str(tmp_path / "new"): None}
    assert await outcome_of(one, before=before) == ("failed", "no such file")
    (tmp_path / "new").write_text("x")
    assert await outcome_of(one, before=before) == ("passed", None)


async def test_a_snapshot_holds_only_what_is_asked_of_it(file):
    assert await snapshot([check("file_exists", file)]) == {}


async def test_checks_run_by_stage_and_then_in_file_order():
    order = [(2, 1), (1, 2), (2, 3), (1, 4)]
    found = await reports_of(*(check("command_succeeds", "true", stage=s, index=i) for s, i in order))
    assert [report.index for report in found] == [2, 4, 1, 3]


async def test_after_a_failure_its_stage_is_finished_and_later_ones_are_not_run(tmp_path):
    found = await reports_of(
        check("command_succeeds", "false", stage=1, index=1),
        check("command_succeeds", "true", stage=1, index=2),
        check("command_succeeds", "echo > ran", stage=2, index=3, working_directory=str(tmp_path)),
        check("file_exists", tmp_path, stage=3, index=4),
    )
    assert [report.result for report in found] == ["failed", "passed", "not_run", "not_run"]
    assert found[2].reason == "a check of an earlier stage failed"
    assert not (tmp_path / "ran").exists()


async def test_no_checks_give_no_reports():
    assert await reports_of() == []


async def test_each_report_is_told_as_it_comes():
    told = []

    async def hear(report):
        told.append(report.index)

    await reports_of(
        check("command_succeeds", "true", index=1), check("command_succeeds", "true", index=2), on_report=hear
    )
    assert told == [1, 2]


async def test_a_worker_that_is_killed_fails_no_check(file):
    one = check("content_regex", file, pattern="DONE")
    for _ in range(4):
        os.kill(await workers.call(os.getpid), signal.SIGKILL)
        assert await outcome_of(one) == ("passed", None)
