"""Two readers of command lines: what the quick one reads, Click reads the same, and it reads what people type."""

import random

import click
import pytest
from kit.tables import each

from marianne_cli.lines import forms
from marianne_cli.tree import click_commands
from marianne_cli.tree.group import mzt
from marianne_cli.tree.table import MODULES, form_of

WORDS = ["x", "y@2", "3", "07", "5m", "0", "", "a b", "2,3", "a=b", "7:30", "ended", "failed", "text", "1.5", "status", "bash"]  # fmt: skip


def by_click(form, command, words):
    """Return what Click reads; null: it refuses the line."""
    root = click.Context(mzt, info_name="mzt")
    try:
        context = command.make_context(form.name, [*words], parent=root)
    except click.ClickException:
        return None
    default = click.core.ParameterSource.DEFAULT
    typed = {name for name in context.params if context.get_parameter_source(name) is not default}
    return context.params, typed, context.meta.get("mzt.fields")


def any_line(chance, form):
    words = []
    options = [(word, param) for param in form.params if param.is_option for word in param.words]
    flags = [word[1] for word, param in options if param.is_flag and len(word) == 2]
    for _ in range(chance.randint(0, 4)):
        option, param = chance.choice(options)
        if chance.random() < 0.1:
            words.append(
                chance.choice(["--json=status,job_id", "--json=", f"-{''.join(chance.sample(flags, 2))}"])
            )
        elif chance.random() < 0.5:
            words.append(chance.choice(WORDS))
        elif param.is_flag:
            words.append(option)
        elif chance.random() < 0.3:
            words.append(f"{option}={chance.choice(WORDS)}")
        else:
            words += [option, chance.choice([*WORDS, "-x"])]
    return words


@pytest.mark.parametrize("name", MODULES)
def test_what_the_quick_reader_reads_click_reads_the_same(name, monkeypatch):
    monkeypatch.setattr(
        "marianne_cli.lines.kinds.PastTime.convert", lambda _self, text: f"since {text}"
    )  # it says what time it is
    form, chance = form_of(name), random.Random(name)
    quick, command = 0, click_commands.click_command(form)
    for words in {tuple(any_line(chance, form)) for _ in range(250)}:
        line = forms.read_plain_line(form, words)
        if line is not None:
            quick += 1
            assert (line.values, line.typed, line.fields) == by_click(form, command, words), words
    assert quick > 0 or any(not param.kind.plain and param.required for param in form.params)


@each(
    "line",
    [
        "pause j", "pause j --wait", "pause j -j", "pause j --wait --timeout 30 --json", "pause a b --reason=why",
        "pause --all --wait -t 10m", "resume j", "resume j --from 3 --plan", "cancel j --wait", "status", "status j",
        "status j 2,3 -j", "list", "list -a -s failed", "list -q -s held", "wait j --for paused,ended -t 1h", "why j -v",
        "history j --since 2h", "logs j 2 -n 20", "retry j 3", "events --after 7 -j", "list -jq",
        "status j --json=status,job_id",
    ],
)  # fmt: skip
def test_what_people_type_needs_no_click(line):
    name, *words = line.split()
    assert forms.read_plain_line(form_of(name), words) is not None


@each("line", [
        "pause -h", "pause", "pause j --nope", "pause j -jh", "pause j -wait", "pause j --json=a --json=b", "pause -- j", "pause j -t", "retry",
        "pause j -t soon", "pause j -t -1", "pause j --wait=1", "list -s odd", "resume j -c -", "why", "retry a b c",
        "stop --drain --kill", "revisions j zero",
    ])  # fmt: skip
def test_what_is_not_plain_is_left_to_click(line):
    name, *words = line.split()
    read = forms.read_plain_line(form_of(name), words)
    assert read is None or (line == "pause" and read.values["jobs"] == ())
