"""Every page, section and title that code, tests and pages point to is there, in this tree."""

import re
import tomllib

import pages
import pointers
from kit.tables import each

KNOWN = pointers.contract()
MAP = pages.text_of("CONTRIBUTING.md").partition("## A map of the house")[2].partition("\n## ")[0]
MARKER = re.compile(r"\*\*Not built yet\*\*(?P<rest>.{0,60})")
ISSUE = re.compile(r" \(issue: (?P<issue>[a-z]+)\)\.")


def files(*places):
    """List the text files of the project at or below these places."""
    found = [path for place in places for path in [pages.ROOT / place, *(pages.ROOT / place).rglob("*")]]
    names = [str(path.relative_to(pages.ROOT)) for path in found if path.is_file()]
    return sorted(name for name in names if not name.endswith((".db", ".gz", ".pyc")))


def wrong(name, *, every_page=True):
    text = (pages.ROOT / name).read_text(errors="replace")
    if not any(sign in text for sign in (".md", "§", "Source:")):
        return []  # most files point nowhere, and need not be read closely
    return [
        *pointers.wrong_pointers(name, text, KNOWN, every_page=every_page),
        *pointers.wrong_sources(name, text, KNOWN),
    ]


def test_what_code_points_to_is_there():
    names = files("marianned", "marianne_cli", "systemd", "pyproject.toml", ".ci")
    assert len(names) > 200
    assert [line for name in names for line in wrong(name)] == []


def test_what_tests_point_to_is_there():
    names = [name for name in files("tests") if not name.startswith("tests/docs/test_pointers")]
    assert len(names) > 200
    assert [line for name in names for line in wrong(name, every_page=False)] == []


def test_what_pages_point_to_is_there():
    assert [line for name in pages.NAMES for line in wrong(name)] == []


def test_what_contributing_names_is_there():
    text = pages.text_of("CONTRIBUTING.md")
    named = set(re.findall(r"`((?:marianned|marianne_cli|tests|docs|systemd)/[\w./-]*)`", text))
    assert len(named) > 20
    assert sorted(path for path in named if not (pages.ROOT / path).exists()) == []


def test_the_map_has_every_room_and_module():
    places = {re.split(r"[`/]", one)[-1] or one.split("/")[-2] for one in re.findall(r"`([\w./]+)`", MAP)}
    found = {
        path.name
        for package in ("marianned", "marianne_cli")
        for path in (pages.ROOT / package).iterdir()
        if path.name not in {"__init__.py", "__main__.py", "__pycache__", "py.typed"}
    }
    assert len(found) > 40
    assert found - places == set()


LISTED = [
    "marianned/executors",
    "marianned/executors/host",
    "marianned/executors/clusters",
    *(f"marianned/conductor/{room}" for room in ("requests", "queries", "core", "run")),
    *(f"marianned/progress/{room}" for room in ("deciding", "state", "views")),
]
"""Rooms where one looks most, of many modules whose names alone do not lead to the right one."""


@each("room", LISTED)
def test_the_map_tells_of_each_module_of_the_rooms_where_one_looks_most(room):
    (row,) = re.findall(rf"^\| (?:`{room}/`|↳ `{room.rpartition('/')[2]}/`) .+$", MAP, re.MULTILINE)
    modules = {path.stem for path in (pages.ROOT / room).glob("*.py")}
    assert set(re.findall(r"`(\w+)`", row)) == modules - {"__init__"}


def test_what_a_row_of_contributing_names_is_in_the_files_of_that_row():
    rows = pages.text_of("CONTRIBUTING.md").partition("## Where do I put")[2].splitlines()
    rows = [row for row in rows if row.startswith("| ") and "`" in row]
    assert len(rows) > 10
    for row in rows:
        quoted = re.findall(r"`([^`]+)`", row)
        paths = [
            path for word in quoted for path in (pages.ROOT / word, *pages.ROOT.glob(f"marian*/**/{word}"))
        ]
        text = "".join(path.read_text() for path in paths if path.is_file())
        text += "".join(file.read_text() for path in paths if path.is_dir() for file in path.rglob("*.py"))
        names = [word for word in quoted if re.fullmatch(r"_?[A-Za-z]+(_[A-Za-z]+)*", word)]
        assert [name for name in names if not re.search(rf"\b{name}\b", text)] == [], row


