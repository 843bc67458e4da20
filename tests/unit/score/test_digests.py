"""The definition of a sheet: what changes it, and what does not."""

import msgspec
from kit.tables import each
from scores import Disk, compiled, expanded, score

from marianned.score.expanded import ExpandedScore


def digests(text: str, sheet: int = 2, disk: Disk | None = None) -> dict[str, str]:
    return expanded(text, disk).sheets[sheet - 1].digests


def differs(one: dict[str, str], other: dict[str, str]) -> set[str]:
    assert one.keys() == other.keys()
    return {aspect for aspect in one if one[aspect] != other[aspect]}


BASE = score(validations="[{type: file_exists, path: 'a-{instance}', condition: 'stage == 2'}]")
SHEET = "{size: 1, total_items: 4%s}"


@each(
    ("text", "aspects"),
    [
        (score(prompt='{template: "now {{ stage }}"}'), {"prompt"}),
        (score() + "workspace: /elsewhere\n", {"settings", "validations"}),
        (score(instrument="other"), {"instrument", "settings"}),
        (score() + "instrument_config: {model: m}\n", {"settings"}),
        (score() + "instrument_config: {timeout_seconds: 60}\n", {"settings"}),
        (score() + "instrument_config: {timeout_overrides: {2: 60}}\n", {"settings"}),
        (score() + "instrument_config: {timeout_overrides: {3: 60}}\n", set()),
        (score() + "instrument_fallbacks: [other]\n", {"fallbacks"}),
        (score(validations="[{type: file_exists, path: b}]"), {"validations"}),
        (score(validations="[{type: file_exists, path: z, sheet: 1}, {type: file_exists, path: a}]"), set()),
        (score(sheet=SHEET % ", skip_when_command: {2: {command: 'true'}}"), {"skip"}),
        (score(sheet=SHEET % ", skip_when: {3: 'sheets.get(1).exit_code == 0'}"), set()),
        (score(sheet=SHEET % ", cadenzas: {2: [{file: x, as: tool}]}"), {"files"}),
        (score(sheet=SHEET % ", dependencies: {2: [1]}"), set()),
        (score() + "retry: {max_retries: 9}\n", {"retry"}),
        (score() + "description: other\nparallel: {enabled: true}\n", set()),
    ],
)
def test_a_change_is_named_by_its_aspect(text, aspects):
    assert differs(digests(score()), digests(text)) == aspects


def test_a_sheet_that_only_moves_is_the_same():
    before = score(
        sheet="{size: 1, total_items: 2}",
        prompt="{template: '{{ texts[movement] }}', variables: {texts: {1: a, 2: b}}}",
        validations="[{type: file_exists, path: a, sheet: 2}]",
    )
    after = score(
        sheet="{size: 1, total_items: 3}",
        prompt="{template: '{{ texts[movement] }}', variables: {texts: {1: a, 2: new, 3: b}}}",
        validations="[{type: file_exists, path: new, sheet: 2}, {type: file_exists, path: a, sheet: 3}]",
    )
    assert differs(digests(before, 2), digests(after, 3)) == set()


def test_what_earlier_sheets_give_is_left_blank():
    cross = "cross_sheet: {auto_capture_stdout: true}\n"
    prompt = '{template: "{% for k, v in previous_outputs.items() %}{{ v }}{% endfor %}go"}'
    before = score(sheet="{size: 1, total_items: 2}", prompt=prompt) + cross
    after = score(sheet="{size: 1, total_items: 3}", prompt=prompt) + cross
    assert differs(digests(before, 2), digests(after, 3)) == set()


def test_the_text_of_a_system_prompt_belongs_to_the_definition():
    text = score() + "instrument_config: {system_prompt_file: p.md}\n"
    one, other = (digests(text, disk=Disk({"/s/p.md": words})) for words in ("a", "b"))
    assert differs(one, other) == {"files"}


def test_an_expanded_score_is_the_same_after_being_stored():
    before = expanded(BASE)
    assert msgspec.json.decode(msgspec.json.encode(before), type=ExpandedScore) == before


def test_a_thousand_sheets_are_all_there():
    result = compiled(score(sheet="{size: 1, total_items: 1000}"))
    assert (result.total_sheets, result.total_stages, len(result.expanded.sheets)) == (1000, 1000, 1000)


@each(
    ("instrument", "one", "other", "same"),
    [
        ("tool", "a\nb", "\n\na\nb\n\n", True),
        ("tool", "a\nb", "a  \nb\t", True),
        ("tool", "a\nb", "a\n\nb", False),
        ("tool", "a\nb", "  a\nb", False),
        ("cli", "a\nb", "a\nb\n\n\n", True),
        ("cli", "a\nb", "\n\na\nb", True),
        ("cli", "#!/bin/sh\nb", "\n#!/bin/sh\nb", False),
        ("cli", "a\nb", "a \nb", False),
    ],
)
def test_white_space_that_says_nothing_is_told_from_what_does(instrument, one, other, same):
    def words(text):
        prompt = msgspec.json.encode({"template": text}).decode()
        return expanded(score(instrument=instrument, prompt=prompt)).sheets[1].words

    assert (words(one) == words(other)) is same
