"""`mzt instruments` and `mzt clear-rate-limits`, as a person types them."""

import os

import pytest

MOODY = """\
name: moody
kind: cli
credentials: [MOODY_KEY]
cli:
  command: {executable: moody}
"""
TOOL = """\
#!/bin/sh
[ "$1" != --version ] || { echo "moody 1.2.3"; exit; }
cat > /dev/null
echo OK
"""


@pytest.fixture
def tools(home):
    """A home whose daemon finds one tool, by a profile of its own."""
    place = home.path / "config" / "instruments"
    place.mkdir(parents=True)
    (place / "moody.yaml").write_text(MOODY)
    tools = home.path / "tools"
    tools.mkdir()
    (tools / "moody").write_text(TOOL)
    (tools / "moody").chmod(0o755)
    home.environment["PATH"] = f"{tools}:{os.environ['PATH']}"
    home.environment["MOODY_KEY"] = "secret"
    home.mzt("start")
    return home


def test_instruments_are_listed_shown_checked_and_begun(tools):
    listed = tools.mzt("instruments").stdout.splitlines()
    assert listed[0].split() == [
        "INSTRUMENT",
        "READY",
        "VERSION",
        "MODEL",
        "WHERE,",
        "OR",
        "WHAT",
        "IS",
        "MISSING",
    ]
    row = next(line for line in listed if line.startswith("moody"))
    assert row.split()[:2] == ["moody", "yes"]
    assert row.endswith("/tools/moody, key in MOODY_KEY")
    assert "secret" not in tools.mzt("instruments", "show", "moody").stdout
    (one,) = tools.json("instruments", "check", "moody")["instruments"]
    assert (one["ready"], one["version"], one["credentials"]) == (True, "moody 1.2.3", ["MOODY_KEY"])
    (shown,) = tools.json("instruments", "show", "moody")["instruments"]
    assert shown["profile"]["cli"]["command"]["executable"] == "moody"
    assert tools.mzt("instruments", "check", "moody", "--live").stderr.endswith("moody answers: OK\n")
    assert tools.json("list", "--all")["jobs"] == []

    begun = tools.json("instruments", "init", "summariser")
    assert begun["config_file"].endswith("/instruments/summariser.yaml")
    assert begun["hints"] == ["mzt instruments check summariser"]
    missing = tools.json("instruments", "check", "summariser", code=1)
    assert (missing["error_code"], missing["problems"]) == ("E516", [])
    assert missing["instruments"][0]["problem"] == "'summariser' is not on the daemon's PATH"
    assert "exists already" in tools.mzt("instruments", "init", "summariser", code=2).stderr
    for name in ("../x", ".x"):
        assert "not a valid name for an instrument" in tools.mzt("instruments", "init", name, code=2).stderr


def test_a_bad_profile_is_told_with_its_place_and_a_hint(tools):
    (tools.path / "config" / "instruments" / "bad.yaml").write_text("name: bad\nkind: cli\nclii: {}\n")
    told = tools.mzt("instruments")
    assert "bad.yaml:3:1: error S405: unknown key 'clii'\n    did you mean 'cli'?\n" in told.stderr
    assert tools.json("instruments", "check", "moody", code=1)["problems"][0]["line"] == 3


def test_what_is_nobody_s_name_is_refused_with_the_nearest(tools):
    refused = tools.mzt("instruments", "show", "mody", code=4).stderr
    assert refused == "mzt: no instrument 'mody' (E510)\n  mzt instruments show moody\n"
    assert tools.mzt("instruments", "show", code=2).stdout == ""
    assert tools.mzt("instruments", "list", "--live", code=2).stdout == ""
    assert tools.mzt("clear-rate-limits").stdout == "no rate limit is in force\n"
    assert tools.json("clear-rate-limits", "moody")["cleared"] == 0
    assert tools.json("clear-rate-limits", "mody", code=4)["error_code"] == "E510"
