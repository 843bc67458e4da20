"""A sheet plants pipes and links where the daemon reads and writes: nothing is held up, nothing leads out."""

import base64

import pytest
import yaml
from kit.daemon import Refused, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]

PLANTS = {
    "exit.json": 'mkfifo "$D/exit.json"',
    "stdout": 'rm "$D/stdout"; mkfifo "$D/stdout"',
    "stderr": 'rm "$D/stderr"; mkfifo "$D/stderr"',
    "spec.json": 'rm "$D/spec.json"; mkfifo "$D/spec.json"',
    "claim": 'rm "$D/claim"; mkfifo "$D/claim" "$D/exit.json.new"',
    "no claim": 'rm "$D/claim"; mkfifo "$D/exit.json.new"',
    "a closed directory": 'chmod 500 "$D"',
    "checks": 'rm -rf "$D/checks"; mkfifo "$D/checks"',
    "snapshot": 'mkfifo "$D/snapshot.json"',
    "identity.json": 'rm "$D/identity.json"; mkfifo "$D/identity.json"',
}
SET = (
    'set -e; run=${MARIANNE_ATTEMPT_ID%-*-*}; D=$(echo "$HOME"/state/marianne/attempts/*/"${run##*-}"/1-1); '
)
"""The sheet's own directory, by the number of its run in its mark."""


def plants(*names, runs_on):
    """Return which of these are planted there: without a record, an attempt on a cluster is lost much later."""
    return [name for name in names if runs_on != "slurm" or name != "exit.json"]


def of(name):
    return f"fifo-{name.replace(' ', '-').replace('.', '-')}"


def test_a_pipe_in_an_attempts_directory_holds_neither_cancel_nor_stop_up(daemon, ledger, runs_on):
    for name in plants(*PLANTS, runs_on=runs_on):
        print(f"planted: {name}")  # shown with what fails
        job = of(name)
        body = f"{SET}{PLANTS[name]}; note start {job}; sleep 600"
        daemon.submit(score(job, [body]))
        ledger.wait_for(f"start {job}")
        with daemon.connect() as asking:
            for _ in range(45):
                for stream in ("stdout", "stderr"):
                    asking.rpc("log.read", job_id=job, sheet=1, stream=stream)
        assert daemon.rpc("job.why", job_id=job)["job_id"] == job
        other = daemon.submit(score(f"other-{job}", [plain(2)]))
        daemon.wait_for(other["job_id"], "completed")
        if name == "identity.json":  # nobody knows its processes then, but that they carry the mark
            daemon.rpc("job.cancel", job_id=job)
            continue
        cancelled = daemon.rpc("job.cancel", job_id=job, wait=True, timeout=20)
        assert cancelled["status"] == "cancelled", name
    daemon.stop()


def test_a_pipe_in_an_attempts_directory_lets_its_job_end(daemon, runs_on):
    checks = [
        {"type": "command_succeeds", "command": "true"},
        {"type": "file_modified", "path": "{workspace}/x"},
    ]
    names = ("exit.json", "stdout", "stderr", "spec.json", "checks", "snapshot", "claim", "no claim")
    for name in plants(*names, runs_on=runs_on):
        print(f"planted: {name}")  # shown with what fails
        job = of(name)
        daemon.submit(score(job, [f"{SET}{PLANTS[name]}; echo x > x"], validations=checks))
        assert daemon.wait_for(job, "ended", "failed")["status"] in ("completed", "failed"), name
    daemon.stop()


def test_a_link_in_place_of_a_record_that_is_being_written_is_not_followed(daemon):
    victim = daemon.home / "bashrc"
    victim.write_text("# mine\n")
    daemon.submit(score("linked", [f'{SET}rm "$D/claim"; ln -s "{victim}" "$D/exit.json.new"; exit 7']))
    daemon.wait_for("linked", "failed")
    assert daemon.attempts("linked", 1)[0]["exit_code"] == 7
    assert victim.read_text() == "# mine\n"


