"""A placeholder of a command that is none is told, where the shell would not take it for its own."""

from kit.tables import each

from marianned.score.language.placeholders import unknown_in_command

KNOWN = {"workspace", "instance"}
COMMANDS = {
    "test -f {workspce}/x": ["workspce"],
    'test -f "{workspce}/x{instanc}"': ["workspce", "instanc"],
    "test -f {workspace}/x": [],
    "awk '{print}' file": [],
    "echo ${HOME} {a,b} {1..3} {a..z} { cd x; } {}": [],
    "git rev-parse HEAD@{upstream}": [],
    "cat <<'X'\n{name}\nX": [],
    "cat <<X\n{name}\nX": ["name"],
    "true # {name}": [],
    "docker ps --format '{{.Names}}'": [],
}


@each(("command", "unknown"), COMMANDS.items())
def test_unknown_placeholders_of_a_command(command, unknown):
    assert unknown_in_command(command, KNOWN) == unknown
