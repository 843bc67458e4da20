"""The page on security says what the built-in profiles switch off."""

import pages
from kit.tables import each

from marianned.instruments.loader import ALIASES, builtin_profiles

SWITCHES = {
    name: profile.cli.command.auto_approve_flag
    for name, profile in builtin_profiles().items()
    if profile.cli is not None and profile.cli.command.auto_approve_flag and name not in ALIASES
}


@each("name", sorted(SWITCHES))
def test_the_page_shows_the_flag_of_each_profile(name):
    assert f"| {name} | `{SWITCHES[name]}` |" in pages.text_of("docs/security.md")


def test_the_page_names_the_tools_whose_prompt_everybody_can_read():
    shown = [
        name
        for name, profile in sorted(builtin_profiles().items())
        if profile.cli is not None and name not in ALIASES and profile.script is None
        if not profile.cli.command.prompt_via_stdin
    ]
    assert f"take their prompt as an argument ({', '.join(shown)})" in pages.text_of("docs/security.md")
