"""An agent rewrites what its chain runs next: that is said, and a pinned chain refuses it."""

import pytest
from kit.pinning import chain_in


@pytest.fixture
def chain(daemon):
    return chain_in(daemon)


def submitted(daemon, job):
    return [event["text"] for event in daemon.journal(job) if event["type"] == "job.submitted"][-1]


def test_what_differs_from_the_run_before_is_said_in_the_history_of_a_chained_run(daemon, chain):
    daemon.submit(chain("true"))
    daemon.wait_for("a", "completed")
    assert submitted(daemon, "c") == "submitted: 1 sheet"
    plant = f"cp {daemon.home}/.marianne/instruments/own.yaml $HOME/.marianne/instruments/zz.yaml; echo >> $HOME/c.yaml"
    daemon.submit(chain(plant))
    daemon.wait_for("a", "completed")
    new = f"{daemon.home}/.marianne/instruments/zz.yaml"
    assert submitted(daemon, "b") == f"submitted: 1 sheet; unlike in b@1, '{new}' is new"
    assert submitted(daemon, "c") == (
        f"submitted: 1 sheet; unlike in c@1, '{new}' is new, '{daemon.home}/c.yaml' has changed"
    )


@pytest.mark.parametrize(
    ("changed", "refused"), [("b.yaml", "a"), ("c.yaml", "b"), (".marianne/instruments/own.yaml", "a")]
)
def test_a_pinned_chain_runs_to_its_end_only_as_it_was_submitted(daemon, chain, changed, refused):
    daemon.submit(chain("true", pinned=True))
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    assert daemon.status("c")["status"] == "completed"
    daemon.submit(chain(f"echo >> $HOME/{changed}", pinned=True))
    assert daemon.wait_for("a", "ended")["status"] == "failed"
    (hook,) = daemon.status(refused)["hooks"]
    assert hook["error_message"] == (
        f"concert.pinned: '{daemon.home}/{changed}' has changed since the submission"
    )
