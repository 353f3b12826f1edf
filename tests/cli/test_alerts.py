"""`holdfast alerts`, as whoever is on call uses it."""

from collections.abc import Iterator

import pytest

from holdfast.cli.app import run
from tests.serve.running import Running, running

Capture = pytest.CaptureFixture[str]
AT_ONCE = {"region-away": 0, "quorum-margin": 0}


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that has lost a region."""
    data = tmp_path_factory.mktemp("alerts") / "data"
    with running(data, alerts={"after_s": AT_ONCE}) as server:
        (data / "regions" / "c").rename(data / "c")
        server.wait_until(lambda: len(server.get("/v1/alerts").json()["open"]) == 2)
        yield server


def alerts(server: Running, *arguments: str) -> int:
    return run(["alerts", *arguments, "--server", server.url])


def test_what_is_open_is_listed_with_the_way_to_silence_it(lost: Running, capsys: Capture) -> None:
    assert alerts(lost, "list") == 0

    said = capsys.readouterr().out
    assert "key      region-away:c\n" in said
    assert "holdfast alerts silence KEY --for 2h --why TEXT" in said


def test_a_silence_says_what_it_covers_and_ends_without_a_why(
    lost: Running, capsys: Capture
) -> None:
    codes = [
        alerts(lost, "silence", "region-*:c", "--for", "2h", "--why", "new disk"),
        alerts(lost, "silence", "lag:c", "--for", "2h", "--why", "new disk"),
        alerts(lost, "silence", "region-*:c", "--for", "0s"),
    ]

    first, covered, _, uncovered, ended, _ = capsys.readouterr().out.splitlines()
    assert codes == [0, 0, 0]
    assert first.startswith("silenced until 2") and first.endswith("Z: region-*:c")
    assert (covered, uncovered) == ("of what is open: region-away:c", "of what is open: nothing")
    assert ended == "no silence any more: region-*:c"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("region-awy:c", "--for", "2h", "--why", "x"), "no alert has such a key; a key begins"),
        (("region-away:c", "--for", "2h"), "--why: must say why"),
        (("region-away:c", "--for", "2", "--why", "x"), "--for: is a number and s, m, h or d"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    lost: Running, capsys: Capture, arguments: tuple[str, ...], told: str
) -> None:
    assert alerts(lost, "silence", *arguments) == 2

    assert told in capsys.readouterr().err
