"""The house stays readable: lengths of files and functions, rooms that can be overlooked, a sign on each door."""

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

from kit import trees

from marianned.memory import without_collecting

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file for room in ("marianned", "marianne_cli", "tests") for file in (ROOT / room).rglob("*.py")
)
OURS = [file for file in FILES if not file.is_relative_to(ROOT / "tests")]
CODE_LINES_MOST = 500
FUNCTION_LINES_MOST = 60
FILES_MOST = 15
WIDE = {"marianned", "marianne_cli/commands"}
"""Rooms that may be wider: the top of the daemon, and the commands, which are a file each."""
SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(text):
    """Return the numbers of the lines that hold code: docstrings, comments and blank lines are free."""
    lines = set()
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        docstring = begins and token.type == tokenize.STRING
        if token.type not in SILENT and not docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in {tokenize.COMMENT, tokenize.NL}:
            begins = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT} or docstring
    return lines


def statements(body):
    """Yield all statements there, also those within others; expressions hold none, and are most of a tree."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from statements(getattr(node, part, ()))


BEGINS = re.compile(r"^( *)(?:(async def|def)\b|class\b|@)", re.MULTILINE)
OUTERMOST = re.compile(r"^(?:(?:async )?def|class) (\w+)|^([A-Z][A-Z_]+)\b.*=", re.MULTILINE)
CLASS = re.compile(r"^ *class (\w+)", re.MULTILINE)
QUOTED = re.compile(r'("""|\'\'\').*?\1', re.DOTALL)


def may_be_long(text):
    """Tell whether a function can have so many lines: none ends behind the next beginning that is as far left.

    To parse a file takes many times as long; one that quotes code has to be.
    """
    if any(BEGINS.search(quoted[0]) for quoted in QUOTED.finditer(text)):
        return True
    open_functions = []
    line, seen = 1, 0
    for found in BEGINS.finditer(text):
        line += text.count("\n", seen, found.start())
        seen = found.start()
        while open_functions and open_functions[-1][0] >= len(found[1]):
            if line - open_functions.pop()[1] >= FUNCTION_LINES_MOST:
                return True
        if found[2]:
            open_functions.append((len(found[1]), line))
    last = text.count("\n") + 1
    return any(last - first >= FUNCTION_LINES_MOST for _, first in open_functions)


