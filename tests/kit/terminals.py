"""What a terminal is sent."""

import os
import select


def sent_to(terminal):
    """Return all that a terminal is sent until nobody has it any more: one read may end before it is all there."""
    sent = b""
    while select.select([terminal], [], [], 30)[0]:
        try:
            sent += os.read(terminal, 65_536)
        except OSError:  # nobody has its other end
            return sent.decode()
    raise AssertionError(f"somebody still has it: {sent!r}")
