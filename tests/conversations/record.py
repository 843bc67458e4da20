"""Records what a release takes and answers: `python tests/conversations/record.py PYTHON`.

PYTHON is the interpreter of an environment that has the released program. It writes VERSION.jsonl, a conversation,
and VERSION.params.json, the params that each method has, both of which later versions are tested against.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "daemon")]

import test_conversations as talk  # noqa: E402  the path is ours
from kit.daemon import Daemon  # noqa: E402

_TAKES = """
import json, msgspec, marianned
from marianned.protocol import METHODS
fields = msgspec.structs.fields
takes = {name: [one.encode_name for one in fields(METHODS[name].params)] for name in sorted(METHODS)}
print(json.dumps([marianned.__version__, takes]))
"""


def main(python: str) -> None:
    """Write both files of the release that this interpreter has."""
    said = subprocess.run([python, "-I", "-c", _TAKES], capture_output=True, text=True, check=True).stdout
    version, takes = json.loads(said)
    lines = [f"{json.dumps(name)}: {json.dumps(takes[name])}" for name in takes]
    (HERE / f"{version}.params.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    asked = [
        (method, {name: value for name, value in params.items() if name in takes[method]})
        for method, params in talk.ASKED
        if method in takes
    ]
    sys.executable = python
    daemon = Daemon(executed=True)
    try:
        daemon.start()
        (daemon.home / "talk.yaml").write_text(talk.SCORE)
        talk.write(HERE / f"{version}.jsonl", talk.converse(daemon, asked), daemon.home)
    finally:
        daemon.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
