"""A score for other readers too: what is ours alone is told where it stands, and only on request."""

from kit.tables import each
from scores import Disk, compiled, marked, score

OURS = [
    score() + "«on_failure: pause\n",
    score() + "«labels: [nightly]\n",
    score() + "«executor: slurm\n",
    score() + "movements: {2: {«executor: local}}\n",
    score() + "instruments: {mine: {profile: tool, «executor: slurm}}\n",
    score(instrument="cli") + "instrument_config: {«errexit: true}\n",
    score() + "instrument_config: {«env: {A: b}}\n",
    score(instrument="cli") + "instrument_config: {«script: whole}\n",
    score() + "instruments: {mine: {profile: tool, config: {«env: {A: b}}}}\n",
    score() + "movements: {2: {instrument_config: {«env: {A: b}}}}\n",
    score(sheet="{size: 1, total_items: 4, per_sheet_instrument_config: {2: {«env: {A: b}}}}"),
]
PROFILE = """name: mine
kind: cli
cli:
  command: {executable: a, «private_tmp: true}
"""
FILE = "/s/.marianne/instruments/mine.yaml"


def extensions(text, disk=None):
    problems = compiled(text, disk, portable=True).problems
    return [(p.file, p.line, p.column) for p in problems if p.code == "S510"]


@each("text", OURS)
def test_a_key_of_ours_is_told_at_its_place(text):
    text, line, column = marked(text)
    assert extensions(text) == [("/s/n.yaml", line, column)]
    assert not [p for p in compiled(text).problems if p.code == "S510"]


def test_a_profile_that_the_score_uses_is_looked_into():
    profile, line, column = marked(PROFILE)
    assert extensions(score(instrument="mine"), Disk({FILE: profile})) == [(FILE, line, column)]
    assert extensions(score(), Disk({FILE: profile})) == []


def test_a_score_without_extensions_is_portable():
    assert extensions(score() + "backend: {skip_permissions: true}\n") == []
    injected = "{size: 1, total_items: 4, prelude: [{file: '{{ workspace }}', as: tool, required: yes}]}"
    assert extensions(score(sheet=injected)) == []
    assert extensions(score() + "on_failure: [{type: run_command, command: a}]\n") == []


def test_what_is_wrong_is_still_looked_through():
    assert len(extensions(score(sheet="[]") + "on_failure: pause\n")) == 1
