"""Counts of what was asked of this daemon, and how long its answers took; since it was started."""

from bisect import bisect_left
from math import ceil

from marianned.protocol import Bucket, RequestCounts

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes of latencies, in seconds; one more class has none."""


class _MethodCounts:
    def __init__(self) -> None:
        self.count = 0
        self.refused = 0
        self.seconds = 0.0
        self.classes = [0] * (len(_BOUNDS) + 1)


class RequestMeter:
    """Counts each answer by its method; `connections` is kept by whoever accepts them."""

    def __init__(self) -> None:
        self.connections = 0
        self._methods: dict[str, _MethodCounts] = {}

    def note(self, method: str, seconds: float | None, *, refused: bool) -> None:
        """Count an answer; `seconds` is null where it waited for something, which tells nothing of us."""
        counts = self._methods.setdefault(method, _MethodCounts())
        counts.count += 1
        counts.refused += refused
        if seconds is not None:
            counts.seconds += seconds
            counts.classes[bisect_left(_BOUNDS, seconds)] += 1

    def report(self) -> list[RequestCounts]:
        """Return the counts of each method that was asked."""
        return [_request_counts(method, counts) for method, counts in sorted(self._methods.items())]


def _request_counts(method: str, counts: _MethodCounts) -> RequestCounts:
    buckets, so_far = [], 0
    for bound, many in zip(_BOUNDS, counts.classes, strict=False):
        so_far += many
        buckets.append(Bucket(le_seconds=bound, count=so_far))
    return RequestCounts(
        method=method,
        count=counts.count,
        refused=counts.refused,
        timed=sum(counts.classes),
        total_seconds=round(counts.seconds, 6),
        p50_seconds=_percentile(counts.classes, 0.5),
        p99_seconds=_percentile(counts.classes, 0.99),
        buckets=buckets,
    )


def _percentile(classes: list[int], part: float) -> float | None:
    """Return the upper end of the class in which such a part of the latencies ends; null beyond the last."""
    wanted = ceil(sum(classes) * part)
    so_far = 0
    for bound, many in zip(_BOUNDS, classes, strict=False):
        so_far += many
        if wanted and so_far >= wanted:
            return bound
    return None
