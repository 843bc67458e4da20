"""Each test that asks for it has a home, and ends with none of its jobs and no daemon left."""

import pytest
from home_for_tests import Home
from kit import zygote


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    if made.started is not None:
        with made.started as process:
            process.kill()
    zygote.run(
        made.command(["cancel", "--all", "-y", "--wait", "-t", "20"]), env=made.environment, cwd=tmp_path, check=False,
        capture_output=True,
    )  # fmt: skip
    zygote.run(made.command(["stop"]), env=made.environment, cwd=tmp_path, check=True, capture_output=True)
