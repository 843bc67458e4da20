"""What all tests share: this directory is on the import path; Hypothesis has no clock, and draws less in each run."""

import compileall
import gc
import importlib
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from kit import executors, nursery_alone, order
from kit.executors import _clusters, cluster, runs_on  # noqa: F401  fixtures
from kit.shared import _standing, in_turn  # noqa: F401  fixtures

from marianne_cli.client.dialling import current_umask
from marianned import worker_pool

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Background jobs of a shell ignore it, and so would all that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each of the hundreds of daemons and clients that tests start would compile its modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("marianne", deadline=None, print_blob=True, max_examples=40)
settings.load_profile("marianne")


pytest_generate_tests = executors.parametrise


def pytest_collection_modifyitems(config, items):
    """Leave out what can't be asked; put what is long where a worker begins."""
    executors.leave_out(config, items)
    if told := getattr(config, "workerinput", None):
        items[:] = order.arranged(items, told["workercount"])


TESTS = Path(__file__).parent
PACKAGES = [TESTS.parent / "marianned", TESTS.parent / "marianne_cli", TESTS / "kit"]


def pytest_configure(config):
    """Compile what all workers import, before any of them does."""
    if config.getoption("dist", "no") != "no":
        for package in PACKAGES:
            compileall.compile_dir(package, quiet=2, workers=0)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Let workers compile a part of the tests each; what is collected stays, and no collector looks at it again."""
    gc.disable()
    try:
        if told := getattr(session.config, "workerinput", None):
            _import_tests(session.config.args, int(told["workerid"].removeprefix("gw")), told["workercount"])
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_tests(asked, worker, workers):
    """Import the modules of the tests that are asked for, from this worker's share on; what can't be is told later."""
    places = [Path(one.partition("::")[0]).absolute() for one in asked]
    files = sorted({file for place in places for file in ([place], place.rglob("test_*.py"))[place.is_dir()]})
    first = len(files) * worker // workers
    for file in files[first:] + files[:first]:
        if str(file.parent) not in sys.path:
            sys.path.insert(0, str(file.parent))
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(file.stem)


@pytest.fixture(scope="session", autouse=True)
def _forked_nurseries():
    """Fork the nurseries of this process's loops, rather than launch each from the package's files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_pool, "_launch_from_files", nursery_alone.fork)
        yield


@pytest.fixture
def from_files(monkeypatch):
    """Launch nurseries as a daemon does that has no other way: from the package's files."""
    monkeypatch.setattr(worker_pool, "_launch_from_files", LAUNCHING)


@pytest.fixture(scope="session")
def anyio_backend():
    """The loop that the daemon runs on, and no other: older versions of anyio would try trio as well."""
    return "asyncio"


LAUNCHING = worker_pool._launch_from_files
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def _of_this_process():
    return current_umask(), [resource.getrlimit(limit) for limit in LIMITS]


@pytest.fixture(autouse=True, scope="module")
def _the_process_stays_as_it_is():
    """What tests leave behind in their process falls on others, minutes later: a browser that can't start, say."""
    before = _of_this_process()
    yield
    assert _of_this_process() == before


def _keywords(report):
    """Return the markers of a test; a module that is skipped whole is told without any."""
    return getattr(report, "keywords", ())


def pytest_xdist_auto_num_workers():
    """Run five workers for each processor: two of them wait for a cluster, and the others for daemons."""
    return 5 * len(os.sched_getaffinity(0))


def pytest_terminal_summary(terminalreporter):
    """Count, for each marker of ours that had tests skipped, what ran and what did not: CI reads it."""
    ours = [line.partition(":")[0] for line in terminalreporter.config.getini("markers") if ": " in line]
    stats = terminalreporter.stats
    for marker in ours:
        skipped = sum(marker in _keywords(report) for report in stats.get("skipped", ()))
        if skipped:
            ran = sum(
                marker in report.keywords for report in stats.get("passed", ()) if report.when == "call"
            )
            terminalreporter.write_line(f"marker {marker}: {ran} ran, {skipped} skipped")
