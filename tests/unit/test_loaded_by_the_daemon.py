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


LATER = """
import importlib, pkgutil, sys
from marianned import workers
workers.load()
for name in ("jinja2", "markupsafe", "msgspec", "yaml"):
    found = pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}.")
    print(*(one.name for one in found if one.name not in sys.modules), sep="\\n")
"""
NEVER = {"jinja2.ext", "jinja2.nativetypes", "markupsafe._native"}
"""What workers have no use for: no extension is asked for, no native types, and markupsafe has its C part."""


def test_a_worker_has_loaded_all_that_libraries_load_when_they_first_need_it():
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} <= NEVER, "workers.load: in what is held open for them it would be missing"
