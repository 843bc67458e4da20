"""What no score should be is refused within limits; what takes long meanwhile: tests/conductor/test_long_scores.py."""

import pytest
from kit.daemon import Refused

HEAD = "name: bad\ninstrument: cli\n"
SHEETS = "sheet: {size: 1, total_items: 2}\n"
CHECKS = "validations: [{type: file_exists, path: a}]\n"
ALIASES = "".join(
    f"{name}: &{name} [{', '.join(['*' + other] * 9)}]\n"
    for other, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def template(text):
    return f"{HEAD}{SHEETS}{CHECKS}prompt:\n  template: |\n    {text}\n"


def checked(validation, top=""):
    return f"{HEAD}{SHEETS}{top}prompt: {{template: a}}\nvalidations: [{validation}]\n"


def many(stages, keys=""):
    return f"{HEAD}sheet: {{size: 1, total_items: {stages}{keys}}}\n{CHECKS}prompt: {{template: a}}\n"


QUICK = {
    "a bomb of aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n" + ALIASES,
    "an alias in itself": "a: &a [*a]\n",
    "nested without end": "a: " + "[" * 100_000,
    "many values": "a: [" + "1," * 1_500_000 + "1]",
    "characters that are none": "a: \x00\x01",
    "keys that nobody knows": HEAD + SHEETS + "".join(f"k{number}: 1\n" for number in range(5_000)),
    "far too many sheets": many(10**17),
    "far too many needs": many(2, ", fan_out: {1: 5000, 2: 5000}"),
    "a number too long": checked("{type: file_exists, path: a, condition: 'stage == " + "9" * 5000 + "'}"),
    "a path too wide": checked("{type: file_exists, path: '{stage:>2000000000}'}"),
    "a pattern too large": checked(
        "{type: file_exists, path: a}",
        "rate_limit: {detection_patterns: ['" + "(" * 3000 + ")" * 3000 + "']}\n",
    ),
    "a product too large": template("{{ 'a' * 10 ** 9 }}"),
    "a list too large": template("{{ ([0] * 10 ** 9) | length }}"),
    "a macro that calls itself": template("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
    "a body too long": template("{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}"),
    "braces without end": template("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"),
}


def refused(daemon, text):
    """Validate a text; tell that it is no score, or how the daemon refuses to look further.

    The daemon bounds the processor's time, which is more on the wall of a busy machine.
    """
    try:
        with daemon.connect() as connection:
            connection.socket.settimeout(100)
            found = connection.rpc(
                "score.validate", text=text, file="/bad.yaml", directory="/", submit_directory="/"
            )
    except Refused as refusal:
        return refusal.message
    assert not found["valid"]
    return found["problems"][0]["message"]


@pytest.fixture(scope="module")
def checker():
    from kit.daemon import Daemon

    house = Daemon()
    try:
        yield house.start()
    finally:
        house.close()


@pytest.mark.parametrize("text", QUICK.values(), ids=QUICK)
def test_a_bad_score_is_refused(checker, text):
    assert refused(checker, text)
    assert checker.rpc("job.list")["jobs"] == []


def test_ten_thousand_sheets_are_a_score(checker):
    asked = {"file": "/bad.yaml", "directory": "/", "submit_directory": "/"}
    found = checker.rpc("score.validate", text=many(10_000), workspace=str(checker.home), **asked)
    assert found["total_sheets"] == 10_000
    assert found["valid"], found["problems"]
