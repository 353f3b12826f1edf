import getpass

import pytest

from holdfast.cli.options import Word


def test_a_user_without_a_name_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")  # as it is in a container

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 10001)

    assert Word(why="x").author == "uid 10001"
    assert Word(why="x", by="alice").author == "alice"
