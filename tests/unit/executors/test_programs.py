"""What supervises is held open from the start: the package may be replaced or removed under a running daemon."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import marianned

DAEMON = textwrap.dedent("""
    import os, shutil, signal, sys
    from pathlib import Path
    import anyio
    from marianned import captures, data_checks, notifications, service, validations, worker_pool, workers
    from marianned.executors.base import AttemptPlace, SilenceLimit, Spec
    from marianned.executors.host.local import LocalExecutor
    from marianned.score.expanded import DataCheck, Notification
    from marianned.score.read.reader import ScoreSource

    SCORE = b"name: n\\nworkspace: /none\\ninstrument: cli\\nsheet: {size: 1, total_items: 1}\\nprompt: {template: 'true'}"
    SOURCE = ScoreSource(text=SCORE, file="/none/n.yaml", directory="/none", submit_directory="/none")

    async def run(executor, name, argv, **limits):
        directory = Path.cwd() / name
        spec = Spec(id=f"test-{os.getpid()}-{name}", argv=argv, cwd="/", env={}, timeout_seconds=20, **limits)
        await executor.start(directory, spec)
        return await executor.wait(AttemptPlace(directory, spec.id))

    async def all_is_known():
        assert await workers.known_profiles(None)
        assert await workers.call(captures.read, ["/none/*"], 9, "/none") == ({}, [])
        assert await workers.call(validations.content_fault, "content_contains", "/none/x", "y")
        assert await workers.call(data_checks.data_fault, "file_sha256", "/none/x", DataCheck(digest="0"))
        compiled = await workers.compile_score(SOURCE)
        assert (await workers.explain(compiled.expanded, prompts=True))[0]["sheet"] == 1
        notification = Notification(type="webhook", on_events=(), url_env="NONE")
        try:
            await workers.call_within(9, notifications.send, notification, None, b"", {})
        except notifications.Undelivered:
            pass

    async def main(package):
        silence = SilenceLimit(idle=0.5, interval=0.1, directories=[])
        async with workers.running(), LocalExecutor() as executor:
            await workers.warm()
            await anyio.wait_readable(worker_pool.pool()._nursery[0]._control)  # what is held is handed over
            assert (await run(executor, "before", ["/bin/true"])).exit_code == 0
            shutil.rmtree(package)
            assert (await run(executor, "after", ["/bin/true"])).exit_code == 0
            assert (await run(executor, "silent", ["/bin/sleep", "9"], silence=silence)).stale
            os.kill(executor._forks.pid, signal.SIGKILL)
            assert (await run(executor, "anew", ["/bin/true"])).exit_code == 0
            assert (await run(executor, "still", ["/bin/sleep", "9"], silence=silence)).stale
            forks, executor._forks = executor._forks, None
            assert (await run(executor, "spawned", ["/bin/true"])).exit_code == 0
            assert (await run(executor, "quiet", ["/bin/sleep", "9"], silence=silence)).stale
            executor._forks = forks
            os.kill(await workers.call(os.getpid), signal.SIGKILL)
            await all_is_known()
            os.kill(await workers.call(os.getppid), signal.SIGKILL)
            await all_is_known()

    anyio.run(main, sys.argv[1])
    print("done")
""")


def test_the_package_is_removed_and_all_goes_on(tmp_path):
    """Attempts start, limits of silence are kept, fork server and workers are replaced."""
    place = tmp_path / "place"
    package = shutil.copytree(Path(marianned.__file__).parent, place / "marianned")
    work = tmp_path / "work"
    work.mkdir()
    script = tmp_path / "daemon.py"
    script.write_text(DAEMON)
    ran = subprocess.run(
        [sys.executable, script, package],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("done\n", "")


LOADED = "import os, sys; os.chdir(sys.argv[1]); sys.path.insert(0, ''); import forkserver as one; one._preload(); print(*sys.modules)"


def test_a_fork_server_loads_nothing_that_takes_longer_than_itself():
    """Each start of a daemon pays for it, and each pair for its pages."""
    place = Path(marianned.__file__).parent / "executors"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOADED, place], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert {"forkserver", "shim", "final_event", "limit", "silence"} <= loaded
    assert loaded & {"json", "re", "enum", "collections", "typing", "ctypes", "signal", "functools"} == set()
