"""The house stays small: lengths of files and functions, a sign on each door, types for whoever imports it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file for room in ("marianned", "marianne_cli", "tests") for file in (ROOT / room).rglob("*.py")
)
OURS = [file for file in FILES if not file.is_relative_to(ROOT / "tests")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_at_most_500_lines_and_a_function_60(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("file", OURS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_has_a_sign_on_its_door(file):
    sign = ast.get_docstring(ast.parse(file.read_text()))
    assert sign is not None
    assert sign.splitlines()[0].endswith((".", ":"))


def test_no_two_test_files_have_one_name():
    names = [file.name for file in FILES if file.name.startswith("test_")]
    assert sorted(names) == sorted(set(names)), "pytest imports test files by their names alone"


def test_both_packages_carry_their_types():
    assert (ROOT / "marianned" / "py.typed").exists()
    assert (ROOT / "marianne_cli" / "py.typed").exists()
