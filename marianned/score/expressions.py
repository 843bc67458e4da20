"""`skip_when`: whether an expression keeps to its small language (it is not evaluated yet).

Source: spec/score-format.md §14.
"""

import ast

_ATTRIBUTES = {
    "status",
    "validation_passed",
    "exit_code",
    "attempts",
    "error",
    "name",
    "run",
    "workspace",
    "get",
}
_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.cmpop),
    *(ast.Subscript, ast.Attribute, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple, ast.Call),
)
_MOST_CHARACTERS = 2_000


def expression_fault(text: str) -> str | None:
    """Say why a text is no `skip_when` expression, or nothing."""
    if len(text) > _MOST_CHARACTERS:
        return f"longer than {_MOST_CHARACTERS} characters"
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "cannot be parsed"
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or isinstance(node, ast.Is | ast.IsNot):
            return f"'{ast.unparse(node)[:40]}' is not possible here"
        if isinstance(node, ast.Attribute) and node.attr not in _ATTRIBUTES:
            return f"there is no attribute '{node.attr}'"
        if isinstance(node, ast.Call) and ast.unparse(node.func) != "sheets.get":
            return f"'{ast.unparse(node.func)[:40]}' cannot be called"
    return None
