"""Images of code: modules compiled into a file in memory, open and without a name, which an interpreter runs.

An upgrade can take the files of the package away, or put others there, while the daemon runs: what it starts
later must still be what it has begun with. So code is read once, and the files themselves are not looked at
again. Only those of the interpreter, and so of the standard library, are read when one begins.
"""

import importlib.util
import marshal
import os
import struct
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_BOOT = """
import marshal, posix, sys
MODULES = dict("MODULES")
VALUES = "VALUES"
LIBRARIES = {}
class ImageFinder:
    def find_spec(self, name, path=None, target=None):
        kind = type(sys.__spec__)
        if name in LIBRARIES:
            place = f"/proc/self/fd/{LIBRARIES[name]}"
            loader = sys.modules["_frozen_importlib_external"].ExtensionFileLoader(name, place)
            return kind(name, loader, origin=place)
        return kind(name, self, is_package=MODULES[name][1] is not None) if name in MODULES else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        run(module.__name__, module.__dict__)
    def get_source(self, name):
        return MODULES[name][1]
def run(name, names):
    names["__file__"] = f"/none/{name.replace('.', '/')}.py"
    exec(marshal.loads(MODULES[name][0]), names)
posix.close(int(sys.argv[0].rpartition("/")[2]))
sys.meta_path.insert(0, ImageFinder())
run(sys.argv.pop(1), globals())
"""
"""What runs first: MODULES has the code of each module and, of a package, its text; VALUES a constant for it.

Both are put in the place of these words once it is compiled: as a source they took 60 ms. Whoever holds
libraries says at which descriptors they are. There are packages that look at their own text.
"""


_HEAD = struct.Struct("<4sIII")
"""How a compiled file begins: the interpreter's number, 0, and time and size of its source."""
_LOW = 0xFFFFFFFF


def interpreter() -> str:
    """Return the interpreter itself, which stays where an environment around it is made anew."""
    return _resolve(sys.executable)


@cache
def _resolve(path: str) -> str:
    return os.path.realpath(path)


_resolve(sys.executable)  # now: later the link may be gone


_BOOTING = compile(_BOOT, "<held>", "exec")


def make_image(name: str, codes: Mapping[str, tuple[bytes, str | None]], values: Any = None) -> int:
    """Return a descriptor N for `INTERPRETER -I -S /proc/self/fd/N MODULE`, with N passed on to it.

    Args:
        name: what the file is called where open files are listed.
        codes: the code of each module, as marshal has it, and the text of it if it is a package.
        values: a constant; the program finds it as VALUES.

    Raises:
        OSError: there is no room for it.
    """
    given = {"MODULES": tuple(codes.items()), "VALUES": values}
    boot = _BOOTING.replace(co_consts=tuple(_put(given, constant) for constant in _BOOTING.co_consts))
    header = importlib.util.MAGIC_NUMBER + bytes(12)  # neither a time nor a size of a source to compare with
    descriptor = os.memfd_create(name)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(header + marshal.dumps(boot))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _put(given: Mapping[str, object], constant: object) -> Any:
    return given.get(constant, constant) if isinstance(constant, str) else constant


def code_of(name: str) -> tuple[bytes, str | None]:
    """Return the marshalled code of a module as it is on the disk, and its text if it is a package."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    loader: Any = spec.loader
    code = _read_compiled(spec.origin, spec.cached) or marshal.dumps(loader.get_code(spec.name))
    return code, _source_text(loader, name) if spec.submodule_search_locations is not None else None


def _read_compiled(source: str | None, cached: str | None) -> bytes | None:
    """Return what the compiled file of a source has, where its head says that it is of that source (PEP 552).

    To load the code of all that workers need, and to marshal it again, took 45 ms more.
    """
    if source is None or cached is None:
        return None
    try:
        file = Path(cached).read_bytes()
        found = os.stat(source)  # noqa: PTH116  as above
    except OSError:
        return None
    head = _HEAD.pack(importlib.util.MAGIC_NUMBER, 0, int(found.st_mtime) & _LOW, found.st_size & _LOW)
    return file[_HEAD.size :] if file.startswith(head) else None


def _source_text(loader: Any, name: str) -> str:
    return loader.get_source(name) or ""


def third_party_modules(modules: Iterable[ModuleType]) -> tuple[list[str], dict[str, str]]:
    """Name, of these, those that are not the interpreter's own: modules, and libraries with their files."""
    own = os.path.dirname(os.__file__)  # noqa: PTH120  it is compared as a text
    codes: list[str] = []
    libraries: dict[str, str] = {}
    for module in modules:
        spec = getattr(module, "__spec__", None)
        if spec is None or spec.origin is None or spec.name.partition(".")[0] in sys.stdlib_module_names:
            continue
        if os.path.dirname(spec.origin) == own:  # noqa: PTH120
            continue
        if spec.origin.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
            libraries[spec.name] = spec.origin
        elif hasattr(spec.loader, "get_code"):
            codes.append(spec.name)
    return codes, libraries
