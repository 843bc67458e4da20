"""An agent rewrites what its chain runs next: that is said, and a pinned chain refuses it."""

import pytest
from kit.pinning import chain_in

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


@pytest.fixture
def chain(daemon):
    return chain_in(daemon)


def test_a_modify_pins_the_chain_as_it_is_by_then(daemon, chain):
    daemon.submit(chain("echo >> $HOME/b.yaml", pinned=True))
    daemon.wait_for("a", "failed")
    daemon.modify("a", chain("echo >> $HOME/b.yaml", pinned=True), resume=True)
    assert daemon.wait_for("a", "ended")["status"] == "completed"
