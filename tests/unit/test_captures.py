"""Which files `capture_files` finds: as the glob of the shell does, but through no link to a directory."""

import glob
from pathlib import Path

import pytest

from marianned import captures


@pytest.fixture
def work(tmp_path):
    for name in ("a.md", "b/c.md", "b/d/e.md", "b/d/f.txt", ".hidden/g.md", "b/.h.md", "[x]/i.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def regular(paths):
    return {path for path in paths if Path(path).is_file()}


@pytest.mark.parametrize(
    "pattern",
    ["*.md", "**/*.md", "b/**", "**/d/*", "b/**/*.md", "*/**/*.md", "**/b/**/*.txt", "none/**/*", "a.md"],
)
def test_a_pattern_finds_what_a_glob_does(work, pattern):
    wanted = glob.glob(f"{work}/{pattern}", recursive=True)  # noqa: PTH207  what it is compared with
    assert regular(captures.matching(f"{work}/{pattern}")) == regular(wanted)


def test_links_that_lead_in_circles_and_to_everywhere_cost_nothing(work):
    for name, target in {"up": "..", "root": "/", "self": ".", "again": "."}.items():
        (work / "b" / name).symlink_to(target)
    files, left_out = captures.read([f"{work}/**/*.md"], 1_000, str(work))
    assert sorted(path.removeprefix(f"{work}/") for path in files) == [
        "[x]/i.md",
        "a.md",
        "b/c.md",
        "b/d/e.md",
    ]
    assert left_out == []
