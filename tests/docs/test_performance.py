"""The figures of the performance page are those that the benchmark prints."""

import re
import subprocess
import sys

import pages

SCRIPT = pages.ROOT / "tests" / "benchmarks" / "run.py"
LABEL = re.compile(r"^([^:|]+?):", re.MULTILINE)


def test_the_benchmark_runs_and_prints_what_the_page_shows():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--short"], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = pages.text_of("docs/performance.md").partition("```text\n")[2].partition("```")[0]
    assert LABEL.findall(done.stdout) == LABEL.findall(shown)
