"""The pages hold together: links lead somewhere, examples are valid, the README's commands are those CI runs."""

import re
import sys

import pages
import pytest
from kit import zygote
from kit.tables import each

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text):
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@each("name", pages.NAMES)
def test_every_link_leads_somewhere(name):
    page = pages.ROOT / name
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@each("name", pages.NAMES)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(name):
    """A stroke in a cell begins another one, also in code, unless it is escaped."""
    head, wrong = 0, []
    for line in re.sub(
        r"^ *```.*?^ *```$", "", pages.text_of(name), flags=re.MULTILINE | re.DOTALL
    ).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.lstrip().startswith("|") else 0
        if head and cells not in {0, head}:
            wrong.append(line)
        head = (head or cells) if cells else 0
    assert wrong == []


def test_the_index_leads_to_every_page():
    linked = {
        (pages.ROOT / "docs" / link.partition("#")[0]).resolve()
        for link in LINK.findall(pages.text_of("docs/index.md"))
    }
    assert {page for page in pages.PAGES if page.is_relative_to(pages.ROOT / "docs")} - linked == {
        pages.ROOT / "docs" / "index.md"
    }


def test_the_page_of_examples_leads_to_all():
    directory = pages.ROOT / "docs" / "examples"
    linked = {(directory / link).resolve() for link in LINK.findall((directory / "README.md").read_text())}
    files = {file for pattern in ("*.yaml", "clients/*.*") for file in directory.glob(pattern)}
    assert files - linked == set()


@pytest.mark.parametrize(
    "file", sorted((pages.ROOT / "docs" / "examples").glob("*.yaml")), ids=lambda file: file.name
)
def test_every_example_score_is_valid(file, tmp_path):
    done = zygote.run(
        [sys.executable, "-m", "marianne_cli", "validate", str(file), "-w", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r": 0 errors, ", done.stdout)


def test_the_readmes_two_commands_are_those_that_ci_runs():
    commands = re.findall(r"^python3 -m venv .+$", pages.text_of("README.md"), re.MULTILINE)
    assert commands == [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/mzt demo",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest",
    ]
    script = pages.text_of(".ci/run")
    assert "README.md" in script
    assert not any(command in script for command in commands)


def test_every_room_is_on_the_map():
    page = pages.text_of("CONTRIBUTING.md")
    rooms = [
        path.name for path in (pages.ROOT / "marianned").iterdir() if not path.name.startswith(("_", "py."))
    ]
    inside = [
        f"`{sign.parent.name}/"
        for package in ("marianned", "marianne_cli")
        for sign in (pages.ROOT / package).glob("*/*/__init__.py")
    ]
    assert [room for room in rooms + inside if room not in page] == []
