"""Each method of the protocol has somebody in the daemon who does it."""

from kit import in_process

from marianned.protocol import METHODS, CancelStream, FollowOutput, SubscribeEvents

OF_A_CONNECTION = {SubscribeEvents, FollowOutput, CancelStream}


def test_a_method_is_done_by_a_handler_or_by_its_connection(house, monkeypatch):
    made = []

    def handlers(*given):
        made.append(whole(*given))
        return made[-1]

    whole = in_process.handlers
    monkeypatch.setattr(in_process, "handlers", handlers)
    house.start()
    (known,) = made
    others = {name for name, method in METHODS.items() if method.params in OF_A_CONNECTION}
    assert {*known} == METHODS.keys() - others, "api/dispatch.py: handlers"
