"""Two daemons on one state directory: the second refuses, and clients that look elsewhere find the first."""


def test_a_client_of_another_socket_path_finds_the_daemon_that_holds_the_directory(home):
    first = home.json("start")
    named = home.environment.pop("MARIANNE_SOCKET")
    home.environment["XDG_RUNTIME_DIR"] = str(home.path / "elsewhere")
    try:
        assert home.json("status")["pid"] == first["pid"]
        assert home.json("start")["pid"] == first["pid"]
        assert home.json("status")["socket"] == named
    finally:
        home.environment["MARIANNE_SOCKET"] = named
