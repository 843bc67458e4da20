"""The last lines of an output are read from its end."""

from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marianned.executors import output


@given(st.lists(st.sampled_from([b"a", b"\n", b"bc\n"]), max_size=40), st.integers(0, 9), st.integers(1, 7))
def test_the_last_lines_are_found_from_the_end_whatever_the_block(
    parts: list[bytes], lines: int, block: int
) -> None:
    data = b"".join(parts)
    with NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "_BLOCK", block)
        file.write(data)
        file.flush()
        begin = output.last_lines(Path(file.name), lines)
    kept = data.splitlines(keepends=True)
    assert data[begin:] == b"".join(kept[len(kept) - lines :] if lines < len(kept) else kept if lines else [])


def test_the_last_lines_lie_on_both_sides_of_what_was_punched_out(tmp_path: Path) -> None:
    file = tmp_path / "stdout"
    with file.open("wb") as written:
        written.write(b"first\nsecond\n".ljust(4096, b"."))
        written.seek(1 << 22)
        written.write(b"\nlast but one\nlast\n")
    assert file.read_bytes()[output.last_lines(file, 2) :] == b"last but one\nlast\n"
    assert output.last_lines(file, 4) == len("first\n")
