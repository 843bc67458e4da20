"""The output of a command is whole: what it leaves behind may finish it, and is then told to end."""

import os
import time

import anyio
import pytest
from attempts import ANY_START, Attempt, soon, write

from marianned.executors import children

pytestmark = [pytest.mark.anyio, pytest.mark.both(forked=True)]

LINES = [f"line {number}" for number in range(1, 41)]
SLOW_TEE = "exec > >(sleep 0.3; cat) 2>&1\n"


def bash(attempt: Attempt, text: str, **given: object):
    return attempt.spec("bash", "-c", f'exec 9>"$LEASH"\n{text}', **{"drain_seconds": 20.0, **given})


async def test_the_output_of_a_process_substitution_is_whole(attempt: Attempt) -> None:
    script = 'exec > >(while read -r l; do echo "$l"; done | tee log) 2>&1\nfor i in $(seq 40); do echo "line $i"; done'
    record = await attempt.run(bash(attempt, script))
    assert attempt.output().splitlines() == LINES
    assert (attempt.workspace / "log").read_text() == attempt.output()
    assert (record.exit_code, record.swept, record.left_behind) == (0, 0, 0)


@ANY_START
@pytest.mark.parametrize("pipeline", ["exec cat", "cat | cat"])
async def test_what_reads_the_output_into_a_file_alone_is_waited_for(attempt: Attempt, pipeline: str) -> None:
    script = f"exec > >(exec >log 2>&1; sleep 0.3; {pipeline})\necho all; echo of it"
    record = await attempt.run(bash(attempt, script))
    assert (attempt.workspace / "log").read_text() == "all\nof it\n"
    assert (record.exit_code, record.swept, record.left_behind) == (0, 0, 0)


async def test_a_reader_whose_writer_lives_is_not_waited_for(attempt: Attempt) -> None:
    before = time.monotonic()
    record = await attempt.run(bash(attempt, "(sleep 1000 | cat) >/dev/null 2>&1 &", drain_seconds=25.0))
    assert time.monotonic() - before < 20
    assert record.left_behind == 1


async def test_one_that_is_ending_when_it_is_looked_at_has_not_been_ended(attempt: Attempt) -> None:
    script = (
        "exec > >(cat; exec <&- >&- 2>&-; sleep 0.1) 2> >(cat >&2; exec <&- >&- 2>&-; sleep 0.1)\necho out"
    )
    record = await attempt.run(bash(attempt, script))
    assert (attempt.output(), record.swept, record.left_behind) == ("out\n", 0, 0)


async def test_one_that_ends_by_itself_though_told_has_not_been_ended(attempt: Attempt) -> None:
    ends = "import os, signal, time; signal.pthread_sigmask(0, {15}); os.write(9, b'up\\n'); time.sleep(0.3)"
    script = f'python3 -c "{ends}" >/dev/null 2>&1 & read -r _ < go'
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(bash(attempt, script))
    assert await attempt.leash.line() == "up"
    await write(attempt.workspace / "go", "go\n")
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.swept, record.left_behind) == (0, 0, 0)


async def test_who_holds_stderr_alone_is_waited_for(attempt: Attempt) -> None:
    await attempt.run(bash(attempt, "exec 2> >(sleep 0.3; cat >&2)\necho late >&2"))
    assert attempt.output("stderr") == "late\n"


async def test_a_grandchild_that_holds_the_output_is_waited_for(attempt: Attempt) -> None:
    await attempt.run(bash(attempt, "(exec >/dev/null 2>&1; (sleep 1000 && echo late >out) & wait) &"))
    assert not (attempt.workspace / "out").exists()  # none of them holds it
    other = "(sh -c 'sleep 0.3; echo late' & exec >/dev/null 2>&1; wait; sleep 1000) &"
    second = attempt.directory.with_name("2")
    attempt.directory = second
    record = await attempt.run(bash(attempt, other, id=f"{attempt.id}"))
    assert attempt.output() == "late\n"
    assert record.left_behind == 1


async def test_without_a_drain_it_is_not_waited(attempt: Attempt) -> None:
    record = await attempt.run(bash(attempt, SLOW_TEE + "echo gone", drain_seconds=0.0))
    assert (record.exit_code, attempt.output()) == (0, "")
    assert record.left_behind == 1


