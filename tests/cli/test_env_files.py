"""Environment files as people have them, each line as they mean it."""

import pytest
from kit.tables import each

from marianne_cli import envfile

AS_MEANT = {
    "A=b": {"A": "b"},
    "export API_BASE=https://example.test   # local endpoint": {"API_BASE": "https://example.test"},
    "\texport\tA=b": {"A": "b"},
    'TOKEN="abc#123" # production': {"TOKEN": "abc#123"},
    "PASSWORD='p@ss word$HOME'": {"PASSWORD": "p@ss word$HOME"},
    "EMPTY=": {"EMPTY": ""},
    "EMPTY= # nothing": {"EMPTY": ""},
    'EMPTY=""': {"EMPTY": ""},
    "SPACED = value with spaces   ": {"SPACED": "value with spaces"},
    r'QUOTED="line1\nline2"': {"QUOTED": "line1\nline2"},
    r"QUOTED='line1\nline2'": {"QUOTED": r"line1\nline2"},
    r"PLAIN=C:\new": {"PLAIN": r"C:\new"},
    r'ESCAPED="say \"hi\" \\ \$x \d"': {"ESCAPED": r'say "hi" \ $x \d'},
    "WITHEQ=a=b=c": {"WITHEQ": "a=b=c"},
    "HASH=a#b": {"HASH": "a#b"},
    "COLOR=#fff": {"COLOR": "#fff"},
    'JSON={"a": "b"}': {"JSON": '{"a": "b"}'},
    "IT=it's": {"IT": "it's"},
    'KEY="-----BEGIN\nMIIE\n-----END"\nB=c': {"KEY": "-----BEGIN\nMIIE\n-----END", "B": "c"},
    "KEY='one\n# two\nthree' # four\nB=c": {"KEY": "one\n# two\nthree", "B": "c"},
    "A=b\r\nB='c'\r\n": {"A": "b", "B": "c"},
    "\ufeffA=b": {"A": "b"},
    "# comment\n\n  # another\nA=b": {"A": "b"},
    "A=1\nA=2": {"A": "2"},
    "with.dot=1\nwith-dash=2": {"with.dot": "1", "with-dash": "2"},
    "export=1": {"export": "1"},
}
BAD = {
    "A=b\nexport A B=c": (2, "'A B' is not the name of a variable"),
    "A=b\n\nnothing": (3, "this is not NAME=VALUE"),
    "=value": (1, "'' is not the name of a variable"),
    "1A=b": (1, "'1A' is not the name of a variable"),
    "A-$B=c": (1, "'A-$B' is not the name of a variable"),
    'A=b\nC="never closed\nD=e': (2, 'the value begins with " and does not end with it'),
    'A="b"c': (1, 'there is text behind the closing "'),
    "X=1\nBIG=" + "x" * 131_072: (2, "'BIG' has 131,076 bytes; a variable has 131,071 at most"),
    "ÄPFEL=1": (1, "'ÄPFEL' is not the name of a variable"),
    "A=b\0c": (1, "the value of 'A' has a NUL byte in it"),
}


@each(("text", "meant"), AS_MEANT.items())
def test_a_line_is_read_as_people_mean_it(text, meant):
    assert envfile.read_variables(text) == meant


@each(("text", "told"), BAD.items())
def test_what_is_none_is_refused_with_its_line(text, told):
    with pytest.raises(envfile.EnvFileError) as bad:
        envfile.read_variables(text)
    assert (bad.value.line, bad.value.message) == told
