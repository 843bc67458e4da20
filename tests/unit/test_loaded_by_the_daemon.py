"""What a daemon loads when it starts: each start, after a crash too, waits for it."""

import subprocess
import sys

FOR_WORKERS = [
    "jinja2",
    "yaml",
    "urllib.request",
    "http.client",
    "marianned.score.check.compiler",
    "marianned.instruments.output",
    "marianned.instruments.recognising",
]


def test_what_only_workers_need_is_not_loaded():
    code = f"import sys, marianned.service; print([name for name in {FOR_WORKERS} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