async def test_of_an_output_that_has_not_passed_through_in_time_it_is_known_that_it_is_cut(
    attempt: Attempt,
) -> None:
    slow = "exec > >(while read -r l; do sleep 0.3; echo $l; done)\nseq 100"
    record = await attempt.run(bash(attempt, slow, drain_seconds=1.0))
    assert 0 < len(attempt.output().splitlines()) < 100
    assert (record.exit_code, record.output_cut, record.left_behind >= 1) == (0, True, True)


@ANY_START
@pytest.mark.parametrize("left", ["sleep 1000 &", "(exec sleep 1000 </dev/null) &", "sleep 1000 | cat &"])
async def test_of_what_only_stays_it_is_not_said_that_output_is_missing(attempt: Attempt, left: str) -> None:
    record = await attempt.run(bash(attempt, f"{left} echo all", drain_seconds=0.2))
    assert (attempt.output(), record.output_cut, record.left_behind >= 1) == ("all\n", False, True)


async def test_what_does_not_finish_is_told_to_end_and_may_clean_up(attempt: Attempt) -> None:
    script = "( trap 'echo cleaned > cleaned; exit' TERM; echo up >&9; while :; do sleep 0.02; done ) & read -r _ < go"
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(bash(attempt, script, drain_seconds=0.2))
    assert await attempt.leash.line() == "up"
    await write(attempt.workspace / "go", "go\n")
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.left_behind) == (0, 1)
    assert (attempt.workspace / "cleaned").read_text() == "cleaned\n"


async def test_what_a_cleaner_starts_is_left_to_it(attempt: Attempt) -> None:
    script = "( trap 'sleep 0.2; echo cleaned > cleaned; exit' TERM; echo up >&9; while :; do sleep 0.02; done ) & sleep 0.1"
    record = await attempt.run(bash(attempt, script, drain_seconds=0.0))
    await attempt.leash.gone()
    assert (attempt.workspace / "cleaned").exists() or record.exit_code != 0


async def test_what_does_not_hold_the_output_is_not_waited_for(attempt: Attempt) -> None:
    before = time.monotonic()
    record = await attempt.run(bash(attempt, "sleep 1000 >/dev/null 2>&1 &", drain_seconds=25.0))
    assert time.monotonic() - before < 20
    assert record.left_behind == 1
    await attempt.leash.gone()


async def test_what_ignores_term_is_killed_and_what_flees_is_caught(attempt: Attempt) -> None:
    flees = "import os, time\nwhile not os.fork(): os.setsid(); time.sleep(0.002)"
    script = f"(trap '' TERM; while :; do sleep 1; done) & python3 -c '{flees}' & sleep 0.2; exit 3"
    record = await attempt.run(bash(attempt, script, drain_seconds=0.1))
    await attempt.leash.gone()
    assert record.exit_code == 3
    assert record.left_behind >= 2


async def test_one_that_flees_has_been_ended_in_its_children(attempt: Attempt) -> None:
    flees = "import os, time\nwhile not os.fork(): os.setsid(); time.sleep(0.002)"
    record = await attempt.run(bash(attempt, f"python3 -c '{flees}' & sleep 0.2", drain_seconds=0.1))
    await attempt.leash.gone()
    assert record.left_behind >= 1


async def test_a_request_during_a_drain_ends_the_drain_not_the_attempt(attempt: Attempt) -> None:
    await attempt.start(bash(attempt, "(sleep 1000) & echo $$ >&9; exit 4"))
    command = anyio.Path("/proc", await attempt.leash.line())
    running = await attempt.running()
    with anyio.fail_after(30):  # until it has been reaped, and the runner waits for who holds its output
        while await command.exists():  # noqa: ASYNC110  what is no child of ours ends without an event
            await anyio.sleep(0.01)
    await attempt.executor.end(attempt.place)
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.asked, record.timed_out, record.left_behind) == (4, False, False, 1)
    assert running.pid not in attempt.living()


