"""Templates that become shell scripts: what is the shell's stays, what would vanish or break out is told."""

import jinja2
from kit.tables import each

from marianned.score.render.script import script_of
from marianned.score.render.shell_bodies import (
    long_comments,
    quote_for_shell,
    shield_lengths,
    unquoted_outputs,
)
from marianned.score.render.template import render_text

LENGTHS = ['files=(a b)\necho "${#files[@]} files, ${#name}"\necho "#}"\n', "echo ${#}\n"]


@each("body", LENGTHS)
def test_a_length_in_shell_opens_no_comment(body):
    assert render_text(body, {}) == body


def test_a_template_comment_is_one_still_and_raw_text_stays_as_it_is():
    body = "a{# not here ${#x} #}b {% raw %}${#x} {{ y }}{% endraw %} {{ '${#' }} ${#z}"
    assert render_text(body, {}) == "ab ${#x} {{ y }} ${# ${#z}"


def test_lines_stay_where_they_are():
    assert shield_lengths("a\n${#b}\nc").count("\n") == 2


def test_comments_over_several_lines_are_found():
    assert long_comments("a {# one #}\n{# two\nlines #}\n{% raw %}{# no\n #}{% endraw %}") == [2]


@each(
    ("value", "word"),
    [
        ("it's", "'it'\"'\"'s'"),
        ("", "''"),
        (3, "3"),
        (["a b", "c"], "'a b' c"),
        ("$(rm -rf /)", "'$(rm -rf /)'"),
    ],
)
def test_the_filter_quotes_for_the_shell(value, word):
    assert quote_for_shell(value) == word
    assert render_text("{{ value | sh }}", {"value": value}) == word


TOLD = {
    "echo {{ previous_outputs[1] }}": [1],
    "\necho {{ previous_outputs[1] | trim }}": [2],
    "{% for n, text in previous_outputs.items() %}\necho {{ text }}\n{% endfor %}": [2],
    "{% set all = previous_outputs %}{% set one = all[1] %}echo {{ one }}": [1],
    "cat {{ previous_files['a'] }}": [1],
    "echo {{ previous_outputs[1] | sh }}": [],
    "echo {{ (previous_outputs[1] | trim) | sh }}": [],
    "echo {{ previous_outputs | length }}": [],
    "{% if previous_outputs[1] == 'x' %}echo{% endif %}": [],
    "{% if 'x' in previous_outputs[1] %}echo {{ workspace }}{% endif %}": [],
}


@each(("body", "lines"), TOLD.items())
def test_what_earlier_sheets_printed_is_told_where_it_is_not_quoted(body, lines):
    environment = jinja2.Environment(autoescape=False)
    environment.filters["sh"] = quote_for_shell
    assert unquoted_outputs(environment.parse(body)) == lines


DOCUMENTS = {
    "quoted": "# Publish\ncat > notes.md <<'X'\nInstall with\n```sh\nrm -rf build\n```\nX\necho published\n",
    "plain": "# Publish\ncat <<X\n```bash\nrm\n```\nX\n",
    "dashed": '# Publish\ncat <<-"X"\n\t```bash\n\trm\n\t```\n\tX\n',
    "two": "# Publish\ncat <<A - <<B\n```sh\na\n```\nA\n```sh\nb\n```\nB\n",
}


@each("body", DOCUMENTS.values())
def test_a_fence_in_a_here_document_is_none(body):
    assert script_of(body, "auto") == body


def test_a_fence_beside_a_here_document_is_one():
    body = "# Do\ncat <<X\n```sh\nno\n```\nX\n```sh\necho yes\n```\n"
    assert script_of(body, "auto") == "echo yes"


def test_a_here_document_in_a_fence_is_part_of_it():
    body = "# Do\n```sh\ncat <<X\nline\nX\n```\nwords\n"
    assert script_of(body, "auto") == "cat <<X\nline\nX"


def test_what_opens_no_here_document_hides_nothing():
    body = "# Do\nshift left: 1 << n, or a <<EOF that never ends\n```sh\necho yes\n```\n"
    assert script_of(body, "auto") == "echo yes"
