"""Profiles are programs: only those are read that nobody else can have written, and what they replace is said."""

import os
from pathlib import Path

import pytest

from marianned.instruments.loader import builtin_profiles
from marianned.score.check.compiler import compile_score
from marianned.score.read.reader import DiskReader, ScoreSource

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "echo {{ sheet_num }}"}
validations: [{type: command_succeeds, command: "true"}]
"""
PROFILE = """\
name: {name}
kind: cli
raw_prompt: true
script: shell
cli:
  command: {{executable: "{executable}", prompt_via_stdin: false, prompt_flag: -c}}
  output: {{format: text}}
"""


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """A home that is nobody else's, and has no profiles."""
    (tmp_path / "home").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "home" / "config"))


@pytest.fixture
def shared(tmp_path):
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    return place


def plant(place: Path, name="cli") -> Path:
    directory = place / ".marianne" / "instruments"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}.yaml"
    file.write_text(PROFILE.format(name=name, executable=f"{place}/evil"))
    return file


def compiled(directory: Path):
    source = ScoreSource(
        text=SCORE.encode(), file="a.yaml", directory=str(directory), submit_directory=str(directory)
    )
    done = compile_score(source, DiskReader(), builtin_profiles())
    assert done.expanded is not None, done.problems
    executable = done.expanded.profiles["cli"].cli.command.executable
    return executable, {problem.code: problem for problem in done.problems if problem.code != "S403"}


def test_profiles_in_a_directory_open_to_others_are_not_read(shared):
    plant(shared)
    (shared / "project").mkdir(mode=0o700)
    executable, problems = compiled(shared / "project")
    assert executable == "bash"
    assert problems.keys() == {"S408"}
    assert "others can write it" in problems["S408"].message


def test_a_project_of_ones_own_has_its_own_profiles_and_says_what_they_replace(shared):
    project = shared / "project"
    (project / "deep" / "er").mkdir(parents=True)
    file = plant(project)
    executable, problems = compiled(project / "deep" / "er")
    assert executable == f"{project}/evil"
    assert problems.keys() == {"S409"}
    assert (problems["S409"].file, problems["S409"].severity) == (str(file), "warning")
    assert "'cli'" in problems["S409"].message


def test_the_walk_ends_at_an_open_directory_though_above_it_is_a_closed_one(shared):
    plant(shared)
    middle = shared / "mine" / "open"
    (middle / "project").mkdir(parents=True)
    plant(shared / "mine")
    middle.chmod(0o777)
    assert compiled(middle / "project") == ("bash", {})
    middle.chmod(0o755)
    assert compiled(middle / "project")[0] == f"{shared}/mine/evil"


def test_the_nearest_directory_of_profiles_ends_the_search_though_it_is_empty(shared):
    plant(shared)
    shared.chmod(0o755)
    (shared / "demo" / ".marianne" / "instruments").mkdir(parents=True)
    assert compiled(shared / "demo") == ("bash", {})


@pytest.mark.parametrize("opened", [".marianne", ".marianne/instruments", ".marianne/instruments/cli.yaml"])
def test_each_part_of_the_way_must_be_closed(shared, opened):
    project = shared / "project"
    plant(project)
    (project / opened).chmod(0o777)
    executable, problems = compiled(project)
    assert executable == "bash"
    assert problems.keys() == {"S408"}
    assert str(project / opened) in f"{problems['S408'].message} {problems['S408'].file}"


def test_a_pipe_among_the_profiles_holds_nobody_up_and_is_named(tmp_path):
    project = tmp_path / "project"
    plant(project, "other")
    os.mkfifo(project / ".marianne" / "instruments" / "f.yaml")
    executable, problems = compiled(project)
    assert executable == "bash"
    assert problems["S408"].file.endswith("f.yaml")
    assert "not a regular file" in problems["S408"].message


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to others")
def test_profiles_of_another_user_are_not_read_wherever_they_lie(shared):
    project = shared / "project"
    file = plant(project)
    for theirs in (file, file.parent, file.parent.parent, project):
        os.chown(theirs, 4001, 4001)
        executable, problems = compiled(project)
        assert executable == "bash", theirs
        assert problems.keys() == {"S408"}
        os.chown(theirs, 0, 0)
    assert compiled(project)[0] == f"{project}/evil"


def test_a_users_own_profiles_must_be_closed_to_others_too(tmp_path):
    place = tmp_path / "home" / "config" / "instruments"
    place.mkdir(parents=True)
    (place / "cli.yaml").write_text(PROFILE.format(name="cli", executable="mine"))
    (tmp_path / "work").mkdir()
    assert compiled(tmp_path / "work")[0] == "mine"
    place.chmod(0o777)
    assert compiled(tmp_path / "work")[0] == "bash"
