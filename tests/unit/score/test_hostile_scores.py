"""Scores that nobody means well with: each is checked to its end, within bounds, without a traceback."""

import os
import random
from pathlib import Path

import pytest

from marianne_cli.commands.validate import _validate
from marianned.instruments.loader import builtin_profiles
from marianned.score.check.compiler import compile_score
from marianned.score.read.reader import DiskReader, ScoreSource

FUZZED = int(os.environ.get("MARIANNE_FUZZ", "300"))
"""How many mutated scores; the whole figure is 100,000."""
EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))
SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {{size: 1, total_items: {items}}}
prompt: {{variables: {{v: {value}}}, {prompt}}}
"""


def compiled(text: bytes, directory: Path):
    source = ScoreSource(text=text, file="a.yaml", directory=str(directory), submit_directory=str(directory))
    return compile_score(source, DiskReader(), builtin_profiles())


@pytest.mark.parametrize(
    "parts",
    [
        {"items": "0x6" + "0" * 6000 + "f"},
        {"value": "0x" + "f" * 6000},
        {"value": "0b" + "1" * 30_000},
        {"items": "1:" + "59:" * 500 + "1"},
        {"value": "9" * 5000},
        {"items": "9" * 400},
        {"value": "[1e999, -.inf, .nan]"},
        {"prompt": 'template_file: "a\\0b"'},
        {"prompt": 'template: x, prompt_extensions: ["a\\0b.md"]'},
        {"prompt": "template_file: pipe"},
        {"prompt": "template_file: zero"},
        {"prompt": "template_file: directory"},
    ],
)
def test_odd_values_and_odd_files_are_problems(tmp_path, parts):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "directory").mkdir()
    given = {"items": "1", "value": "1", "prompt": 'template: "echo"'} | parts
    found = compiled(SCORE.format(**given).encode(), tmp_path)
    assert found.expanded is None or found.problems


@pytest.mark.parametrize("name", ["pipe", "zero"])
def test_validate_does_not_hang_on_special_files(tmp_path, monkeypatch, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(SCORE.format(items="1", value="1", prompt=f"template_file: {name}"))
    found = _validate("a.yaml", {}, strict=False, portable=False, explain=True, prompts=True)
    assert not found["valid"]


SPLICES = [
    b"\0", b"\x1b[2J", b"\xff\xfe", b"{{ ", b" }}", b"{% for x in range(99999999) %}", b"{{ lipsum }}", b"&a ", b"*a", b"<<: ",
    b"!!python/object ", b"0x" + b"f" * 3000, b"[" * 200, b"- ", b": ", b"'", b'"', b"|\n", b">\n", b"\t", b"../../../..",
    "\u202e\u2028".encode(), b"1e999", b"~", b"null", b"${HOME}", b"{workspace}", b"\r", b"---\n", b"#",
]  # fmt: skip


def mutated(chance: random.Random, texts: list[bytes]) -> bytes:
    """Return an example with bytes, lines and words changed, cut, doubled or taken from another."""
    data = bytearray(chance.choice(texts))
    for _ in range(chance.randint(1, 8)):
        at, to = sorted(chance.randint(0, len(data)) for _ in range(2))
        match chance.randint(0, 5):
            case 0:
                del data[at : min(to, at + 60)]
            case 1:
                data[at:at] = chance.choice(SPLICES)
            case 2:
                data[at:at] = data[at : min(to, at + 100)]
            case 3:
                lines = bytes(data).split(b"\n")
                chance.shuffle(lines) if chance.random() < 0.1 else lines.insert(
                    chance.randint(0, len(lines)), chance.choice(chance.choice(texts).split(b"\n"))
                )
                data = bytearray(b"\n".join(lines))
            case 4:
                if data:
                    data[at % len(data)] = chance.randrange(256)
            case _:
                data[at : min(to, at + 30)] = chance.choice(SPLICES)
    return bytes(data)


def test_no_mutation_of_an_example_is_a_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    texts = [path.read_bytes() for path in EXAMPLES]
    assert texts
    for number in range(FUZZED):
        text = mutated(chance, texts)
        Path("a.yaml").write_bytes(text)
        try:
            _validate("a.yaml", {}, strict=False, portable=False, explain=True, prompts=True)
        except BaseException as error:
            error.add_note(f"seed {seed}, score {number}: {text!r}")
            raise
