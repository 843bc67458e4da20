"""The figures of the performance page are those that the benchmark prints."""

import json
import re
import runpy
import subprocess
import sys

import pages
import pytest

BENCHMARKS = pages.ROOT / "tests" / "benchmarks"
SCRIPT = BENCHMARKS / "run.py"
LABEL = re.compile(r"^([^:|]+?):", re.MULTILINE)


@pytest.fixture
def played(monkeypatch):
    """Run such a program in this process, which has loaded what it starts."""

    def play(script, *words):
        monkeypatch.setattr(sys, "argv", [str(script), *words])
        monkeypatch.setattr(sys, "path", [*sys.path])
        runpy.run_path(str(script), run_name="__main__")

    return play


@pytest.mark.slow
def test_the_benchmark_runs_and_prints_what_the_page_shows_and_warns_of_what_is_worse(
    tmp_path, played, capsys
):
    kept, now = tmp_path / "kept.json", tmp_path / "now.json"
    rows = {
        "mzt pause": {"value": 0.1, "unit": "ms", "floor": "python -c pass", "times": 0.01},
        "echo, 1 at once": {"value": 1e9, "unit": "a second", "floor": None},
        "mzt list": {"value": 1e9, "unit": "ms", "floor": "python -c pass", "times": 1e9},
    }
    kept.write_text(json.dumps({"rows": rows}))
    played(SCRIPT, "--short", "--json", str(now), "--against", str(kept))
    said = capsys.readouterr()
    shown = pages.text_of("docs/performance.md").partition("```text\n")[2].partition("```")[0]
    assert LABEL.findall(said.out) == LABEL.findall(shown)
    warned = [line.partition(": ")[2].partition(":")[0] for line in said.err.splitlines()]
    assert sorted(warned) == ["echo, 1 at once", "mzt pause"]
    assert list(json.loads(now.read_text())["rows"]) == LABEL.findall(shown)


def test_the_picture_of_slopes_has_a_line_for_each_row(tmp_path, played, capsys):
    picture = tmp_path / "slopes.svg"
    played(BENCHMARKS / "growth.py", "--short", "--json", "--svg", str(picture))
    rows = sum(map(len, json.loads(capsys.readouterr().out).values()))
    assert picture.read_text().count("<polyline ") == rows >= 13


def test_each_can_be_typed_as_the_page_shows():
    """What is played above is played where all that it imports is found."""
    for script in (SCRIPT, BENCHMARKS / "growth.py"):
        said = subprocess.run([sys.executable, script, "--help"], cwd=pages.ROOT, capture_output=True, text=True, check=False)  # fmt: skip
        assert (said.returncode, said.stderr) == (0, ""), script
        assert "--short" in said.stdout, script
