"""Each test has a daemon of its own, or as if it were, and ends with none of its processes left."""

import pytest
from kit.daemon import AGENTS
from kit.executors import a_daemon
from kit.service import serving
from kit.shared import is_shared


@pytest.fixture
def house(request, runs_on):
    """A daemon that has not been started, or the one that is shared."""
    if is_shared(request) and runs_on == "local":
        yield request.getfixturevalue("in_turn")
        return
    with a_daemon(runs_on) as made:
        yield made


@pytest.fixture
def daemon(house):
    return house.start()


@pytest.fixture
def ledger(house):
    return house.ledger


@pytest.fixture
def service():
    with serving() as service:
        yield service


@pytest.fixture
def agents(house, service):
    """A daemon whose `claude` asks the service."""
    tools = house.home / "tools"
    tools.mkdir()
    (tools / "claude").symlink_to(AGENTS / "scripted")
    house.environment |= {
        "PATH": f"{tools}:{house.environment['PATH']}",
        "ANTHROPIC_BASE_URL": service.url,
        "ANTHROPIC_API_KEY": "dummy",
    }
    return house.start()
