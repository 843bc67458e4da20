"""What the command gets from the shim, and what is recorded of it."""

import os
import signal
import stat
import time

import anyio
import pytest
from attempts import NO_FRONT, Attempt, encoded, soon

from marianned.executors import shim
from marianned.executors.base import Place

pytestmark = [pytest.mark.anyio, pytest.mark.both(forked=True, in_each_run=True)]
GLIBCS_OWN = 0b11 << 31
"""Signals 32 and 33: who is started by glibc's posix_spawn, as from Python 3.13 on, ignores them; nobody can set them."""


async def test_an_exit_code_is_recorded_as_it_was(attempt: Attempt) -> None:
    before = time.time_ns() // 1_000_000
    record = await attempt.run(attempt.spec("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (record.exit_code, record.signal, record.error) == (7, None, None)
    assert (record.asked, record.asked_by, record.timed_out) == (False, None, False)
    assert (record.swept, record.writer) == (0, "runner")
    assert before <= record.started_at <= record.ended_at
    assert record.max_rss_kib > 0
    assert (attempt.output("stdout"), attempt.output("stderr")) == ("out\n", "err\n")


async def test_a_signal_is_recorded_as_a_signal(attempt: Attempt) -> None:
    record = await attempt.run(attempt.spec("sh", "-c", "kill -SEGV $$"))
    assert (record.exit_code, record.signal) == (None, signal.SIGSEGV)


@pytest.mark.parametrize(
    ("argv", "given", "error"),
    [
        (["no-such-program"], {}, "'no-such-program': No such file or directory"),
        (["/no/such/program"], {}, "'/no/such/program': No such file or directory"),
        (["/etc"], {}, "'/etc': Permission denied"),
        (["etc"], {"env": {"PATH": "/nowhere:/etc/passwd:/"}}, "'etc': Permission denied"),
        (
            ["true"],
            {"cwd": "/no/such/place"},
            "working directory '/no/such/place': No such file or directory",
        ),
        (["true"], {"stdin": "prompt"}, "standard input 'prompt': No such file or directory"),
        (["true", "nul\0"], {}, "'true': embedded null byte"),
    ],
)
async def test_what_cannot_be_started_is_recorded_with_the_reason(
    attempt: Attempt, argv: list[str], given: dict[str, object], error: str
) -> None:
    record = await attempt.run(attempt.spec(*argv, **given))
    assert record.error == error
    assert (record.exit_code, record.signal) == (None, None)


async def test_a_program_is_looked_for_in_the_path_of_the_spec(attempt: Attempt) -> None:
    for place, word in (("one", "first"), ("two", "second")):
        program = attempt.workspace / place / "say"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho {word}\n")
        program.chmod(0o700 if place == "two" else 0o600)
    env = {"PATH": f"missing:{attempt.workspace}/two:{attempt.workspace}/one"}
    await attempt.run(attempt.spec("say", env=env))
    assert attempt.output() == "second\n"


async def test_without_a_path_the_systems_programs_are_found(attempt: Attempt) -> None:
    assert (await attempt.run(attempt.spec("true", env={}))).exit_code == 0


async def test_the_environment_is_that_of_the_spec_and_the_mark(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, runs_on: str
) -> None:
    monkeypatch.setenv("OF_THE_DAEMON", "1")
    env = {"PATH": os.environ["PATH"], "EMPTY": "", "WILD": 'a=b,"c"\n\\ü\x01☃ \'', "LC_ALL": "C"}
    await attempt.run(attempt.spec("env", "-0", env=env))
    seen = dict(line.split("=", 1) for line in attempt.output().split("\0") if line)
    of_its_job = {name for name in seen if name.startswith("SLURM")}
    assert bool(of_its_job) == (runs_on == "slurm")
    assert {name: seen[name] for name in seen.keys() - of_its_job} == env | {shim.MARK: attempt.id}


async def test_arguments_arrive_as_they_are(attempt: Attempt) -> None:
    words = ["", "two words", "line\nbreak", "$HOME `x` ☃", "x" * 100_000]
    await attempt.run(attempt.spec("printf", "%s|", *words))
    assert attempt.output() == "|".join([*words, ""])


async def test_the_prompt_is_read_from_its_file(attempt: Attempt) -> None:
    attempt.directory.mkdir(mode=0o700, parents=True)
    (attempt.directory / "prompt").write_text("play\n" * 50_000)
    await attempt.run(attempt.spec("cat", stdin="prompt"))
    assert attempt.output() == "play\n" * 50_000


async def test_without_a_prompt_stdin_is_the_null_device(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("readlink", "/proc/self/fd/0"))
    assert attempt.output() == "/dev/null\n"


async def test_the_command_runs_in_its_directory_with_its_umask(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("touch", "made", umask=0o027))
    assert stat.S_IMODE((attempt.workspace / "made").stat().st_mode) == 0o640


async def test_the_command_has_no_descriptor_but_the_first_three(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("ls", "/proc/self/fd"))
    assert attempt.output().split() == ["0", "1", "2", "3"]  # 3 is the directory it lists


async def test_output_is_appended(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("sed", "-n", "s/flags://p", "/proc/self/fdinfo/1"))
    assert int(attempt.output(), 8) & os.O_APPEND


async def test_signals_are_as_a_new_program_expects_them(attempt: Attempt) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as if the daemon was started by nohup
    try:
        await attempt.run(attempt.spec("sed", "-n", "s/^Sig[BI].*:\\t//p", "/proc/self/status"))
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert [int(mask, 16) & ~GLIBCS_OWN for mask in attempt.output().split()] == [0, 0]


@NO_FRONT
async def test_an_exit_code_survives_a_parent_that_ignores_its_children(attempt: Attempt) -> None:
    ignoring = ("sh", "-c", "trap '' CHLD; exec \"$@\"", "sh")
    front = attempt.run_shim(encoded(attempt.spec("sh", "-c", "exit 5")), wrapper=ignoring)
    assert (front.returncode, front.stderr) == (0, "")
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 5


async def test_the_command_leads_a_session_of_its_own(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("cat", "/proc/self/stat"))
    fields = attempt.output().split()
    pid, group, session = fields[0], fields[4], fields[5]
    assert pid == group == session


async def test_files_of_an_attempt_are_private(attempt: Attempt, runs_on: str) -> None:
    await attempt.run(attempt.spec("true"))
    assert stat.S_IMODE(attempt.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in attempt.directory.iterdir()}
    names = ["claim", "exit.json", "identity.json", "spec.json", "stderr", "stdout"]
    if runs_on == "slurm":
        names += ["job.log", "submission.json"]
    assert modes == dict.fromkeys(names, 0o600)


async def test_many_attempts_run_at_once_without_mixing(attempt: Attempt) -> None:
    codes: dict[int, int | None] = {}

    async def one(number: int) -> None:
        directory = attempt.directory.with_name(f"many{number}")
        place = Place(directory, f"{attempt.id}-{number}")
        await attempt.executor.start(directory, attempt.spec("sh", "-c", f"exit {number}", id=place.id))
        record = await attempt.executor.wait(place)
        codes[number] = record and record.exit_code

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for number in range(24):
                group.start_soon(one, number)

    await soon(all_of_them())
    assert codes == {number: number for number in range(24)}