def long_functions(text):
    with without_collecting():
        tree = ast.parse(text)
    return [
        node
        for node in statements(tree.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= FUNCTION_LINES_MOST
    ]


def name(file):
    return str(file.relative_to(ROOT))


def test_comments_and_docstrings_are_free():
    assert code_lines(
        '"""Sign."""\n\n# why\nX = 1\n"""Doc\nof X."""\ndef f():\n    """Doc."""\n    return 1\n'
    ) == {4, 7, 9}


def test_a_file_has_at_most_500_lines_of_code_and_a_function_60():
    offenders = []
    for file in FILES:
        text = file.read_text()
        functions = long_functions(text) if may_be_long(text) else []
        if not functions and text.count("\n") <= CODE_LINES_MOST:
            continue  # there are no more lines of code than lines: most files need not be read closely
        lines = code_lines(text)
        if len(lines) > CODE_LINES_MOST:
            offenders.append(f"{name(file)}: {len(lines)} lines of code")
        offenders += [
            f"{name(file)}: {node.name}"
            for node in functions
            if len(lines & set(range(node.lineno, node.end_lineno + 1))) > FUNCTION_LINES_MOST
        ]
    assert offenders == []


def test_a_module_has_a_sign_on_its_door():
    signed = re.compile(r'(?:#.*\n|\n)*r?"""\S.*[.:](?:"""|\n)')
    assert [name(file) for file in OURS if not signed.match(file.read_text())] == []


def test_no_room_has_more_files_side_by_side_than_can_be_overlooked():
    rooms = Counter(name(file.parent) for file in OURS if file.name not in {"__init__.py", "__main__.py"})
    assert {room: count for room, count in rooms.items() if count > FILES_MOST and room not in WIDE} == {}


def test_what_is_found_while_jobs_run_borrows_no_code_of_a_scores_checks():
    rooms = ("marianned/progress", "marianned/conductor")
    written = [
        (name(file), node.value)
        for file in OURS
        if name(file).startswith(rooms) and re.search(r"S\d{3}", file.read_text())
        for node in ast.walk(trees.tree_of(file))
        if isinstance(node, ast.Constant) and re.fullmatch(r"S\d{3}", str(node.value))
    ]
    assert {code[:2] for _, code in written} == {"S6"}, written


def test_a_name_of_a_class_means_one_thing():
    """`Output` was five classes in five rooms: who met it had to know from where it was imported."""
    found = Counter(one for file in OURS for one in CLASS.findall(file.read_text()))
    assert len(found) > 500
    assert [one for one, times in found.items() if times > 1] == []


ASKS = re.compile(r"^_*(?:is|has|may|can|was|are|does|needs)_|_(?:has|lives|is)$")
ACTS = re.compile(
    r"os\.(?:kill|killpg|unlink|rmdir|rename|replace|write|mkdir)|signal\.pidfd_send_signal|(?:self|draft)\.put"
)


def acts_in_questions(tree):
    """Yield the functions whose name asks whether something is so, and that do something instead."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ASKS.search(node.name):
            calls = (ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call))
            if any(ACTS.fullmatch(call) for call in calls):
                yield node.name


def test_a_name_that_asks_does_nothing():
    """`_group_has(SIGKILL)` killed a group: who read the call took it for a question."""
    assert [*acts_in_questions(ast.parse("def _group_has(number):\n    os.killpg(1, number)\n"))]
    texts = ((file, file.read_text()) for file in OURS)
    suspects = [file for file, text in texts if ACTS.search(text)]
    assert [(name(file), one) for file in suspects for one in acts_in_questions(trees.tree_of(file))] == []


def test_a_lock_that_others_hold_is_called_one():
    """`conductor.registry` was a lock, in a file registry.py, beside a `JobRegistry` of jobs."""
    public = re.compile(r"self\.([a-z]\w*)(?:: .+)? = \w+\.R?Lock\(")
    locks = [(name(file), one) for file in OURS for one in public.findall(file.read_text())]
    assert locks
    assert [(file, lock) for file, lock in locks if lock != "lock" and not lock.endswith("_lock")] == []


def is_pass_through(node):
    """Tell whether a function only calls another one, `name` or `module.name`, with what it was given itself."""
    body = [
        one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]
    if len(body) != 1 or not isinstance(body[0], ast.Return) or node.decorator_list:
        return False
    call, own = body[0].value, node.args
    named = isinstance(call, ast.Call) and re.fullmatch(r"\w+(\.\w+)?", ast.unparse(call.func))
    if not named or call.keywords or own.kwonlyargs or own.defaults or not own.args:
        return False
    given = [one.id if isinstance(one, ast.Name) else None for one in call.args]
    return given == [one.arg for one in own.args]


def test_no_function_only_hands_on_what_it_is_given():
    """`read_tail` was another name for `files.tail`: who reads one has to look up both."""
    found = [
        (name(file), node.name)
        for file in OURS
        for node in trees.tree_of(file).body
        if isinstance(node, ast.FunctionDef) and is_pass_through(node)
    ]
    assert found == []


def test_no_outermost_name_is_there_for_tests_alone():
    texts = {name(file): file.read_text() for file in OURS}
    times = Counter(word for text in texts.values() for word in re.findall(r"\w+", text))
    found = [
        (file, one) for file, text in texts.items() for pair in OUTERMOST.findall(text) for one in pair if one
    ]
    assert len(found) > 2000
    assert [(file, one) for file, one in found if times[one] == 1] == []


def test_what_changes_a_row_of_a_decision_says_so():
    """`draft.run(cancelling=True)` put a row, and read like a getter."""
    tree = trees.tree_of(ROOT / "marianned/progress/deciding/draft.py")
    methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    changing = [one.name for one in methods if one.args.kwarg and one.args.kwarg.arg == "changed"]
    assert len(changing) > 3
    assert [one for one in changing if one != "replace" and not one.startswith("update_")] == []
    rows = {node.name for node in methods if node.returns and ast.unparse(node.returns).endswith("Row")}
    assert [one for one in rows if "_" not in one] == []


def test_no_two_test_files_have_one_name():
    names = Counter(file.name for file in FILES if file.name.startswith("test_"))
    assert [n for n, count in names.items() if count > 1] == [], (
        "pytest imports test files by their names alone"
    )


def test_the_folders_of_unit_tests_are_rooms_of_the_house():
    folders = [folder for folder in (ROOT / "tests/unit").iterdir() if any(folder.glob("test_*.py"))]
    assert len(folders) > 5
    assert [f.name for f in folders if not (ROOT / "marianned" / f.name / "__init__.py").exists()] == []


def test_both_packages_carry_their_types():
    assert (ROOT / "marianned" / "py.typed").exists()
    assert (ROOT / "marianne_cli" / "py.typed").exists()
