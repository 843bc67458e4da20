"""`mzt status --metrics`: text that a reader of the Prometheus format takes, with counts that are so."""

import re

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\\n]*",?)*)\})? (\S+)')


def parsed(text):
    """Read the text exposition format: types by family, values by name and labels."""
    kinds, values = {}, {}
    for line in text.splitlines():
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in {"HELP", "TYPE"}
            if word == "TYPE":
                assert name not in kinds
                kinds[name] = rest
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family in kinds or name in kinds, line
        key = name, tuple(sorted(re.findall(r'([a-z]+)="([^"]*)"', labels or "")))
        assert key not in values
        values[key] = float(value)
    return kinds, values


def test_metrics_are_read_by_prometheus_and_count_what_was_asked(home):
    home.mzt("start")
    for _ in range(3):
        home.mzt("list")
    home.mzt("pause", "nobody", code=4)
    kinds, values = parsed(home.mzt("status", "--metrics").stdout)
    assert kinds["marianne_requests_total"] == "counter"
    assert kinds["marianne_request_seconds"] == "histogram"
    assert values["marianne_requests_total", (("method", "job.list"), ("result", "ok"))] == 3
    assert values["marianne_requests_total", (("method", "job.pause"), ("result", "refused"))] == 1
    assert values["marianne_ready", ()] == 1
    assert values["marianne_jobs", (("status", "running"),)] == 0
    assert values["marianne_connections", ()] == 1
    buckets = [
        (float(dict(labels)["le"]), count)
        for (name, labels), count in values.items()
        if name == "marianne_request_seconds_bucket" and dict(labels)["method"] == "job.list"
    ]
    assert buckets == sorted(buckets)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert buckets[-1] == (float("inf"), values["marianne_request_seconds_count", (("method", "job.list"),)])


def test_metrics_are_the_daemons_and_in_json_an_object(home):
    home.mzt("start")
    home.mzt("status", "job", "--metrics", code=2)
    told = home.json("status", "--metrics")
    assert {one["method"] for one in told["metrics"]["requests"]} <= {"daemon.hello", "daemon.status"}
    assert home.json("status")["metrics"] is None
