"""The programs that supervise (shim.py, forkserver.py and what they load), kept open by this process.

An upgrade can take the files of the package away, or put others there, while the daemon runs: what it starts
later must still be what it has begun with. So their code is read once and lies in a file without a name, from
which the interpreter runs it; the files themselves are not looked at again.
"""

import importlib.util
import marshal
import os
import sys
from functools import cache
from importlib.abc import InspectLoader
from pathlib import Path
from types import CodeType

_NAMES = ("shim", "children", "silence", "lastword", "limit", "forkserver")
_SHIPPED = ("shim", "children", "silence", "lastword", "limit", "order")
"""What a cluster's nodes run, whose interpreter may be another one: it gets their sources."""
_PACKAGE = "marianned.executors"
_HOLE = "the code of each"
"""A word of _BOOT, in whose place that is put once it is compiled: as a source it took 3 ms of each start."""
_BOOT = """
CODE = dict("the code of each")
import marshal, posix, sys
class Kept:
    def find_spec(self, name, path=None, target=None):
        return type(sys.__spec__)(name, self) if name in CODE else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        run(module.__name__, module.__dict__)
def run(name, names):
    names["__file__"] = f"/none/{name}.py"
    exec(marshal.loads(CODE[name]), names)
posix.close(int(sys.argv[0].rpartition("/")[2]))
sys.meta_path.insert(0, Kept())
run(sys.argv.pop(1), globals())
"""


def interpreter() -> str:
    """Return the interpreter itself, which stays where an environment around it is made anew."""
    return _behind(sys.executable)


@cache
def _behind(path: str) -> str:
    return os.path.realpath(path)


_behind(sys.executable)  # now: later the link may be gone


@cache
def held() -> int:
    """Return a descriptor of the programs: `INTERPRETER -I -S /proc/self/fd/N NAME`, with N passed on."""
    code = tuple((name, marshal.dumps(_code(name))) for name in _NAMES)
    boot = compile(_BOOT, "<programs>", "exec")
    boot = boot.replace(co_consts=tuple(code if one == _HOLE else one for one in boot.co_consts))
    header = importlib.util.MAGIC_NUMBER + bytes(12)  # neither a time nor a size of a source to compare with
    descriptor = os.memfd_create("marianne-programs")
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(header + marshal.dumps(boot))
    return descriptor


def command(name: str, *arguments: str | Path) -> list[str | Path]:
    """Return the words that run one of the programs; `held()` has to be passed on to it."""
    return [interpreter(), "-I", "-S", f"/proc/self/fd/{held()}", name, *arguments]


@cache
def sources() -> dict[str, bytes]:
    """Return the sources of what a node runs, by the names of their files; read once, as `held` is."""
    found = [importlib.util.find_spec(f"{_PACKAGE}.{name}") for name in _SHIPPED]
    places = [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]
    return {place.name: place.read_bytes() for place in places}


def _code(name: str) -> CodeType:
    spec = importlib.util.find_spec(f"{_PACKAGE}.{name}")
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    code = spec.loader.get_code(spec.name)
    assert code is not None
    return code