def test_a_link_in_place_of_the_concert_log_is_not_followed_out_of_the_workspace(daemon):
    victim = daemon.home / "bashrc"
    victim.write_text("# mine\n")
    text = score(
        "linked",
        [f'ln -s "{victim}" concert.log'],
        concert={"enabled": True},
        on_success=[{"type": "run_command", "command": "true", "description": "$(touch x)"}],
    )
    daemon.submit(text)
    daemon.wait_for("linked", "completed")
    daemon.stop()
    daemon.process = None
    assert victim.read_text() == "# mine\n"
    assert "a link leads out of" in daemon.log.read_text()


def test_a_captured_link_shows_nothing_from_outside_the_workspace(daemon):
    (daemon.home / "id_rsa").write_text("PRIVATE KEY")
    plant = f'ln -s "{daemon.home}/id_rsa" notes.md; echo fine > real.md; ln -s real.md inside.md'
    text = score(
        "deputy",
        [plant, ""],
        cross_sheet={"auto_capture_stdout": True, "capture_files": ["{{ workspace }}/*.md"]},
    )
    described = yaml.safe_load(text)
    described["prompt"]["template"] = BODIES
    daemon.submit(yaml.safe_dump(described))
    daemon.wait_for("deputy", "completed", "failed")
    shown = base64.b64decode(
        daemon.rpc("log.read", job_id="deputy", sheet=2, stream="stdout")["data"]
    ).decode()
    assert "PRIVATE KEY" not in shown
    assert "real.md" in shown
    assert "inside.md" in shown
    assert "notes.md" in daemon.event("deputy", "attempt.warned")["text"]


BODIES = (
    "{% if sheet_num == 1 %}{{ bodies[1] }}{% else %}cat <<'END'\n"
    "{% for name in previous_files %}{{ name }}: {{ previous_files[name] }}\n{% endfor %}END\n{% endif %}"
)


def test_an_archive_that_is_a_link_moves_and_deletes_nothing_elsewhere(daemon):
    other = daemon.home / "other-work" / "archive"
    for name in ("iteration-1", "archive-20250101-000000"):
        (other / name).mkdir(parents=True)
        (other / name / "result.txt").write_text("precious")
    text = score("mine", [plain(1)], workspace_lifecycle={"archive_on_fresh": True, "max_archives": 1})
    daemon.submit(text)
    daemon.wait_for("mine", "completed")
    work = daemon.home / "mine-work"
    (work / "authorized_keys").write_text("evil")
    (work / "archive").symlink_to(other)
    with pytest.raises(Refused) as refused:
        daemon.submit(text, fresh=True)
    assert "archive" in refused.value.message
    assert sorted(path.name for path in other.iterdir()) == ["archive-20250101-000000", "iteration-1"]
    assert all((path / "result.txt").read_text() == "precious" for path in other.iterdir())
    assert (work / "authorized_keys").exists()


def test_two_jobs_with_one_directory_of_archives_delete_only_their_own(daemon):
    archives = daemon.home / "archives"
    lifecycle = {"archive_on_fresh": True, "archive_dir": "../archives", "max_archives": 2}
    (archives / "archive-20200101-000000").mkdir(parents=True)

    def fresh(name):
        (daemon.home / f"{name}-work").mkdir(exist_ok=True)
        (daemon.home / f"{name}-work" / f"of-{name}").write_text(name)
        daemon.submit(score(name, ["true"], workspace_lifecycle=lifecycle), fresh=True)
        daemon.wait_for(name, "completed")

    fresh("a")
    for _ in range(4):
        fresh("b")
    daemon.stop()  # what is deleted beside the run is deleted by then, or goes on at the next fresh start
    daemon.start()
    fresh("b")
    left = sorted(path.name for path in archives.rglob("of-*"))
    assert left.count("of-a") == 1
    assert 2 <= left.count("of-b") <= 3
    assert (archives / "archive-20200101-000000").exists()
