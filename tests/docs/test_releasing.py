"""What a release is made with agrees: the workflow, the metadata, the lock files, the pages."""

import re
import tomllib

import pages
import pytest
import yaml

from marianned import __version__
from marianned.formatting import is_older

PROJECT = tomllib.loads(pages.text_of("pyproject.toml"))
WORKFLOW = yaml.safe_load(pages.text_of(".github/workflows/release.yml"))
LOCKED = {
    "tests": [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["test"]],
    "build": PROJECT["build-system"]["requires"],
}


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_the_workflow_starts_with_a_tag_and_may_do_nothing_by_itself():
    assert WORKFLOW[True] == {"push": {"tags": ["v[0-9]*"]}}  # YAML reads the key `on` so
    assert WORKFLOW["permissions"] == {}
    assert {name for name, job in WORKFLOW["jobs"].items() if "id-token" in job["permissions"]} == {"publish"}


def test_each_action_is_named_by_its_commit_which_nobody_can_move_and_its_version():
    used = re.findall(r"uses: (.*)", pages.text_of(".github/workflows/release.yml"))
    assert len(used) > 5
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one)] == []


def test_the_versions_of_python_that_are_promised_are_tested():
    told = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python-version"] == told
    assert PROJECT["project"]["requires-python"] == f">={told[0]}"


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_file_has_all_that_is_asked_for_with_hashes_and_no_host(name):
    text = pages.text_of(f"tests/locked/{name}.txt")
    there = {distribution(line) for line in text.splitlines() if not line.startswith((" ", "#"))}
    assert {distribution(one) for one in LOCKED[name]} - there == set()
    pinned = re.findall(r"^[\w.-]+==[^\s;]+.*?(?=^[\w.-]+==|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(pinned) == len(there)
    assert [one.splitlines()[0] for one in pinned if "--hash=sha256:" not in one] == []
    assert "://" not in text
    assert "--index" not in text


def test_the_extra_all_has_every_extra_of_people_and_the_tests_have_what_they_bring():
    extras = PROJECT["project"]["optional-dependencies"]
    for_people = sorted(set(extras) - {"all", "test"})
    assert extras["all"] == [f"marianned[{','.join(for_people)}]"]
    assert {one for name in for_people for one in extras[name]} <= set(extras["test"])


def test_nothing_says_to_install_what_belongs_to_others():
    wrong = re.compile(r"(?<!un)(install|upgrade|uvx|--from) (marianne|mzt)\b(?!d)")
    said = [name for name in pages.NAMES if wrong.search(pages.text_of(name))]
    assert said == []


def test_the_version_has_a_dated_section_of_the_changes():
    assert re.search(
        rf"^## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$", pages.text_of("CHANGELOG.md"), re.MULTILINE
    )


def test_each_release_before_is_there_to_be_tested_against():
    told = re.findall(r"^## \[(\d[^\]]*)\]", pages.text_of("CHANGELOG.md"), re.MULTILINE)
    released = {version for version in told if is_older(version, __version__)}
    kept = [("databases", ".sql"), ("conversations", ".jsonl"), ("conversations", ".params.json")]
    for directory, ending in kept:
        files = {file.name for file in (pages.ROOT / "tests" / directory).iterdir()}
        assert {f"{version}{ending}" for version in released} - files == set()
    assert released


def test_the_container_file_takes_all_that_the_wheel_is_made_of():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", pages.text_of(".ci/Containerfile"), re.MULTILINE)
    taken = {one for line in copied for one in line.split()}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {"pyproject.toml", "LICENSE", "README.md", *wheel["only-include"], *wheel["shared-data"]}
    assert [one for one in wanted if not any(f"{one}/".startswith(f"{had}/") for had in taken)] == []
    assert [one for one in taken if not (pages.ROOT / one).exists()] == []
