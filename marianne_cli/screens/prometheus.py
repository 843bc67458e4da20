"""The daemon's status as Prometheus reads it: the text exposition format, version 0.0.4."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

Sample = tuple[Mapping[str, object], float]


def exposition(status: Mapping[str, Any]) -> str:
    """Return the reply of daemon.status, its `metrics` included, as text that Prometheus scrapes."""
    return "\n".join(_lines(status))


def _lines(status: Mapping[str, Any]) -> Iterator[str]:
    metrics = status["metrics"]
    requests = metrics["requests"]
    started = datetime.fromisoformat(status["started_at"]).timestamp()
    who = {"version": status["version"], "protocol": status["protocol"]}
    gauges: dict[str, tuple[str, list[Sample]]] = {
        "info": ("Which daemon this is.", [(who, 1)]),
        "start_time_seconds": ("When it was started, in Unix time.", [({}, started)]),
        "ready": ("Whether it is ready, neither degraded nor leaving.", [({}, status["status"] == "ready")]),
        "memory_bytes": ("Its resident memory.", [({}, status["memory_usage_mb"] * 1024**2)]),
        "connections": ("Open connections.", [({}, metrics["connections"])]),
        "jobs": ("Newest runs by status.", [({"status": name}, n) for name, n in metrics["jobs"].items()]),
        "attempts_in_flight": ("Attempts in flight.", [({}, status["attempts_in_flight"])]),
        "slots": ("Attempts that may be in flight.", [({}, status["slots"]["total"])]),
        "rate_limits": ("Rate limits in force.", [({}, len(status["rate_limits"]))]),
    }
    for name, (text, samples) in gauges.items():
        yield from _family(name, "gauge", text, samples)
    yield from _family("events_total", "counter", "The journal's number.", [({}, status["event"])])
    yield from _family(
        "requests_total",
        "counter",
        "Requests answered, by method and result.",
        [
            ({"method": one["method"], "result": result}, count)
            for one in requests
            for result, count in (("ok", one["count"] - one["refused"]), ("refused", one["refused"]))
        ],
    )
    yield from _histogram(requests)


def _histogram(requests: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    name = "marianne_request_seconds"
    yield f"# HELP {name} How long answers took that waited for nothing."
    yield f"# TYPE {name} histogram"
    for one in requests:
        labels = {"method": one["method"]}
        for bucket in one["buckets"]:
            yield _sample(f"{name}_bucket", {**labels, "le": bucket["le_seconds"]}, bucket["count"])
        yield _sample(f"{name}_bucket", {**labels, "le": "+Inf"}, one["timed"])
        yield _sample(f"{name}_sum", labels, one["total_seconds"])
        yield _sample(f"{name}_count", labels, one["timed"])


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP marianne_{name} {text}"
    yield f"# TYPE marianne_{name} {kind}"
    for labels, value in samples:
        yield _sample(f"marianne_{name}", labels, value)


def _sample(name: str, labels: Mapping[str, object], value: float) -> str:
    told = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{told}}} {value:.15g}" if told else f"{name} {value:.15g}"
