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


def test_a_modify_pins_the_chain_as_it_is_by_then(daemon, chain):
    daemon.submit(chain("echo >> $HOME/b.yaml", pinned=True))
    daemon.wait_for("a", "failed")
    daemon.modify("a", chain("echo >> $HOME/b.yaml", pinned=True), resume=True)
    assert daemon.wait_for("a", "ended")["status"] == "completed"
