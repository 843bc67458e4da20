"""An agent rewrites what its chain runs next: that is said, and a pinned chain refuses it."""

import pytest
from kit.daemon import score

PROFILE = """\
name: {name}
kind: cli
raw_prompt: true
script: shell
cli:
  command: {{executable: bash, prompt_via_stdin: false, prompt_flag: -c}}
"""
CHAIN = {"cooldown_between_jobs_seconds": 0}


@pytest.fixture
def chain(daemon):
    """Scores a → b → c in the home, with an instrument beside them that c runs on."""
    place = daemon.home / ".marianne" / "instruments"
    place.mkdir(parents=True, mode=0o700)
    (place / "own.yaml").write_text(PROFILE.format(name="own"))

    def first(*bodies, **concert):
        return score("a", bodies, on_success=[to("b")], concert=CHAIN | concert)

    def to(name):
        return {"type": "run_job", "job_path": f"{name}.yaml"}

    (daemon.home / "b.yaml").write_text(score("b", ["true"], on_success=[to("c")], concert=CHAIN))
    (daemon.home / "c.yaml").write_text(score("c", ["true"], instrument="own"))
    return first


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
