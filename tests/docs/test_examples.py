"""Every command that a page shows does and prints what the page says."""

import re

import examples
import pages
import pytest
from kit.daemon import Daemon

KEPT = re.compile(
    r"(?:^|[;&|(]) *(?:(?:cd|pushd|export|alias|set|source|umask)\b|\w+=\S*\s*(?:$|[;&]))", re.MULTILINE
)
SHOWING = [name for name in pages.NAMES if pages.examples(pages.text_of(name))]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHOWING if name not in examples.ELSEWHERE])
def test_the_examples_of_a_page_run_as_shown(name):
    house = Daemon()
    try:
        for example, code, output in examples.play(name, house):
            assert (example.command, code) == (example.command, example.code), output
            assert examples.same(output) == examples.same(example.output), example.command
    finally:
        house.close()


def test_no_page_has_its_shell_go_elsewhere_or_keep_a_variable():
    """Else a plain line of `mzt`, which is not typed into the shell, would be played elsewhere."""
    for name in SHOWING:
        for example in pages.examples(pages.text_of(name)):
            assert not KEPT.search(example.command), name


def test_each_exception_is_a_page_with_examples():
    assert set(examples.ELSEWHERE) <= set(SHOWING)


def test_a_command_is_shown_only_where_it_is_run():
    for name in pages.NAMES:
        prompts = [line for line in pages.text_of(name).splitlines() if line.startswith("$ ")]
        assert len(prompts) == len(pages.examples(pages.text_of(name))), (
            f"{name}: a prompt in no console block"
        )
