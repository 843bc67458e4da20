"""What people write first, out of habit, is told what is meant here."""

import re

from kit.tables import each
from scores import compiled

from marianned.instruments.loader import builtin_profiles
from marianned.score.read.common_mistakes import INSTRUMENTS, KEYS, MAPPINGS
from marianned.score.read.model import Score

SCORE = """\
name: first
workspace: ./out
sheet: {size: 1, total_items: 1}
prompt: {template: hello}
"""


def hints(text):
    return [problem.hint for problem in compiled(text).problems if problem.severity == "error"]


@each(
    ("lines", "said"),
    [
        ("instrument: claude", "did you mean 'claude-code'?"),
        ("instrument: Bash", "did you mean 'cli'?"),
        ("instrument: claud_code", "did you mean 'claude-code'?"),  # and not its older name
        ("max_retries: 3", "it belongs into 'retry'"),
        ("timeout: 30m", "it belongs into 'instrument_config'"),
        ("model: sonnet", "it belongs into 'instrument_config'"),
        ("sheets: [{name: a}]", "'sheet' says how many"),
        ("description: fix: the thing", "quoted"),
        ("retry:\n\tmax_retries: 3", "a tab?"),
        ("instument: cli", "did you mean 'instrument'?"),
    ],
)
def test_it_is_told_what_is_meant(lines, said):
    assert any(said in (hint or "") for hint in hints(f"{SCORE}{lines}\n"))


def test_a_prompt_that_is_a_text_is_told_how_it_is_written():
    text = SCORE.replace("{template: hello}", "hello")
    assert hints(text) == ["write prompt: {template: …}"]


def test_an_alias_of_that_name_is_an_instrument():
    assert hints(f"{SCORE}instruments: {{bash: {{profile: cli}}}}\ninstrument: bash\n") == []


def test_what_the_hints_name_exists():
    keys = set(Score.__struct_fields__)
    named = {
        word for hints in KEYS.values() for hint in hints.values() for word in re.findall(r"'(\w+)'", hint)
    }
    assert named - {"stage"} <= keys
    assert not set(KEYS[()]) & keys
    assert {path[0] for path in MAPPINGS} <= keys
    assert set(INSTRUMENTS.values()) <= set(builtin_profiles())
