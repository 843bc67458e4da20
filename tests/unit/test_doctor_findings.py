"""What `mzt doctor` finds of the wall that a setting asks for, and of the directory that a cluster shares."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from marianned import self_check
from marianned.config import load_settings
from marianned.holder import Holder
from marianned.paths import database_path
from marianned.store import incarnations
from marianned.store.opening import connect_writer


def wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, path: str
) -> list[self_check.Finding]:
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "config.toml").write_text(f'[attempts]\ncontain = "{setting}"\n')
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("MARIANNE_SOCKET", str(tmp_path / "s"))
    monkeypatch.setenv("PATH", path)
    return [finding for finding in self_check.run_self_check().checks if finding.name == "wall"]


def test_without_the_setting_there_is_nothing_to_find(tmp_path, monkeypatch):
    assert wall(tmp_path, monkeypatch, "off", "/nowhere") == []


def test_a_wall_without_bubblewrap_is_a_failure_with_its_cure(tmp_path, monkeypatch):
    (found,) = wall(tmp_path, monkeypatch, "hide", "/nowhere")
    assert not found.passed
    assert "nothing starts" in found.message
    assert "apt-get install bubblewrap" in found.message


def test_a_bubblewrap_that_does_not_work_is_a_failure_in_its_own_words(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n"
    )
    (tmp_path / "bwrap").chmod(0o755)
    (found,) = wall(tmp_path, monkeypatch, "hide", f"{tmp_path}:{os.environ['PATH']}")
    assert not found.passed
    assert "No permissions to create new namespace" in found.message
    assert "user namespaces" in found.message


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap can't be had here")
def test_a_bubblewrap_that_works_is_said(tmp_path, monkeypatch):
    (found,) = wall(tmp_path, monkeypatch, "hide", os.environ["PATH"])
    assert (found.passed, found.message) == (True, "bubblewrap works")


def named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: str
) -> list[self_check.Finding]:
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "config.toml").write_text(given.pop("settings", ""))
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setenv("MARIANNE_SOCKET", given.get("socket", str(tmp_path / "s")))
    return [finding for finding in self_check.run_self_check().checks if finding.name == name]


def test_too_little_room_for_a_first_start_is_a_failure(tmp_path, monkeypatch):
    (found,) = named("disk", tmp_path, monkeypatch, settings=f"min_free_disk = {2**60}\n")
    assert not found.passed
    assert f"MiB free at '{tmp_path}', min_free_disk is {2**40} MiB" in found.message
    assert found.hints == [f"df -h {tmp_path}"]


def test_room_enough_is_not_worth_a_line(tmp_path, monkeypatch):
    assert named("disk", tmp_path, monkeypatch, settings="min_free_disk = 0\n") == []


def test_a_place_for_the_socket_that_is_something_else_is_a_failure(tmp_path, monkeypatch):
    (found,) = named("socket", tmp_path, monkeypatch, socket=str(tmp_path))
    assert (found.passed, found.message) == (False, f"'{tmp_path}' is a directory, not a socket")
    assert found.hints == [f"mv {tmp_path} {tmp_path}.away"]


def test_a_start_that_could_not_write_a_file_is_a_failure_with_the_command(tmp_path, monkeypatch):
    """Root may write what its modes forbid: here it is a directory that stands in the place of the file."""
    state = tmp_path / "state"
    connect_writer(database_path(state)).close()
    (state / "marianne.db-wal").mkdir()
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.setenv("MARIANNE_SOCKET", str(tmp_path / "s"))
    wrong = [finding for finding in self_check.run_self_check().checks if not finding.passed]
    assert [(one.name, one.hints) for one in wrong] == [("state files", [f"rmdir {state}/marianne.db-wal"])]


def test_a_check_that_fails_itself_hides_no_other(tmp_path, monkeypatch):
    def fail():
        raise RecursionError("x" * 10_000)
        yield

    monkeypatch.setattr(self_check, "_CHECKS", (fail, *self_check._CHECKS))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    found, *others = self_check.run_self_check().checks
    assert (found.passed, found.hints, len(found.message) < 400) == (False, ["mzt bug-report"], True)
    assert "instruments" in [one.name for one in others]


@pytest.mark.parametrize(
    ("runs", "there", "passed"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_a_shared_directory_that_is_away_under_a_daemon_is_a_failure(
    tmp_path, monkeypatch, runs, there, passed
):
    shared = tmp_path / "shared"
    if there:
        shared.mkdir(mode=0o700)
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "config.toml").write_text(f'executor = "slurm"\nattempts_dir = "{shared}"\n')
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("MARIANNE_SOCKET", str(tmp_path / "s"))
    held = Holder(pid=os.getpid(), host="here", socket="") if runs else None
    monkeypatch.setattr(self_check, "holder", lambda _: held)
    monkeypatch.setattr(self_check.slurm, "missing_commands", list)
    monkeypatch.setattr(self_check.slurm, "describe_trouble", lambda: None)
    (found,) = [one for one in self_check.run_self_check().checks if one.name == "shared directory"]
    assert found.passed is passed
    assert ("is not there" in found.message) is not passed
    assert bool(found.hints) is not passed


def test_what_a_daemon_says_is_not_mounted_around_the_attempts_is_told_of_their_place(tmp_path, monkeypatch):
    place = tmp_path / "shared" / "attempts"
    said = f"'{place.parent}' is not mounted, though /etc/fstab names it as a mount"
    monkeypatch.setattr(self_check, "_degraded_by", lambda: ["little room", f"{said}; bring it back"])
    monkeypatch.setattr(self_check, "_may_be_held", lambda: True)
    (found,) = named("attempts", tmp_path, monkeypatch, settings=f'attempts_dir = "{place}"\n')
    assert found.message.startswith(f"{said}: what runs goes on")


def of_slurm(tmp_path, monkeypatch, settings, name):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(self_check.slurm, "describe_trouble", lambda: None)
    (found,) = named(name, tmp_path, monkeypatch, settings=f'executor = "slurm"\n{settings}')
    return found


@pytest.mark.parametrize("where", ["opt", None])
def test_slurm_that_is_not_on_the_path_is_told_with_what_puts_it_there(tmp_path, monkeypatch, where):
    lies = tmp_path / "opt" if where else None
    if lies:
        lies.mkdir()
        (lies / "sbatch").touch()
    monkeypatch.setattr(self_check, "_SLURM_LIES", (tmp_path / "opt",))
    found = of_slurm(tmp_path, monkeypatch, "", "slurm")
    assert not found.passed
    assert found.message.startswith("not on PATH: sbatch, squeue, scancel")
    assert ("install Slurm's client" in found.message) is (where is None)
    assert found.hints == [f'export PATH="$PATH:{lies or "DIRECTORY"}"', "mzt restart"]


def test_attempts_that_lie_where_no_node_sees_them_are_told_with_a_line_that_moves_them(
    tmp_path, monkeypatch
):
    found = of_slurm(tmp_path, monkeypatch, "[slurm]\nlost_after = 60\n", "shared directory")
    assert not found.passed
    assert "set attempts_dir to a place on a shared file system" in found.message
    sed, again = found.hints
    assert again == "mzt restart"
    subprocess.run(["/bin/sh", "-c", f"PATH=/usr/bin:/bin; {sed}"], check=True)  # as it is typed
    assert load_settings(tmp_path / "config").attempts_dir == "/SHARED/marianne/attempts"


def test_a_configuration_of_slurm_that_is_not_there_is_told_and_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    said = "cannot stat file /nonexistent: No such file or directory, retrying in 1sec up to 60sec"
    for name in ("sbatch", "squeue", "scancel"):
        (tmp_path / "bin" / name).write_text(
            f"#!/bin/sh\necho 'squeue: error: {said}' >&2; exec sleep 1000\n"
        )
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (found,) = named("slurm", tmp_path, monkeypatch, settings='executor = "slurm"\n')
    assert not found.passed
    told = "its configuration '/nonexistent' can't be looked at: No such file or directory"
    assert (found.message, found.hints) == (f"Slurm does not answer: {told}", ["ls -ld /nonexistent"])


def test_after_a_start_that_was_refused_for_the_rights_of_a_place_it_is_those_that_are_told(
    tmp_path, monkeypatch
):
    shared, state = tmp_path / "shared", tmp_path / "not" / "there" / "yet"
    shared.mkdir()
    shared.chmod(0o755)
    state.mkdir(mode=0o700, parents=True)
    connection = connect_writer(database_path(state))
    incarnations.begin_incarnation(
        connection, database_path(state), shared, 0
    )  # that far a start comes before it looks
    connection.close()
    (found,) = named("attempts", tmp_path, monkeypatch, settings=f'attempts_dir = "{shared}"\n')
    assert (found.message, found.hints) == (f"'{shared}': it is open to others", [f"chmod 700 {shared}"])
