"""Output beyond its cap: the ends are kept, the middle is punched out, and a reader is told."""

import os
from pathlib import Path

import anyio
import pytest
from attempts import Attempt, refuse_calls, write

from marianned.executors.output import read_piece

pytestmark = [pytest.mark.anyio, pytest.mark.both]

KIB = 1024
CAP = 512 * KIB
LINE = 16
LINES = 256 * KIB
FLOOD = f"awk 'BEGIN {{ for (i = 0; i < {LINES}; i++) printf \"%015d\\n\", i }}'"
"""4 MiB; the line at each place tells its own place."""

TOLERANCE = 2 * 64 * KIB
"""Holes are made of whole blocks."""


def line(number: int) -> bytes:
    return b"%015d\n" % number


def held(path: Path) -> int:
    return path.stat().st_blocks * 512


async def test_a_flood_keeps_its_size_and_its_ends(attempt: Attempt) -> None:
    record = await attempt.run(attempt.spec("sh", "-c", f"{FLOOD}; echo few >&2", output_cap=CAP))
    path = attempt.directory / "stdout"
    assert (record.exit_code, record.output_exceeded) == (0, False)
    assert path.stat().st_size == LINES * LINE
    assert CAP <= held(path) <= CAP + TOLERANCE
    content = path.read_bytes()
    half = CAP // 2
    assert content[:half] == b"".join(map(line, range(half // LINE)))
    assert content[-half:] == b"".join(map(line, range(LINES - half // LINE, LINES)))
    assert attempt.output("stderr") == "few\n"


async def test_a_flood_is_cut_while_the_command_runs(attempt: Attempt) -> None:
    script = f"{FLOOD}; echo ready >&9; read word <go; echo done"
    os.mkfifo(attempt.workspace / "go")
    await attempt.start(attempt.script(script, output_cap=CAP))
    await attempt.leash.line()
    path = attempt.directory / "stdout"
    with anyio.fail_after(30):
        while held(path) > CAP + TOLERANCE:  # noqa: ASYNC110  a file system tells nobody
            await anyio.sleep(0.02)
    await write(attempt.workspace / "go", "go\n")
    await attempt.wait()
    assert path.read_bytes().endswith(line(LINES - 1) + b"done\n")


async def test_without_a_cap_all_is_kept(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("sh", "-c", FLOOD))
    assert held(attempt.directory / "stdout") >= LINES * LINE


async def test_where_holes_cannot_be_punched_the_attempt_is_ended(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_calls(attempt, monkeypatch, "fallocate")
    record = await attempt.run(attempt.script(f"{FLOOD}; sleep 1000", output_cap=CAP))
    assert (record.output_exceeded, record.asked, record.timed_out) == (True, False, False)


async def test_where_holes_cannot_be_punched_less_than_the_cap_is_no_harm(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_calls(attempt, monkeypatch, "fallocate")
    record = await attempt.run(attempt.spec("sh", "-c", FLOOD, output_cap=LINES * LINE))
    assert (record.exit_code, record.output_exceeded) == (0, False)


async def test_pieces_tell_what_was_skipped(attempt: Attempt) -> None:
    await attempt.run(attempt.spec("sh", "-c", FLOOD, output_cap=CAP))
    path = attempt.directory / "stdout"
    content, offset, holes = path.read_bytes(), 0, []
    while piece := read_piece(path, offset, 100_000):
        data, skipped = piece
        if not data and not skipped:
            break
        holes += [(offset, skipped)] if skipped else []
        offset += skipped
        assert data == content[offset : offset + len(data)]
        assert b"\0" not in data
        offset += len(data)
    assert offset == len(content)
    assert len(holes) == 1
    start, length = holes[0]
    assert start >= CAP // 2
    assert start + length <= len(content) - CAP // 2


def test_a_piece_from_within_a_hole_begins_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"a" * 64 * KIB)
        file.seek(192 * KIB)
        file.write(b"z" * 10)
    assert read_piece(path, 100 * KIB, 5) == (b"zzzzz", 92 * KIB)
    assert read_piece(path, 64 * KIB - 3, 100) == (b"aaa", 0)


def test_a_hole_at_the_end_is_skipped_too(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"a")
        file.truncate(256 * KIB)
    data, skipped = read_piece(path, 128 * KIB, 10)
    assert (data, skipped) == (b"", 128 * KIB)


def test_at_the_end_there_is_neither_data_nor_hole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert read_piece(path, 1, 10) == (b"bc", 0)
    assert read_piece(path, 3, 10) == (b"", 0)
    assert read_piece(path, 4, 10) == (b"", 0)
    with pytest.raises(FileNotFoundError):
        read_piece(tmp_path / "none", 0, 10)
