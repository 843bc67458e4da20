"""Work in processes of its own is bounded in time and memory, and never outlives the daemon."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import anyio
import msgspec
import pytest
import worker_calls as calls

from marianned import decoding, worker_pool, workers
from marianned.instruments.loader import builtin_profiles
from marianned.score.read.reader import ScoreSource
from marianned.score.render.prompt_inputs import RenderError, UpstreamOutputs
from marianned.workers import WorkerLimit, call, read_end, warm

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_pool")]
HERE = Path(__file__).parent


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(workers, "LIMIT_SECONDS", 0.5)


def gone(pid):
    """Whether a process has ended; one that nobody has waited for yet counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the other one: it went while it was read
        return True


def written(file):
    return file.exists() and file.read_text().endswith("\n")


async def until(holds):
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110  another process's end sets no Event of ours
            await anyio.sleep(0.01)


async def test_a_call_runs_in_another_process():
    assert await call(calls.pid) != os.getpid()


async def test_a_worker_is_used_again():
    assert await call(calls.pid) == await call(calls.pid)


async def test_a_worker_without_work_is_let_go_of_and_the_next_call_has_another(monkeypatch):
    monkeypatch.setattr(worker_pool, "IDLE_SECONDS", 0.05)
    async with workers.running():
        first = await call(calls.pid)
        await until(lambda: gone(first))
        assert await call(calls.pid) != first


async def test_a_warm_worker_knows_the_rooms_already():
    await warm()
    loaded = await call(calls.modules)
    assert {"marianned.score.check.compiler", "marianned.instruments.output", "jinja2"} <= set(loaded)


async def test_a_killed_worker_is_told_and_the_next_call_works():
    with pytest.raises(WorkerLimit, match="the worker process died over it"):
        await call(calls.die)
    assert await call(calls.pid) != os.getpid()


async def test_a_call_without_end_is_killed_and_the_next_one_works(tmp_path, impatient):
    await warm()
    with pytest.raises(WorkerLimit, match=r"it takes over 0\.5 s"):
        await call(calls.hang, str(tmp_path / "pid"))
    hung = int((tmp_path / "pid").read_text())
    await until(lambda: gone(hung))
    assert await call(calls.pid) != hung


async def test_a_cancelled_call_leaves_no_worker_behind(tmp_path):
    file = tmp_path / "pid"
    async with anyio.create_task_group() as group:
        group.start_soon(call, calls.hang, str(file))
        await until(lambda: written(file))
        group.cancel_scope.cancel()
    hung = int(file.read_text())
    await until(lambda: gone(hung))


async def test_waiting_for_a_worker_is_not_counted(tmp_path, impatient):
    await warm()
    limits = []

    async def hang(number):
        try:
            await call(calls.hang, str(tmp_path / str(number)))
        except WorkerLimit as limit:
            limits.append(limit.message)

    async with anyio.create_task_group() as group:
        for number in range(2 * workers.WORKERS):
            group.start_soon(hang, number)
    assert limits == ["it takes over 0.5 s"] * 4
    assert len(list(tmp_path.iterdir())) == 4


async def test_too_much_memory_is_told_and_the_next_call_works():
    with pytest.raises(WorkerLimit, match="it needs over 2 GiB of memory"):
        await call(calls.grow)
    assert await call(calls.pid) != os.getpid()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (calls.nest, "it is nested too deeply"),
        (calls.refuse, "no worker process could do it: No such file or directory"),
    ],
)
async def test_what_no_caller_can_help_is_a_limit(function, message):
    with pytest.raises(WorkerLimit, match=message):
        await call(function)


async def test_any_other_exception_comes_through():
    with pytest.raises(ValueError, match="not this"):
        await call(calls.fail)


async def test_the_terminal_s_interrupt_does_not_disturb_a_worker():
    assert await call(calls.interrupted)


async def test_a_worker_holds_nothing_of_the_daemon_open(tmp_path):
    with socket.socket(socket.AF_UNIX) as server, (tmp_path / "lock").open("w") as lock:
        server.bind(str(tmp_path / "s"))
        server.listen()
        held = await call(calls.descriptors)
        assert lock.name not in held
    assert all(name == "/dev/null" or name.startswith("/proc/") for name in held)


