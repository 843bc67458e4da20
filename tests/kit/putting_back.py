"""Puts a failure back into a module that is loaded: one function, or constant, becomes what it was before.

The function keeps its identity and gets other code, so whoever has imported it by name has the failure, too.
"""

import ast
import importlib
import importlib.util
import inspect
import json
import shutil
from pathlib import Path

VARIABLE = "FAILURE_PUT_BACK"
"""Names, in the environment of a program that a zygote forks, the failure that it is to have, as `told` tells it."""


def told(function, right, wrong):
    """Return a failure as text: where it is (`module:name`), what stands there once, and what stood there before."""
    return json.dumps([function, right, wrong])


def put_back(text, room=None):
    """Have the failure; in `room`, a directory, lies what is executed, where others execute the module's file."""
    function, right, wrong = json.loads(text)
    module, _, name = function.partition(":")
    loaded = importlib.import_module(f"marianned.{module}")
    file = Path(loaded.__file__)
    source = _patched(file.read_text(), name.split("."), right, wrong)
    anew = {"__name__": loaded.__name__, "__package__": loaded.__package__, "__file__": loaded.__file__}
    exec(compile(source, file, "exec"), anew)
    was, becomes = (_found(name.split("."), names) for names in (vars(loaded), anew))
    if inspect.isfunction(was):
        was.__code__ = becomes.__code__
    else:
        assert name.startswith("_"), "others may have imported the constant by its name"
        setattr(loaded, name, becomes)
    if room is not None:
        copy = shutil.copytree(file.parent, room / file.parent.name) / file.name
        copy.write_text(source)
        loaded.__file__ = str(copy)
        loaded.__spec__ = importlib.util.spec_from_file_location(loaded.__name__, copy)


def _patched(source, path, right, wrong):
    """Return the text of a module with the failure in its function."""
    lines = source.splitlines(keepends=True)
    node = _named(path, ast.parse(source))
    start, end = node.lineno - 1, node.end_lineno
    own = "".join(lines[start:end])
    assert own.count(right) == 1, "the function has changed; write the failure anew"
    lines[start:end] = [own.replace(right, wrong)]
    return "".join(lines)


def _named(path, within):
    """Return the function of this name, or the constant."""
    (found,) = (node for node in within.body if path[0] in _names(node))
    return _named(path[1:], found) if path[1:] and isinstance(found, ast.ClassDef) else found


def _names(node):
    """Return what a statement gives a name to: the function or class it defines, or its constants."""
    targets = node.targets if isinstance(node, ast.Assign) else [node]
    return {getattr(one, "name", getattr(one, "id", None)) for one in targets}


def _found(path, names):
    """Return the function itself, below what decorates it."""
    found = names[path[0]]
    for name in path[1:]:
        found = vars(found)[name]
    return inspect.unwrap(getattr(found, "fget", getattr(found, "__func__", found)))
