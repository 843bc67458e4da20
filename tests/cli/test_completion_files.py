"""The files that shells load the completion of mzt from, as the wheel has them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "docs" / "completion"
SHELLS = {
    "bash": f"source {FILES}/mzt.bash; complete -p mzt",
    "zsh": f"fpath=({FILES} $fpath); autoload -U compinit; compinit -D; print -r -- $_comps[mzt]",
    "fish": f"source {FILES}/mzt.fish; complete -c mzt",
}
SAID = {
    "bash": "complete -o nosort -F _mzt_completion mzt",
    "zsh": "_mzt",
    "fish": "_mzt_completion",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_mzt_from_the_file(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "dumb",
    }
    done = subprocess.run(
        [shell, "-c", SHELLS[shell]], env=environment, capture_output=True, text=True, check=False
    )
    assert SAID[shell] in done.stdout, done.stderr
    assert done.stderr == ""
