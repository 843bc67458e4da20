"""The kernel tells when a file is deleted, moved or replaced; where it does not, the files are looked at after a while."""

import os
import socket
from pathlib import Path

import anyio
import pytest

from marianned import file_watch
from marianned.file_watch import FileWatch

pytestmark = pytest.mark.anyio


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.touch()
    other.replace(file)


def moved(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))


@pytest.mark.parametrize("how", [Path.unlink, replaced, moved])
async def test_what_becomes_of_a_file_is_told_at_once(tmp_path, how):
    file, beside = tmp_path / "file", tmp_path / "beside"
    beside.touch()
    with socket.socket(socket.AF_UNIX) as listener, anyio.fail_after(30):
        listener.bind(str(file))
        with FileWatch([beside, file]) as watch:
            how(file)
            await watch.touched()


async def test_what_is_written_is_not_told(tmp_path, monkeypatch):
    monkeypatch.setattr(file_watch, "_LOOK_SECONDS", 0.05)
    file = tmp_path / "file"
    with file.open("wb", buffering=0) as written, FileWatch([file]) as watch:
        written.write(b"much")
        os.ftruncate(written.fileno(), 1)
        with anyio.fail_after(30):
            await watch.touched()


async def test_where_nothing_is_told_it_is_looked_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(file_watch, "_UNTOLD_SECONDS", 0.05)
    with FileWatch([tmp_path / "nothing"]) as watch, anyio.fail_after(30):
        await watch.touched()
