"""A chain of three scores, which an agent in it may rewrite."""

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


def chain_in(daemon):
    """Write scores a → b → c into the home, with an instrument beside them that c runs on; return how to make an a."""
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
