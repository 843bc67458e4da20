"""The codes: one exit each, one exception each, one number on the wire each."""

import re

from kit.tables import each

from marianned import errors
from marianned.errors import BY_CODE, MarianneError

# docs/design/control.md §10: code, exit
CODES = """
E501 4
E502 4
E504 124
E505 4
E507 4
E508 4
E509 4
E510 4
E511 3
E512 3
E513 5
E514 4
E515 1
E516 1
"""


def test_each_code_has_the_exit_of_the_contract() -> None:
    written = dict(line.split() for line in CODES.strip().splitlines())
    assert {code: str(error.exit_status) for code, error in BY_CODE.items()} == written
    assert errors.USAGE_EXIT == 2
    assert (errors.INTERRUPTED_EXIT, errors.PIPE_EXIT) == (130, 141)


def test_the_tree_in_the_docstring_is_the_tree_there_is() -> None:
    drawn = dict(re.findall(r"── (\w+) +(E\d+)", errors.__doc__ or ""))
    assert drawn == {cls.__name__: code for code, cls in BY_CODE.items()}


@each("code", sorted(BY_CODE))
def test_each_code_has_a_number_of_its_own_on_the_wire(code: str) -> None:
    number = BY_CODE[code]("so").rpc_code
    assert number == (-32603 if code == "E514" else -33000 - int(code[1:]))


def test_an_error_tells_all_it_knows() -> None:
    error = MarianneError("so", job_id="a", status="paused", hints=("mzt resume a",))
    assert str(error) == error.message == "so"
    assert (error.job_id, error.status, error.hints, error.problems) == ("a", "paused", ["mzt resume a"], [])
