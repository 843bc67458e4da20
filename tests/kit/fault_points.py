"""The fault points that more than one walk kills a daemon at."""

OF_AN_ATTEMPT = (
    "attempt.preparing",
    "attempt.rendered",
    "attempt.written",
    "attempt.started",
    "attempt.exited",
    "attempt.read",
    "attempt.checked",
)
"""In the order in which an attempt comes by them."""
