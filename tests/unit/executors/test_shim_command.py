"""What the command gets from the shim, and what is recorded of it."""

import os
import signal
import stat
import time

import anyio
import msgspec
import pytest
from attempts import ANY_START, NO_FRONT, Attempt, encoded, soon

from marianned.executors import shim
from marianned.executors.base import AttemptPlace, ExitRecord, Spec

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


UNSTARTED: list[tuple[list[str], dict[str, object], str]] = [
    (["no-such-program"], {}, "'no-such-program': No such file or directory"),
    (["/no/such/program"], {}, "'/no/such/program': No such file or directory"),
    (["/etc"], {}, "'/etc': Permission denied"),
    (["etc"], {"env": {"PATH": "/nowhere:/etc/passwd:/"}}, "'etc': Permission denied"),
    (["true"], {"cwd": "/no/such/place"}, "working directory '/no/such/place': No such file or directory"),
    (["true"], {"stdin": "prompt"}, "standard input 'prompt': No such file or directory"),
    (["true", "nul\0"], {}, "'true': embedded null byte"),
]


async def test_what_cannot_be_started_is_recorded_with_the_reason(attempt: Attempt) -> None:
    seen = await side_by_side(attempt, [attempt.spec(*argv, **given) for argv, given, _ in UNSTARTED])
    assert [record.error for record in seen] == [error for _, _, error in UNSTARTED]
    assert {(record.exit_code, record.signal) for record in seen} == {(None, None)}


async def side_by_side(attempt: Attempt, specs: list[Spec]) -> list[ExitRecord]:
    """Run attempts at once, each in a directory of its own; return their records in this order."""
    records: dict[int, ExitRecord | None] = {}

    async def one(number: int, spec: Spec) -> None:
        place = AttemptPlace(attempt.directory.with_name(f"many{number}"), f"{attempt.id}-{number}")
        await attempt.executor.start(place.directory, msgspec.structs.replace(spec, id=place.id))
        records[number] = await attempt.executor.wait(place)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for number, spec in enumerate(specs):
                group.start_soon(one, number, spec)

    await soon(all_of_them())
    return [record for _, record in sorted(records.items()) if record is not None]


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


LOOKS = """
ls /proc/self/fd; echo =====
readlink /proc/$$/fd/0; echo =====
sed -n s/flags://p /proc/$$/fdinfo/1; echo =====
cat /proc/$$/stat; echo =====
cat /proc/$$/environ
touch made
"""


async def test_a_command_finds_what_its_spec_says_and_nothing_of_the_daemon(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, runs_on: str
) -> None:
    monkeypatch.setenv("OF_THE_DAEMON", "1")
    env = {"PATH": os.environ["PATH"], "EMPTY": "", "WILD": 'a=b,"c"\n\\ü\x01☃ \'', "LC_ALL": "C"}
    await attempt.run(attempt.spec("sh", "-c", LOOKS, env=env, umask=0o027))
    descriptors, stdin, flags, numbers, environment = attempt.output().split("=====\n")
    assert descriptors.split() == ["0", "1", "2", "3"], "descriptors; 3 is the directory that is listed"
    assert stdin == "/dev/null\n", "standard input, without a prompt"
    assert int(flags, 8) & os.O_APPEND, "output is not appended"
    pid, group, session = (numbers.split()[field] for field in (0, 4, 5))
    assert pid == group == session, "it leads no session of its own"
    found = dict(line.split("=", 1) for line in environment.split("\0") if line)
    of_its_job = {name for name in found if name.startswith("SLURM")}
    assert bool(of_its_job) == (runs_on == "slurm")
    assert {name: found[name] for name in found.keys() - of_its_job} == env | {shim.MARK: attempt.id}
    made = attempt.workspace / "made"
    assert made.exists(), "it does not run in its directory"
    assert stat.S_IMODE(made.stat().st_mode) == 0o640, "umask"


async def test_signals_are_as_a_new_program_expects_them(attempt: Attempt) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as if the daemon was started by nohup
    try:  # no shell between: it sets some itself
        await attempt.run(attempt.spec("sed", "-n", "s/^Sig[BI].*:\\t//p", "/proc/self/status"))
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert [int(mask, 16) & ~GLIBCS_OWN for mask in attempt.output().split()] == [0, 0]


async def test_arguments_arrive_as_they_are(attempt: Attempt) -> None:
    words = ["", "two words", "line\nbreak", "$HOME `x` ☃", "x" * 100_000]
    await attempt.run(attempt.spec("printf", "%s|", *words))
    assert attempt.output() == "|".join([*words, ""])


async def test_the_prompt_is_read_from_its_file(attempt: Attempt) -> None:
    attempt.directory.mkdir(mode=0o700, parents=True)
    (attempt.directory / "prompt").write_text("play\n" * 50_000)
    await attempt.run(attempt.spec("cat", stdin="prompt"))
    assert attempt.output() == "play\n" * 50_000


@ANY_START
@NO_FRONT
async def test_an_exit_code_survives_a_parent_that_ignores_its_children(attempt: Attempt) -> None:
    ignoring = ("sh", "-c", "trap '' CHLD; exec \"$@\"", "sh")
    front = attempt.run_shim(encoded(attempt.spec("sh", "-c", "exit 5")), wrapper=ignoring)
    assert (front.returncode, front.stderr) == (0, "")
    record = await attempt.wait()
    assert record is not None
    assert record.exit_code == 5


async def test_files_of_an_attempt_are_private(attempt: Attempt, runs_on: str) -> None:
    await attempt.run(attempt.spec("true"))
    assert stat.S_IMODE(attempt.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in attempt.directory.iterdir()}
    names = ["claim", "exit.json", "identity.json", "spec.json", "stderr", "stdout"]
    if runs_on == "slurm":
        names += ["job.log", "submission.json"]
    assert modes == dict.fromkeys(names, 0o600)


async def test_many_attempts_run_at_once_without_mixing(attempt: Attempt) -> None:
    specs = [attempt.spec("sh", "-c", f"exit {number}") for number in range(24)]
    assert [record.exit_code for record in await side_by_side(attempt, specs)] == [*range(24)]
