"""What a record says of the signal that ended a command."""

import signal

from kit.memory import record_of
from kit.tables import each


@each(
    ("number", "name"),
    [(None, None), (signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN, "SIGRTMIN"), (37, "signal 37")],
)
def test_a_signal_is_called_by_its_name_and_one_without_a_name_by_its_number(number, name) -> None:
    assert record_of(signal=number).signal_name == name