DAEMON = textwrap.dedent("""
    import sys, anyio
    sys.path[:0] = [{here!r}]
    from marianned import worker_pool, workers
    import worker_calls as calls

    async def main():
        print(await workers.call(calls.pid), flush=True)
        if sys.argv[1] == "busy":
            await workers.call(calls.hang, sys.argv[2])
        await anyio.sleep_forever()

    if __name__ == "__main__":
        print("imported once", file=sys.stderr)
        anyio.run(main)
    else:
        print("imported by a worker", file=sys.stderr)
""")


@contextlib.contextmanager
def daemon_with(how, tmp_path):
    """A process that has a worker and is idle or busy with it: the process, and the worker's pid."""
    script, busy = tmp_path / "daemon.py", tmp_path / "pid"
    script.write_text(DAEMON.format(here=str(HERE)))
    with subprocess.Popen(
        [sys.executable, script, how, busy],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as daemon:
        try:
            yield daemon, int(daemon.stdout.readline()), busy
        finally:
            daemon.kill()


@pytest.mark.parametrize("how", ["idle", "busy"])
async def test_no_worker_outlives_a_killed_daemon(how, tmp_path):
    with daemon_with(how, tmp_path) as (daemon, worker, busy):
        await until(lambda: how == "idle" or written(busy))
        assert not gone(worker)
        daemon.kill()
        await until(lambda: gone(worker))
        assert daemon.stderr.read() == "imported once\n"


async def test_an_interrupt_from_the_terminal_is_the_daemon_s_alone(tmp_path):
    with daemon_with("busy", tmp_path) as (daemon, worker, busy):
        await until(lambda: written(busy))
        os.killpg(daemon.pid, signal.SIGINT)
        await until(lambda: gone(worker))
        assert "process_worker" not in daemon.stderr.read()


CLAUDE = builtin_profiles()["claude-code"]
END = {"exit_code": 0, "signal_name": None, "timed_out": False, "timeout_seconds": 60}


@pytest.fixture
def outputs(tmp_path):
    (tmp_path / "stdout").write_bytes(b'{"type":"result","is_error":false,"result":"ok"}\n')
    (tmp_path / "stderr").write_text("a" * 40 + "b")
    (tmp_path / "empty").touch()
    return {"stdout": str(tmp_path / "stdout"), "stderr": str(tmp_path / "stderr")}


async def test_an_attempt_is_read_and_judged_from_its_files(outputs):
    reading, verdict = await read_end(CLAUDE, {}, **outputs, **END)
    assert (reading.result, verdict.outcome) == ("ok", "succeeded")


def punched(path):
    with Path(path).open("r+b") as file:
        line = file.read()
        file.seek(200 * 1024**2)
        file.write(b"\n" + line)


async def test_a_hole_in_an_output_is_left_out(outputs):
    punched(outputs["stdout"])
    reading, _ = await read_end(CLAUDE, {}, **outputs, **END)
    assert (reading.result, reading.parsed) == ("ok", True)


async def test_an_output_that_is_gone_is_judged_as_an_empty_one_and_told(outputs, tmp_path):
    gone = await read_end(CLAUDE, {}, **(outputs | {"stdout": "/none/stdout"}), **END)
    empty = await read_end(CLAUDE, {}, **(outputs | {"stdout": str(tmp_path / "empty")}), **END)
    assert gone[1] == empty[1]
    assert empty[0].unread == []
    assert gone[0].unread == ["its stdout is gone: it counts as empty"]


async def test_an_output_that_something_else_stands_for_counts_as_empty_too(outputs):
    reading, verdict = await read_end(CLAUDE, {}, **(outputs | {"stderr": "/"}), **END)
    assert (reading.result, verdict.outcome) == ("ok", "succeeded")
    assert "can't be read (" in reading.unread[0]


async def test_outputs_that_take_too_long_leave_the_exit_code(outputs, impatient):
    await warm()
    end = {**END, "exit_code": 3, "detection_patterns": ["(a+)+$"]}
    _, verdict = await read_end(CLAUDE, {}, **outputs, **end)
    assert (verdict.outcome, verdict.category, verdict.message) == ("failed", "exit", "exit code 3")


SCORE = """
name: notes
workspace: {workspace}
instrument: cli
sheet: {{size: 1, total_items: 2, dependencies: {{2: [1]}}}}
cross_sheet: {{auto_capture_stdout: true}}
prompt:
  variables: {{day: 2026-11-24}}
  template: |
    {{% if stage == 1 %}}echo {{{{ day.year }}}}{{% else %}}echo {{{{ previous_outputs[1] }}}}{{% endif %}}
"""


@pytest.fixture
def key(tmp_path):
    """What names the bytes of this test's score, and no others, to its workers."""
    return str(tmp_path)


@pytest.fixture
def source(tmp_path):
    text = SCORE.format(workspace=tmp_path / "work").encode()
    return ScoreSource(
        text=text, file=str(tmp_path / "notes.yaml"), directory=str(tmp_path), submit_directory=str(tmp_path)
    )


async def test_a_score_is_compiled_in_a_worker(source):
    compiled = await workers.compile_score(source)
    assert [problem for problem in compiled.problems if problem.severity == "error"] == []
    assert (compiled.name, compiled.total_sheets) == ("notes", 2)


async def test_a_score_is_compiled_again_from_what_was_stored(source):
    first = await workers.compile_score(source)
    again = await workers.compile_stored(source, first.files)
    assert again.expanded == first.expanded


async def test_prompts_are_rendered_from_the_stored_bytes(source, key):
    compiled = await workers.compile_score(source)
    stored = msgspec.msgpack.encode(compiled.expanded)
    body, prompt, _ = await workers.render_prompt(key, stored, 1, UpstreamOutputs(), None)
    assert (body, prompt) == ("echo 2026\n", "echo 2026\n")
    _, second, _ = await workers.render_prompt(key, stored, 2, UpstreamOutputs(outputs={1: "seen"}), None)
    assert second == "echo seen\n"


async def test_a_worker_is_given_a_score_only_once(source, key):
    compiled = await workers.compile_score(source)
    stored = msgspec.msgpack.encode(compiled.expanded)
    await workers.render_prompt(key, stored, 1, UpstreamOutputs(), None)
    again = await workers.render_prompt(key, b"", 1, UpstreamOutputs(), None)
    assert again == ("echo 2026\n", "echo 2026\n", [])


async def test_a_worker_forgets_the_oldest_scores(source, key):
    compiled = await workers.compile_score(source)
    stored = msgspec.msgpack.encode(compiled.expanded)
    for number in range(6):
        await workers.render_prompt(f"{key}@{number}", stored, 1, UpstreamOutputs(), None)
    with pytest.raises(decoding.Undecodable):
        await workers.render_prompt(f"{key}@0", b"", 1, UpstreamOutputs(), None)


async def test_a_prompt_that_cannot_be_rendered_says_why(source, key):
    compiled = await workers.compile_score(source)
    stored = msgspec.msgpack.encode(compiled.expanded)
    with pytest.raises(RenderError) as refused:
        await workers.render_prompt(key, stored, 2, UpstreamOutputs(), None)
    assert refused.value.code == "S202"


async def test_a_score_is_explained_in_a_worker(source):
    compiled = await workers.compile_score(source)
    explained = await workers.explain(compiled.expanded, prompts=True)
    assert [sheet["sheet"] for sheet in explained] == [1, 2]


@pytest.fixture
def limited(outputs, tmp_path):
    (tmp_path / "stderr").write_text("API Error: 429 rate limit exceeded, resets at 3pm UTC\n")
    return outputs | {"stdout": str(tmp_path / "empty")}


async def test_a_reset_is_told_from_the_end_of_the_process(limited):
    ended = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
    end = END | {"exit_code": 1, "ended_at": int(ended.timestamp() * 1000)}
    _, verdict = await read_end(CLAUDE, {}, **limited, **end)
    assert (verdict.category, verdict.resets_in) == ("rate_limit", 3600)
