"""What is held of a module is what its source says now, whatever lies beside it as compiled."""

import importlib.util
import marshal
import sys
from pathlib import Path

import pytest

from marianned import code_images


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that the interpreter finds, whose compiled file may be written."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    importlib.invalidate_caches()
    source = tmp_path / "what_is_held.py"
    source.write_text("found = 1\n")
    return source


def found(module):
    names = {}
    exec(marshal.loads(code_images.code_of(module.stem)[0]), names)
    return names["found"]


def test_the_compiled_file_is_taken_as_it_is(module, monkeypatch):
    assert found(module) == 1
    assert Path(importlib.util.cache_from_source(str(module))).exists()
    monkeypatch.setattr(
        importlib.machinery.SourceFileLoader, "get_code", lambda *_: pytest.fail("compiled anew")
    )
    assert found(module) == 1


def _of_another_time(compiled):
    compiled.write_bytes(compiled.read_bytes()[:8] + bytes(4) + compiled.read_bytes()[12:])


def _of_another_interpreter(compiled):
    compiled.write_bytes(bytes(4) + compiled.read_bytes()[4:])


def _checked_by_its_hash(compiled):
    compiled.write_bytes(compiled.read_bytes()[:4] + bytes([3, 0, 0, 0]) + compiled.read_bytes()[8:])


def _cut_off(compiled):
    compiled.write_bytes(compiled.read_bytes()[:10])


@pytest.mark.parametrize(
    "spoil", [Path.unlink, _of_another_time, _of_another_interpreter, _checked_by_its_hash, _cut_off]
)
def test_one_that_is_not_of_this_source_is_not(module, spoil):
    assert found(module) == 1
    compiled = Path(importlib.util.cache_from_source(str(module)))
    kept = compiled.read_bytes()[:16]
    compiled.write_bytes(kept + marshal.dumps(compile("found = 2", "other", "exec")))
    assert found(module) == 2, "where its head is right it is believed, as an import does"
    spoil(compiled)
    assert found(module) == 1
