"""The tests of attempts on this host, once more on a cluster: what is said there of a command holds on a node.

They are taken as they are, with an attempt whose executor is another one.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path

import pytest
from trying import watched

from marianned.executors.clusters.slurm import Slurm

ROOM = Path(__file__).parents[1] / "unit" / "executors"
sys.path.insert(0, str(ROOM))  # where it is collected as well, it is there already

pytestmark = [pytest.mark.anyio, pytest.mark.slurm]
MODULES = (
    "test_shim_command",
    "test_asked_to_stop",
    "test_raised_limits",
)
NOT_HERE = {
    "test_the_environment_is_that_of_the_spec_and_the_mark": "there are the job's own variables, too",
    "test_files_of_an_attempt_are_private": "there are more of them",
    "test_an_exit_code_survives_a_parent_that_ignores_its_children": "of the front, which a job has not",
    "test_many_attempts_run_at_once_without_mixing": "tried by test_one_look.py",
}
"""Those that are left out, and why."""


def shared():
    """Return the tests by their names."""
    found = {}
    for module in map(import_module, MODULES):
        for name, test in inspect.getmembers(module, inspect.iscoroutinefunction):
            own = name.startswith("test_") and test.__module__ == module.__name__
            if own and name not in NOT_HERE:
                found[name] = test
    return found


globals().update(shared())


@pytest.fixture
async def attempt(cluster, tmp_path):
    from attempts import Attempt

    made = Attempt(tmp_path)
    async with watched(Slurm(), tmp_path / "attempts", lost_after=2.0) as executor:
        made.executor = executor
        yield made
    made.leash.close()
