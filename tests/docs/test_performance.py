"""The figures of the performance page are those that the benchmark prints."""

import json
import re
import subprocess
import sys

import pages
import pytest

BENCHMARKS = pages.ROOT / "tests" / "benchmarks"
SCRIPT = BENCHMARKS / "run.py"
LABEL = re.compile(r"^([^:|]+?):", re.MULTILINE)


@pytest.mark.slow
def test_the_benchmark_runs_and_prints_what_the_page_shows_and_warns_of_what_is_worse(tmp_path):
    kept, now = tmp_path / "kept.json", tmp_path / "now.json"
    rows = {
        "mzt pause": {"value": 0.1, "unit": "ms", "floor": "python -c pass", "times": 0.01},
        "echo, 1 at once": {"value": 1e9, "unit": "a second", "floor": None},
        "mzt list": {"value": 1e9, "unit": "ms", "floor": "python -c pass", "times": 1e9},
    }
    kept.write_text(json.dumps({"rows": rows}))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--short", "--json", str(now), "--against", str(kept)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = pages.text_of("docs/performance.md").partition("```text\n")[2].partition("```")[0]
    assert LABEL.findall(done.stdout) == LABEL.findall(shown)
    warned = [line.partition(": ")[2].partition(":")[0] for line in done.stderr.splitlines()]
    assert sorted(warned) == ["echo, 1 at once", "mzt pause"]
    assert list(json.loads(now.read_text())["rows"]) == LABEL.findall(shown)


def test_the_picture_of_slopes_has_a_line_for_each_row(tmp_path):
    picture = tmp_path / "slopes.svg"
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "growth.py"), "--short", "--json", "--svg", str(picture)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = sum(map(len, json.loads(done.stdout).values()))
    assert picture.read_text().count("<polyline ") == rows >= 13
