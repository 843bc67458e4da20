"""The output that is looked at for a final event is the one that was opened, whatever has its name by then."""

import json
import os
from pathlib import Path

import pytest

from marianned.executors import final_event, shim
from marianned.instruments.loader import builtin_profiles

RESULT = {"type": "result", "subtype": "success", "result": "done"}
STATUS = {"type": "system", "subtype": "status", "status": None}


@pytest.mark.parametrize("planted", ["pipe", "link"])
def test_what_the_command_puts_in_the_place_of_its_output_is_not_opened(tmp_path, monkeypatch, planted):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(shim.__file__).parent))
    output = shim.OutputCap(None)
    output.open()
    Path(shim.STDOUT).unlink()
    if planted == "pipe":
        os.mkfifo(shim.STDOUT)
    else:
        Path(shim.STDOUT).symlink_to("/etc/passwd")
    final = {"grace": 0.0, "event": "result", "where": {}, "goes_on": []}
    (watch,) = shim._watches({"final": final, "silence": None}, output).values()
    os.write(output.files[0], b'{"type": "result"}\n')
    while watch.poll():
        pass
    assert watch.came
    for file in (*output.files, watch.file):
        os.close(file)


class Clock:
    """A monotonic clock that stands still until it is moved."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(final_event, "time", clock)
    return clock


def seconds_until_ended(clock, place, events, most=200):
    """Print an event each second, those given and then status events for ever; return when it is ended."""
    rule = builtin_profiles()["claude-code"].cli.output.final_event
    path = place / "stdout"
    path.touch()
    watch = final_event.FinalEventWatch(30.0, rule.event, rule.where, rule.goes_on, str(path), rule.idle)
    try:
        for second in range(most):
            event = events[second] if second < len(events) else STATUS
            with path.open("a") as file:
                file.write(event if isinstance(event, str) else json.dumps(event) + "\n")
            clock.now += 1
            if not watch.poll():
                return second + 1
    finally:
        os.close(watch.file)
    return None


def test_what_an_agent_tells_of_itself_behind_its_final_event_does_not_keep_it_alive(clock, tmp_path):
    assert 30 <= seconds_until_ended(clock, tmp_path, [STATUS, RESULT]) <= 36


@pytest.mark.parametrize(
    "output", [{"type": "tool_progress"}, "a line of text\n", {"type": 7}, '{"type": "system", \n']
)
def test_other_output_does(clock, tmp_path, output):
    assert (
        80
        <= seconds_until_ended(clock, tmp_path, [RESULT, *[STATUS] * 20, output, *[STATUS] * 28, output])
        <= 86
    )


def test_and_what_goes_on_takes_the_final_event_back(clock, tmp_path):
    assert seconds_until_ended(clock, tmp_path, [RESULT, STATUS, {"type": "assistant"}]) is None
    again = [RESULT, STATUS, {"type": "assistant"}, *[STATUS] * 60, RESULT]
    (tmp_path / "b").mkdir()
    assert 93 <= seconds_until_ended(clock, tmp_path / "b", again) <= 100
