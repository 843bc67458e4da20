"""The output that is looked at for a last word is the one that was opened, whatever has its name by then."""

import os
from pathlib import Path

import pytest

from marianned.executors import shim


@pytest.mark.parametrize("planted", ["pipe", "link"])
def test_what_the_command_puts_in_the_place_of_its_output_is_not_opened(tmp_path, monkeypatch, planted):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(shim.__file__).parent))
    output = shim.Output(None)
    output.open()
    Path(shim.STDOUT).unlink()
    if planted == "pipe":
        os.mkfifo(shim.STDOUT)
    else:
        Path(shim.STDOUT).symlink_to("/etc/passwd")
    final = {"grace": 0.0, "event": "result", "where": {}, "goes_on": []}
    (watch,) = shim._watches({"final": final, "silence": None}, output).values()
    os.write(output.files[0], b'{"type": "result"}\n')
    while watch.poll():
        pass
    assert watch.spoken
    for file in (*output.files, watch.file):
        os.close(file)