def test_no_page_and_no_code_needs_what_lies_beside_the_project():
    names = [*files("marianned", "marianne_cli", "systemd", "docs"), *pages.NAMES]
    outside = re.compile(r"\.\./shared|\bspec/score-format|(?<!docs/)\bdesign/(?:control|cli|protocol)\.md §")
    words = (
        "../shared",
        "spec/score-format",
        "design/",
    )  # found at once where the pattern would look closely
    found = ((name, (pages.ROOT / name).read_text(errors="replace")) for name in names)
    assert [name for name, text in found if any(map(text.__contains__, words)) and outside.search(text)] == []


def test_the_pages_are_part_of_the_source_distribution():
    settings = tomllib.loads(pages.text_of("pyproject.toml"))
    included = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/docs", "/*.md"} <= set(included)


def test_every_marker_of_a_rule_that_is_not_built_names_a_known_issue():
    known = set(re.findall(r"^\| ([a-z]+) \| ", pages.text_of("docs/design/not-yet.md"), re.MULTILINE)) - {
        "issue"
    }
    used = set()
    for name in pages.NAMES:
        if name == "docs/design/not-yet.md":
            continue
        for found in MARKER.finditer(pages.text_of(name)):
            issue = ISSUE.match(found["rest"])
            assert issue, f"{name}: {found[0]}"
            assert issue["issue"] in known, f"{name}: {found[0]}"
            used.add(issue["issue"])
    assert used == known, "an issue without a rule is done"


PAGES = pointers.Contract(
    {
        "docs/design/control.md": pointers.read_page(
            "# Control\n\n## 3. Status\n\n**Waiting.** How.\n\n### 3.1 Sheets\n"
        ),
        "docs/reference/score-format.md": pointers.read_page(
            "# Format\n\n## 8. Instruments\n\n### 8.4 Fallbacks\n"
        ),
        "docs/design/durability.md": pointers.read_page("# Durability\n\n## Faults and what must hold\n"),
    }
)


@each(
    "text",
    [
        "Source: docs/design/control.md §3",
        'Source: docs/design/control.md §3 "Waiting".',
        "Source: docs/design/control.md §3-§3.1, docs/reference/score-format.md §8 and\n§8.4.",
        "Source: docs/reference/score-format.md §8.\n\nMuch later (§8.4).",
        'Source: docs/design/durability.md "Faults and what must hold"',
        "Source: sd_notify(3).",
    ],
)
def test_a_right_pointer_is_found_right(text):
    assert list(pointers.wrong_pointers("marianned/x.py", text, PAGES)) == []
    assert list(pointers.wrong_sources("marianned/x.py", text, PAGES)) == []


@each(
    "text",
    [
        "Source: docs/design/control.md §4",
        "Source: docs/design/control.md §3, §3.2",
        'Source: docs/design/control.md §3 "Walking".',
        "Source: design/control.md §3",
        "control.md §3",
        "Source: docs/design/gone.md",
        "Source: docs/design/durability.md",
        'Source: docs/design/durability.md, docs/design/control.md §3 "Waiting".',
        "(§8.4) of no page",
        "docs/design/control.md §3, docs/reference/score-format.md §8; far from both: §8.4",
        'Source: docs/design/durability.md "Frights"',
        "Source: somebody's word.",
    ],
)
def test_a_wrong_pointer_is_found_wrong(text):
    found = [
        *pointers.wrong_pointers("marianned/x.py", text, PAGES),
        *pointers.wrong_sources("marianned/x.py", text, PAGES),
    ]
    assert found


@each(
    ("text", "count"),
    [
        ("§3 of this page, score-format.md §8.4, [c](../reference/score-format.md) §8 and §3.1", 1),
        ("§4", 1),
        ("score-format.md §9", 1),
        ("[gone](gone.md)", 1),
        ("§3; [Format](../reference/score-format.md) §8.4", 0),
    ],
)
def test_pages_point_to_themselves_and_to_each_other(text, count):
    assert len(list(pointers.wrong_pointers("docs/design/control.md", text, PAGES))) == count
