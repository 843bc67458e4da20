"""What the pages say of the code is what the code is."""

import ast
import re
from functools import cache

import generated
import pages
import pytest
from kit.tables import each

from marianne_cli.tree import prepared_help
from marianned.errors import BY_CODE
from marianned.problem import SEVERITIES
from marianned.protocol import METHODS, JobStatus, Next, Reason
from marianned.protocol.schema import field_docs
from marianned.protocol.statuses import Obstacle
from marianned.store.opening import connect_writer

END = r"$(?!\n)"
EVENT = re.compile(
    r"(breakpoint|database|sheets|job|sheet|attempt|hook|revision|hold|worktree|workspace|budget|limit|loop|skip|pausefile)"
    rf"\.[a-z]+{END}"
)
PROBLEM = re.compile(rf"S\d{{3}}{END}")
FAULT_CALL = "point"


def strings(wanted, *globs):
    """Yield every such string in these files but the names of fault points; most files have none."""
    anywhere = re.compile(wanted.pattern.removesuffix(END))
    for pattern in globs:
        for file in pages.ROOT.glob(pattern):
            text = file.read_text()
            if anywhere.search(text):
                yield from filter(wanted.match, strings_of(text))


@cache
def strings_of(text):
    tree = ast.parse(text)
    faults = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", None) == FAULT_CALL
        for argument in call.args
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in faults
    ]


@each("name", pages.NAMES)
def test_generated_regions_are_up_to_date(name):
    for region, body in pages.regions(pages.text_of(name)).items():
        assert body == generated.REGIONS[region](), "python tests/docs/generated.py writes it anew"


@pytest.mark.parametrize("columns", [prepared_help.COLUMNS_LEAST, 200])
def test_the_help_that_is_kept_is_what_click_would_print(columns):
    assert generated.HELP.read_text() == generated.help_of_mzt(columns), "generated.py writes it anew"


def test_every_region_is_on_some_page():
    shown = {region for name in pages.NAMES for region in pages.regions(pages.text_of(name))}
    assert shown == set(generated.REGIONS)


def test_every_error_code_has_its_cause_and_its_cure():
    sections = re.findall(
        r"^### (E\d+)\n\n(.+?)(?=\n#|\Z)", pages.text_of("docs/reference/errors.md"), re.MULTILINE | re.DOTALL
    )
    assert [code for code, _ in sections] == sorted(BY_CODE)
    for code, text in sections:
        assert "**Cure:**" in text, code


def test_every_type_of_event_is_told():
    told = set(re.findall(r"^\| `([a-z.]+)` \|", pages.text_of("docs/reference/events.md"), re.MULTILINE))
    written = set(strings(EVENT, "marianned/progress/**/*.py", "marianned/conductor/**/*.py"))
    assert told == written - set(METHODS) | {f"job.{status}" for status in JobStatus}


@pytest.mark.parametrize("page", ["docs/reference/score.md", "docs/reference/score-format.md"])
def test_every_problem_code_is_told_with_its_severity(page):
    told = dict(re.findall(r"^\| (S\d{3}) \| (\w+) \|", pages.text_of(page), re.MULTILINE))
    reported = {*strings(PROBLEM, "marianned/**/*.py", "marianne_cli/**/*.py"), "S001"}
    assert set(SEVERITIES) == reported
    assert told == SEVERITIES


def test_the_page_of_the_database_names_every_table_and_column(tmp_path):
    page = pages.text_of("docs/reference/database.md")
    database = connect_writer(tmp_path / "state" / "marianne.db")
    try:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table.startswith("sqlite_"):
                continue
            assert f"`{table}`" in page or f"### {table}\n" in page
            section = page.partition(f"### {table}\n")[2].partition("\n### ")[0]
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            assert not section or [one for one in columns if f"`{one}`" not in section] == []
    finally:
        database.close()


def test_the_codes_of_reasons_and_of_what_comes_next_are_told():
    """They are texts on the wire, so that nothing but the pages lists them."""
    reasons, comes = set(), set()
    for file in (pages.ROOT / "marianned" / "progress" / "views").glob("*.py"):
        for call in (one for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.Call)):
            called = getattr(call.func, "id", None)
            given = {one.arg: one.value for one in call.keywords}
            if called == "_reason" and isinstance(call.args[1], ast.Constant):
                reasons.add(call.args[1].value)
            elif called == "Next" and isinstance(given["code"], ast.Constant):
                comes.add(given["code"].value)
    page = pages.text_of("docs/design/cli.md")
    listed = re.search(r"`reasons`, never empty\n\(\[\{`code` \(`([^`]*)`", page)[1].split()
    assert reasons - set(listed) == set()
    assert reasons - set(re.findall(r"`(\w+)`", field_docs(Reason)["code"])) == set()
    assert set(listed) >= {*Obstacle}
    assert comes - set(re.search(r"^NEXT +code \(([^)]*)\)", page, re.MULTILINE)[1].split()) == set()
    assert comes - set(re.findall(r"`(\w+)`", field_docs(Next)["code"])) == set()
    assert len(reasons) > 10
    assert len(comes) > 5


def test_the_page_explains_each_word_of_the_table_of_requests():
    page = pages.text_of("docs/concepts.md")
    rows = [line.split("|")[2:-1] for line in pages.regions(page)["requests"].splitlines() if "`" in line]
    words = {
        re.sub(r"[¹²³⁴⁵⁶]", "", word).strip() for row in rows for cell in row for word in cell.split(",")
    }
    told = {*re.findall(r"\*([a-z ]+)\*", page), "E502", "cancel"}
    assert words - told == set()