async def test_a_time_limit_during_a_drain_ends_the_drain(attempt: Attempt) -> None:
    before = time.monotonic()
    record = await attempt.run(bash(attempt, "sleep 1000 & exit 5", timeout_seconds=1.0, drain_seconds=25.0))
    assert time.monotonic() - before < 20
    assert (record.exit_code, record.timed_out, record.left_behind) == (5, False, 1)


async def test_a_keeper_that_is_killed_ends_the_drain(attempt: Attempt) -> None:
    await attempt.start(bash(attempt, "(echo up >&9; exec sleep 1000) & exit 4"))
    assert await attempt.leash.line() == "up"
    os.kill((await attempt.running()).pid, 9)
    await soon(attempt.leash.gone())
    record = await attempt.wait()
    assert record is not None
    assert record.writer == "runner"


async def test_after_our_own_term_nothing_is_drained(attempt: Attempt) -> None:
    before = time.monotonic()
    script = "(setsid sh -c 'echo up >&9; exec sleep 1000' &); sleep 1000"
    record = await attempt.run(bash(attempt, script, timeout_seconds=0.5, drain_seconds=25.0))
    assert time.monotonic() - before < 20
    assert (record.timed_out, record.left_behind) == (True, 0)
    await attempt.leash.gone()


FINAL = {"grace": 0.5, "event": "result", "where": {"kind": "end"}, "goes_on": ["assistant"]}


@ANY_START
@pytest.mark.parametrize("tail", ["", '\\n{"type":"rate"}\\n', "\\nnoise\\n"])
async def test_a_command_that_hangs_behind_its_final_event_is_ended(attempt: Attempt, tail: str) -> None:
    script = f"""printf '{{"type":"assistant"}}\\n{{"type":"result","kind":"end"}}{tail}'; sleep 1000"""
    record = await attempt.run(bash(attempt, script, final=FINAL))
    assert (record.final, record.timed_out, record.asked) == (True, False, False)


async def test_idle_events_behind_the_final_event_do_not_keep_it_alive(attempt: Attempt) -> None:
    said, status = '{"type":"result","kind":"end"}', '{"type":"system","subtype":"status"}'
    script = f"printf '%s\\n' '{said}'; while :; do sleep 0.05; printf '%s\\n' '{status}'; done"
    record = await attempt.run(bash(attempt, script, final={**FINAL, "grace": 0.5, "idle": ["system"]}))
    assert (record.final, record.timed_out, record.limit_seconds) == (True, False, None)


@ANY_START
@pytest.mark.parametrize(
    "said",
    [
        '{"type":"result","kind":"middle"}',
        '{"type":"result","kind":"end"}\\n{"type":"assistant"}',
        '{"type":"other","kind":"end","inner":{"type":"result"}}',
        'text {"type":"result","kind":"end"}',
        '{"type":"result","kind":"end"',
    ],
)
async def test_without_a_final_event_silence_is_no_end(attempt: Attempt, said: str) -> None:
    record = await attempt.run(
        bash(attempt, f"printf '{said}\\n'; sleep 1.5; exit 6", final={**FINAL, "grace": 0.3})
    )
    assert (record.exit_code, record.final) == (6, False)


async def test_a_command_that_goes_on_printing_is_not_ended(attempt: Attempt) -> None:
    script = (
        """echo '{"type":"result","kind":"end"}'; for i in 1 2 3 4 5 6 7 8; do sleep 0.2; echo $i; done"""
    )
    record = await attempt.run(bash(attempt, script, final={**FINAL, "grace": 1.0}))
    assert (record.exit_code, record.final) == (0, False)


def test_what_is_forked_while_it_is_looked_around_is_looked_at_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent had let go of the output when its turn came: nobody seemed to hold it, and the end was cut."""
    scans = iter([[10], [10, 11], [10, 11], *[[10]] * 9])
    looked_at: list[list[int]] = []
    family = children.Children()
    monkeypatch.setattr(family, "_command_processes", lambda: next(scans))
    monkeypatch.setattr(family, "reap", lambda: True)
    monkeypatch.setattr(children, "_is_ending", lambda _pid: False)
    monkeypatch.setattr(children, "_any_finishing", lambda pids, _files: looked_at.append(pids) or 11 in pids)
    assert not family.drain(time.monotonic() + 30, os.getppid(), [], lambda: None)
    assert looked_at == [[10], [10, 11], [10]]
